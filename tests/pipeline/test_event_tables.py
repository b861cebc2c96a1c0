"""Event tables in place of signal: the same calls, and a run like any other."""

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pytest
from event_table_files import HERE, main, of_tables, pair_with_tables, rows_of, sites, write_rows


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated pair with tables."""
    return pair_with_tables(tmp_path_factory.mktemp("pair"))


def of_signal(pair: Path) -> list[str | Path]:
    files: list[str | Path] = ["--ref", pair / "ref.fa"]
    for name in ("native", "ivt"):
        files += [f"--{name}-bam", pair / name / "reads.bam", f"--{name}-blow5", pair / name / "reads.blow5"]
    return files


def numbers(column: np.ndarray) -> np.ndarray:
    return np.array([float(text or "nan") for text in column])


def test_calls_from_our_own_table_are_nearly_those_from_signal(pair, tmp_path, capsys) -> None:
    code, _, said = main(capsys, "run", *of_tables(pair), *HERE, "-o", tmp_path / "table")
    assert code == 0
    assert "event tables hold no signal: channel shape is left out; there remain level, errors" in said
    wanted = [*HERE, "--channels", "level,errors", "-o", tmp_path / "signal"]
    assert main(capsys, "run", *of_signal(pair), *wanted)[0] == 0
    found, expected = sites(tmp_path / "table"), sites(tmp_path / "signal")
    for name in ("contig", "position", "kmer", "is_peak"):
        np.testing.assert_array_equal(found[name], expected[name])
    for name in ("mod_ratio", "mean_p_mod", "effect_size"):
        difference = np.abs(numbers(found[name]) - numbers(expected[name]))
        assert np.nanmax(difference) < 0.02, name
        assert np.nanmedian(difference) < 0.001, name
    a, b = numbers(found["statistic"]), numbers(expected["statistic"])
    tested = np.isfinite(a) & np.isfinite(b)
    assert np.corrcoef(a[tested], b[tested])[0, 1] > 0.999
    assert (tmp_path / "table" / "read_results.bam").stat().st_size > 1000


def test_packed_sharded_and_threaded_runs_have_the_same_bytes(pair, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("baleen.plan.GROUP_WORK", 1)
    packed = tmp_path / "native.tsv.gz"
    packed.write_bytes(gzip.compress((pair / "native.tsv").read_bytes()))
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    wanted = ["--layout", "0x2", "--min-depth", "10"]
    assert main(capsys, "run", *of_tables(pair), *wanted, "-o", whole)[0] == 0
    for shard in ("1/2", "2/2"):
        options = [*HERE, "-o", shards, "--shard", shard]
        assert main(capsys, "run", *of_tables(pair, packed), *options)[0] == 0
    assert [path.name for path in shards.glob("per_contig/.events-*")] == [".events-0.tsv"]
    assert main(capsys, "merge", shards)[0] == 0
    assert (shards / "site_results.tsv").read_bytes() == (whole / "site_results.tsv").read_bytes()
    assert not (shards / "per_contig").exists()


def test_resume_notices_another_table_and_dry_run_writes_nothing(pair, tmp_path, capsys) -> None:
    table, output = tmp_path / "native.tsv", tmp_path / "out"
    table.write_bytes((pair / "native.tsv").read_bytes())
    run = ["run", *of_tables(pair, table), *HERE, "-o", output]
    code, shown, _ = main(capsys, *run, "--dry-run")
    assert (code, "contigs: 2 to call" in shown, output.exists()) == (0, True, False)
    assert main(capsys, *run, "--shard", "1/2")[0] == 0
    assert main(capsys, *run, "--shard", "2/2", "--resume")[0] == 0
    rows = rows_of(table)
    rows[3]["event_stdv"] = "9.999"
    write_rows(table, rows)
    code, _, said = main(capsys, *run, "--resume")
    assert code == 4
    assert "native sample native, eventalign file 1: the content of" in said


def test_a_full_disk_while_a_table_is_unpacked_says_how_to_go_on(pair, tmp_path, small_disk, capsys) -> None:
    packed = tmp_path / "native.tsv.gz"
    packed.write_bytes(gzip.compress((pair / "native.tsv").read_bytes()))
    run = ["run", *of_tables(pair, packed), *HERE, "-o", small_disk / "out"]
    code, _, said = main(capsys, *run)
    assert (code, "the disk is full" in said, "--resume" in said) == (5, True, True)
    assert not list(small_disk.rglob("*.part"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert main(capsys, *run, "--resume")[0] == 0


def test_sheets_name_tables(pair, tmp_path, capsys) -> None:
    sheet = tmp_path / "samples.tsv"
    rows = [f"{name}\t{name}\t{pair}/{name}/reads.bam\t{pair}/{name}.tsv" for name in ("native", "ivt")]
    sheet.write_text("sample\tcondition\tbam\teventalign\n" + "\n".join(rows) + "\n")
    code, shown, _ = main(capsys, "check", "--samples", sheet, "--ref", pair / "ref.fa")
    assert (code, "chemistry: rna002, 3012 samples per second" in shown) == (0, True)
