"""Event tables in place of signal: the same calls, whatever the table's dialect; bad tables are named."""

import csv
import gzip
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import krill
from baleen.commands.simulate import command as simulate
from baleen.config import Config
from baleen.errors import InputError
from baleen.event_levels import EventBatch, read_levels
from baleen.event_rows import COLUMNS, parse_rows
from baleen.inputs import SampleFiles, close_files, event_table, open_sample, read_contig, read_reference
from baleen.inputs.event_table import EventTable
from krill.reads.batch import ReadStatus

SMALL = ("--contigs", "2", "--contig-length", "220", "--reads", "20", "--sites", "3", "--adapter-s", ".3")
HERE = ("--layout", "0x1", "--min-depth", "10")


def main(capsys, *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit code, stdout and stderr."""
    from baleen import cli

    before, sys.argv = sys.argv, ["baleen", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
        close_files()
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated pair with `native.tsv`, `ivt.tsv` made by `baleen eventalign`."""
    from baleen.commands.eventalign import command as eventalign

    folder = tmp_path_factory.mktemp("pair")
    CliRunner().invoke(simulate, ["-o", str(folder), "--force", *SMALL], catch_exceptions=False)
    for name in ("native", "ivt"):
        given = ["--bam", folder / name / "reads.bam", "--signal", folder / name / "reads.blow5"]
        output = ["--ref", folder / "ref.fa", "-o", folder / f"{name}.tsv", "--threads", "1"]
        done = CliRunner().invoke(
            eventalign, [str(word) for word in (*given, *output)], catch_exceptions=False
        )
        assert done.exit_code == 0
    return folder


def of_tables(pair: Path, native: Path | None = None) -> list[str | Path]:
    """Return the options that name the BAMs and tables of a pair."""
    files: list[str | Path] = ["--ref", pair / "ref.fa"]
    for name in ("native", "ivt"):
        table = native if native is not None and name == "native" else pair / f"{name}.tsv"
        files += [f"--{name}-bam", pair / name / "reads.bam", f"--{name}-eventalign", table]
    return files


def of_signal(pair: Path) -> list[str | Path]:
    files: list[str | Path] = ["--ref", pair / "ref.fa"]
    for name in ("native", "ivt"):
        files += [f"--{name}-bam", pair / name / "reads.bam", f"--{name}-blow5", pair / name / "reads.blow5"]
    return files


def sites(folder: Path) -> dict[str, np.ndarray]:
    lines = [line for line in (folder / "site_results.tsv").read_text().splitlines() if line[:2] != "##"]
    rows = list(csv.DictReader(lines, delimiter="\t"))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


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


def opened(
    pair: Path, table: Path, summary: Path | None = None, **given
) -> list[tuple[EventBatch, np.ndarray]]:
    """Return batches of the native sample from a table, each with its contig's bases."""
    files = SampleFiles("native", True, (pair / "native" / "reads.bam",), eventalign=table)
    config = Config.from_settings({"subsample_n": 0, **given})
    inputs = open_sample(replace(files, eventalign_summary=summary), pair / "ref.fa", config)
    source = inputs.write(table.parent)
    found = [
        (batch, read_reference(task, source))
        for task in inputs.tasks
        for _, batch in read_contig(task, source, config)
    ]
    close_files()
    return found


def levels_of(pair: Path, table: Path, chemistry: str = "rna002", **given) -> dict[tuple, tuple[float, int]]:
    """Return level and dwell by contig, read and position."""
    model, found = krill.PoreModel.shipped(chemistry), {}
    for batch, reference in opened(pair, table, **given):
        levels = read_levels(batch, reference, model, chemistry)
        for read, position, level, dwell in zip(
            levels.read, levels.position, levels.level_pa, levels.dwell_samples, strict=True
        ):
            found[batch.contig, batch.read_ids[read], int(position)] = float(level), int(dwell)
    return found


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def write_rows(path: Path, rows: list[dict], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = ["\t".join(columns), *("\t".join(str(row[name]) for name in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_nanopolish_dialect_gives_the_same_levels(pair, tmp_path) -> None:
    """Unscaled levels, several events per position, noise, numbers for names, samples."""
    rng = np.random.default_rng(1)
    number_of: dict[str, int] = {}
    scale: dict[str, tuple[float, float]] = {}
    rows = []
    for row in rows_of(pair / "native.tsv"):
        name = row["read_name"]
        row["read_index"] = str(number_of.setdefault(name, 3 * len(number_of)))
        a, b = scale.setdefault(name, (rng.uniform(0.8, 1.2), rng.normal(0, 8)))
        level, start, end = float(row["event_level_mean"]), int(row["start_idx"]), int(row["end_idx"])
        middle = start + (end - start + 2) // 3
        parts = [(start, middle), (middle, end)] if middle < end else [(start, end)]
        shifts = [3.0, -3.0 * (middle - start) / (end - middle)] if len(parts) == 2 else [0.0]
        for (first, last), shift in zip(parts, shifts, strict=True):
            more = {"event_level_mean": a * (level + shift) + b, "start_idx": first, "end_idx": last}
            more["model_mean"] = f"{a * float(row['model_mean']) + b:.2f}"
            rows.append({**row, **more, "samples": "80.1,80.2"})
        noise = {"event_level_mean": 300, "model_kmer": "NNNNN", "model_mean": 0, "standardized_level": "inf"}
        rows.append({**rows[-1], **noise})
    columns = (*(c if c != "read_name" else "read_index" for c in COLUMNS), "samples")
    table = write_rows(tmp_path / "nanopolish.tsv", rows, columns)
    summary = tmp_path / "summary.tsv"
    lines = [f"{number}\t{name}\t1.0" for name, number in number_of.items()]
    summary.write_text("read_index\tread_name\tshift\n" + "\n".join(lines) + "\n")
    found, expected = levels_of(pair, table, summary=summary), levels_of(pair, pair / "native.tsv")
    assert found.keys() == expected.keys()
    a, b = (np.array([one[key] for key in expected]) for one in (found, expected))
    np.testing.assert_allclose(a[:, 0], b[:, 0], atol=0.01)
    np.testing.assert_array_equal(a[:, 1], b[:, 1])


def test_without_the_tables_model_levels_are_scaled_by_a_fit(pair, tmp_path) -> None:
    rng, scale, rows = np.random.default_rng(3), {}, rows_of(pair / "native.tsv")
    for row in rows:
        a, b = scale.setdefault(row["read_name"], (rng.uniform(0.8, 1.2), rng.normal(0, 8)))
        row["event_level_mean"] = str(a * float(row["event_level_mean"]) + b)
    columns = tuple(name for name in COLUMNS if not name.startswith(("model_mean", "model_stdv")))
    table = write_rows(tmp_path / "unscaled.tsv", rows, columns)
    found, expected = levels_of(pair, table), levels_of(pair, pair / "native.tsv")
    assert found.keys() == expected.keys()
    difference = np.array([found[key][0] - expected[key][0] for key in expected])
    assert np.abs(difference).mean() < 1.0
    assert np.abs(difference).max() < 6.0


def test_levels_of_our_own_table_are_those_of_the_aligner(pair) -> None:
    rows = rows_of(pair / "native.tsv")
    expected = {
        (row["contig"], row["read_name"], int(row["position"]) + 2): float(row["event_level_mean"])
        for row in rows
    }
    found = {key: level for key, (level, _) in levels_of(pair, pair / "native.tsv").items()}
    assert found == pytest.approx(expected, abs=0.01)


def test_only_noise_is_left_out_not_what_is_ambiguous_in_the_reference(pair, tmp_path) -> None:
    rows = rows_of(pair / "native.tsv")
    for row in rows:
        if 98 <= int(row["position"]) <= 102:
            kmer = row["reference_kmer"]
            at = 102 - int(row["position"])
            row["reference_kmer"], row["model_kmer"] = kmer[:at] + "N" + kmer[at + 1 :], "NNNNN"
            row["model_mean"] = row["model_stdv"] = row["standardized_level"] = "nan"
    table = write_rows(tmp_path / "ambiguous.tsv", rows)
    found, expected = levels_of(pair, table), levels_of(pair, pair / "native.tsv")
    assert found == {key: pytest.approx(level, abs=0.01) for key, level in expected.items()}


def test_without_sample_indices_seconds_give_the_dwell(pair, tmp_path) -> None:
    columns = tuple(name for name in COLUMNS if name not in {"start_idx", "end_idx", "event_stdv"})
    table = write_rows(tmp_path / "plain.tsv", rows_of(pair / "native.tsv"), columns)
    assert levels_of(pair, table, pore="rna002") == levels_of(pair, pair / "native.tsv")


def test_rows_of_a_read_on_another_contig_are_not_taken(pair, tmp_path) -> None:
    rows = rows_of(pair / "native.tsv")
    (first, second) = dict.fromkeys(row["contig"] for row in rows)
    elsewhere = rows[-1]["read_name"]
    assert rows[-1]["contig"] == second
    ghost = [{**row, "read_name": elsewhere} for row in rows if row["read_name"] == rows[0]["read_name"]]
    table = write_rows(tmp_path / "ghost.tsv", [*ghost, *rows])
    assert levels_of(pair, table) == levels_of(pair, pair / "native.tsv")
    assert ghost[0]["contig"] == first


def test_a_read_that_does_not_fit_the_model_is_dropped_with_its_status(pair, tmp_path) -> None:
    rows = rows_of(pair / "native.tsv")
    rng, spoilt = np.random.default_rng(2), rows[0]["read_name"]
    for row in rows:
        if row["read_name"] == spoilt:
            row["event_level_mean"] = str(rng.normal(90, 10))
    table = write_rows(tmp_path / "spoilt.tsv", rows)
    batch, reference = opened(pair, table)[0]
    levels = read_levels(batch, reference, krill.PoreModel.shipped("rna002"), "rna002")
    status = dict(zip(batch.read_ids, levels.status, strict=True))
    assert {name for name, one in status.items() if one == ReadStatus.POOR_FIT} == {spoilt}
    assert batch.read_ids.index(spoilt) not in levels.read


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.integers(9_000, 300_000))
def test_runs_do_not_depend_on_the_size_of_blocks(pair, block) -> None:
    def places() -> list[tuple]:
        table = EventTable(pair / "native.tsv")
        found = [
            (read, contig, tuple(place), line)
            for runs in table.runs()
            for read, contig, place, line in zip(
                runs.reads, runs.contigs, runs.place.tolist(), runs.line.tolist(), strict=True
            )
        ]
        table.close()
        return found

    expected = places()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_table, "_BLOCK_BYTES", block)
        assert places() == expected
    text = (pair / "native.tsv").read_bytes()
    offset, size = expected[3][2]
    lines = text[offset : offset + size].decode().splitlines()
    assert {line.split("\t")[3] for line in lines} == {expected[3][0]}
    assert text.decode().splitlines()[expected[3][3] - 1] == lines[0]


@pytest.fixture(scope="module")
def short_table(pair) -> bytes:
    """The first hundred lines, of one read."""
    return b"".join((pair / "native.tsv").read_bytes().splitlines(keepends=True)[:100])


def runs_of(path: Path) -> int | None:
    """Return how many rows the runs of a table hold, None if it is refused."""
    try:
        table = EventTable(path)
    except InputError:
        return None
    try:
        places = [place for runs in table.runs() for place in runs.place.tolist()]
        return sum(len(parse_rows(table.read(*place), table.columns)) for place in places)
    except InputError:
        return None
    finally:
        table.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), is_packed=st.booleans())
def test_damaged_bytes_are_an_error_or_leave_every_row(tmp_path, short_table, data, is_packed) -> None:
    content = bytearray(gzip.compress(short_table) if is_packed else short_table)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "flipped.tsv"
    path.write_bytes(content)
    n_lines = content.count(b"\n") - 1 if not is_packed else 99
    assert runs_of(path) in {None, n_lines}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), is_packed=st.booleans())
def test_a_truncated_table_is_refused_or_ends_with_a_whole_row(
    tmp_path, short_table, share, is_packed
) -> None:
    content = gzip.compress(short_table) if is_packed else short_table
    part = content[: int(share * len(content))]
    path = tmp_path / "cut.tsv"
    path.write_bytes(part)
    expected = {None, part.count(b"\n") - 1} if not is_packed and part.endswith(b"\n") else {None}
    assert runs_of(path) in expected


def change(column: str, value: str) -> Callable[[list[dict]], None]:
    def spoil(rows: list[dict]) -> None:
        rows[7][column] = value

    return spoil


BAD_ROWS: list[tuple[str, Callable[[list[dict]], None], list[str]]] = [
    ("no number", change("event_level_mean", "8x"), ["line 9", "event_level_mean '8x' is no number"]),
    ("no level", change("event_level_mean", "nan"), ["line 9", "a level that is no number"]),
    ("empty", change("end_idx", "5"), ["line 9", "an event without length"]),
    ("place", change("position", "-4"), ["line 9", "position"]),
    ("fields", change("strand", "t\tt"), ["line 9", "16 fields where the first line names 15"]),
    ("strand", change("strand", "c"), ["line 9", "another strand than t"]),
    ("kmer size", change("reference_kmer", "ACG"), ["line 9", "k-mer of 3 bases where others have 5"]),
    ("contig", change("contig", "chrX"), ["line 9", "contig chrX is not in", "ref.fa"]),
]


@pytest.mark.parametrize(
    ("spoil", "said"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS]
)
def test_a_bad_row_is_named_with_its_line(pair, tmp_path, capsys, spoil, said) -> None:
    rows = rows_of(pair / "native.tsv")[:400]
    spoil(rows)
    table = write_rows(tmp_path / "bad.tsv", rows)
    expect_refused(capsys, pair, table, [*said, "hint: "])


def expect_refused(
    capsys, pair: Path, table: Path, said: list[str], *more: str | Path, code: int = 3
) -> None:
    found, _, error = main(capsys, "run", *of_tables(pair, table), *more, "-o", table.parent / "out")
    assert found == code, error
    for words in [table.name, *said] if "summary" not in said[0] else said:
        assert words in error
    assert not (table.parent / "out").exists()


def test_kmers_of_another_reference_are_refused(pair, tmp_path, capsys) -> None:
    rows = rows_of(pair / "native.tsv")
    for row in rows:
        row["position"] = str(int(row["position"]) + 1)  # as a table that counts from 1
    table = write_rows(tmp_path / "shifted.tsv", rows)
    expect_refused(
        capsys, pair, table, ["line 2", "k-mer", "ref.fa has", "FASTA that the table was made with"]
    )


def test_a_wrong_kmer_within_a_read_fails_its_contig_alone(pair, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("baleen.plan.GROUP_WORK", 1)
    rows = rows_of(pair / "native.tsv")
    rows[5]["reference_kmer"] = rows[5]["reference_kmer"].translate(str.maketrans("ACGT", "CATG"))
    table = write_rows(tmp_path / "wrong.tsv", rows)
    code, _, said = main(capsys, "run", *of_tables(pair, table), *HERE, "-o", tmp_path / "out")
    assert code == 6
    assert f"{rows[5]['contig']}: MismatchError: {table}" in said
    assert (
        f"position {rows[5]['position']}: k-mer {rows[5]['reference_kmer']} is not that of the reference"
        in said
    )
    assert set(sites(tmp_path / "out")["contig"]) == {rows[-1]["contig"]}


def test_unknown_kmers_ask_for_their_model(pair, tmp_path, capsys) -> None:
    rows = rows_of(pair / "native.tsv")
    for row in rows:
        row["reference_kmer"] = row["reference_kmer"][:4]
    table = write_rows(tmp_path / "short.tsv", rows)
    expect_refused(capsys, pair, table, ["4-mers", "--kmer-model FILE"], code=2)


def test_damaged_tables_are_named(pair, tmp_path, capsys) -> None:
    text = (pair / "native.tsv").read_bytes()
    table = tmp_path / "table.tsv"
    table.write_bytes(text[:-9])
    expect_refused(capsys, pair, table, ["cut short: its last line has no end", "hint: "])
    table.write_bytes(gzip.compress(text)[:-30])
    expect_refused(capsys, pair, table, ["cut short or damaged", "gzip -t"])
    table.write_bytes(text.split(b"\n", 1)[1])
    expect_refused(
        capsys, pair, table, ["no event table", "no column contig", "its first line must name the columns"]
    )
    table.unlink()
    expect_refused(capsys, pair, table, ["does not exist"])


def test_rows_that_are_not_together_are_refused(pair, tmp_path, capsys) -> None:
    rows = sorted(rows_of(pair / "native.tsv"), key=lambda row: (row["contig"], int(row["position"])))
    table = write_rows(tmp_path / "sorted.tsv", rows)
    expect_refused(capsys, pair, table, ["does not have the rows of a read together", "sort -s"])


def test_numbers_without_names_ask_for_the_summary(pair, tmp_path, capsys) -> None:
    rows = [{**row, "read_index": "7"} for row in rows_of(pair / "native.tsv")[:50]]
    columns = tuple(c if c != "read_name" else "read_index" for c in COLUMNS)
    table, summary = write_rows(tmp_path / "numbers.tsv", rows, columns), tmp_path / "summary.tsv"
    said = ["read_index", "--native-eventalign-summary FILE", "--print-read-names"]
    expect_refused(capsys, pair, table, said)
    given = ("--native-eventalign-summary", summary)
    summary.write_text("read_index\tread_name\n6\tx\n")
    expect_refused(capsys, pair, table, ["summary.tsv", "has no read_index 7, which line 2 of"], *given)
    summary.write_text("index,name\n")
    expect_refused(capsys, pair, table, ["summary.tsv", "no column read_index", "--summary FILE"], *given)


def test_tables_and_signal_are_not_mixed(pair, tmp_path, capsys) -> None:
    signal = pair / "native" / "reads.blow5"
    output = ["-o", tmp_path / "out"]
    code, _, said = main(capsys, "run", *of_tables(pair), "--native-blow5", signal, *output)
    assert (code, "sample native has signal and an event table" in said) == (2, True)
    bams = ["--native-bam", pair / "native" / "reads.bam", "--ivt-bam", pair / "ivt" / "reads.bam"]
    mixed = [*bams, "--native-blow5", signal, "--ivt-eventalign", pair / "ivt.tsv", "--ref", pair / "ref.fa"]
    code, _, said = main(capsys, "run", *mixed, *output)
    assert (code, "one has an event table and the other has not" in said) == (2, True)
    code, _, said = main(capsys, "run", *of_tables(pair), "--channels", "shape", *output)
    assert (code, "--channels level,errors" in said) == (2, True)


def test_a_table_of_other_reads_is_refused_with_the_funnel(pair, tmp_path, capsys) -> None:
    table = tmp_path / "other.tsv"
    table.write_bytes((pair / "ivt.tsv").read_bytes())
    said = ["shares no read with the event table", "40 not in the event table", "belongs to sample ivt"]
    found, _, error = main(capsys, "run", *of_tables(pair, table), "-o", tmp_path / "out")
    assert found == 3
    for words in said:
        assert words in error


def test_sheets_name_tables(pair, tmp_path, capsys) -> None:
    sheet = tmp_path / "samples.tsv"
    rows = [f"{name}\t{name}\t{pair}/{name}/reads.bam\t{pair}/{name}.tsv" for name in ("native", "ivt")]
    sheet.write_text("sample\tcondition\tbam\teventalign\n" + "\n".join(rows) + "\n")
    code, shown, _ = main(capsys, "check", "--samples", sheet, "--ref", pair / "ref.fa")
    assert (code, "chemistry: rna002, 3012 samples per second" in shown) == (0, True)


@pytest.mark.parametrize(("chemistry", "least_r"), [("rna002", 0.96), ("rna004", 0.92)])
def test_levels_of_f5c_agree_with_ours(shared_data, tmp_path, chemistry, least_r) -> None:
    table = tmp_path / "f5c.tsv"  # reads of one contig: parsing is what costs
    oracle = gzip.decompress((shared_data / "oracle" / f"f5c.{chemistry}_small.native.tsv.gz").read_bytes())
    lines = oracle.decode().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if line.startswith(("contig", "ecoli16S"))))
    folder = shared_data / "sim" / f"{chemistry}_small"
    theirs = levels_of(folder, table, chemistry, pore=chemistry, target=("ecoli16S",))
    files = SampleFiles("n", True, (folder / "native/reads.bam",), (folder / "native/reads.blow5",))
    config = Config.from_settings({"target": ("ecoli16S",), "subsample_n": 10})
    inputs = open_sample(files, folder / "ref.fa", config)
    source = inputs.write(tmp_path)
    (_, batch), *_ = read_contig(inputs.tasks[0], source, config)
    reference = read_reference(inputs.tasks[0], source)
    placed = krill.align(batch, reference, krill.PoreModel.shipped(chemistry))
    read = np.repeat(np.arange(len(batch)), np.diff(placed.read_offsets))
    pairs = [
        (theirs[key][0], level)
        for i, position, level in zip(read, placed.position, placed.level_mean, strict=True)
        if (key := ("ecoli16S", batch.read_ids[i], int(position))) in theirs
    ]
    close_files()
    a, b = np.array(pairs).T
    assert len(a) > 0.85 * len(read)
    assert np.corrcoef(a, b)[0, 1] > least_r
    assert abs(np.polyfit(b, a, 1)[0] - 1) < 0.05  # on the same scale


def test_real_nanopolish_table_is_read_to_the_scale_that_it_has(shared_data, tmp_path) -> None:
    from baleen.commands.align import command as align

    real = shared_data / "real" / "formats"
    (tmp_path / "native").mkdir()
    reads, reference, bam = real / "reads.fastq", real / "ref.fa", tmp_path / "native" / "reads.bam"
    words = [str(word) for word in (reads, reference, "-o", bam, "--threads", "1")]
    CliRunner().invoke(align, words, catch_exceptions=False)
    (tmp_path / "ref.fa").write_bytes(reference.read_bytes())
    table = tmp_path / "table.tsv.gz"
    table.write_bytes((real / "nanopolish_eventalign.tsv.gz").read_bytes())
    found = levels_of(tmp_path, table, summary=real / "eventalign_summary.csv")
    # made with --scale-events: model_mean is the model's own, so levels should hardly move
    text = gzip.decompress(table.read_bytes()).decode().splitlines()
    single: dict[tuple[str, int], list[float]] = {}
    names = {row["read_index"]: row["read_name"] for row in rows_of(real / "eventalign_summary.csv")}
    for row in csv.DictReader(text, delimiter="\t"):
        single.setdefault((names[row["read_index"]], int(row["position"]) + 2), []).append(
            float(row["event_level_mean"])
        )
    pairs = [(one, level) for (_, name, at), (level, _) in found.items() for one in single[name, at]]
    before, after = np.array(pairs).T
    assert len({name for _, name, _ in found}) == 3
    assert np.median(np.abs(after - before)) < 1.5
    assert abs(np.polyfit(before, after, 1)[0] - 1) < 0.1
