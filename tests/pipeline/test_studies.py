"""Runs on several libraries: replicates, conditions, and what is made of them afterwards."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

from baleen.calling import Evidence
from baleen.data import ReadIndex
from baleen.outputs.site_table import read_site_table

COMMAND = [sys.executable, "-m", "baleen"]


def baleen(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


def succeed(*arguments: str | Path) -> None:
    done = baleen(*arguments)
    assert done.returncode == 0, done.stderr


def split(source: Path, target: Path, n: int) -> list[Path]:
    """Deal the reads of a BAM to ``n`` libraries."""
    paths = [target / f"{source.parent.name}{i}.bam" for i in range(n)]
    with pysam.AlignmentFile(str(source)) as bam:
        records = list(bam)
        for i, path in enumerate(paths):
            with pysam.AlignmentFile(str(path), "wb", header=bam.header) as out:
                for record in records[i::n]:
                    out.write(record)
            pysam.index(str(path))
    return paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated pair, two libraries of each, and the sheet that names them."""
    folder = tmp_path_factory.mktemp("study")
    options = ["--contigs", "2", "--contig-length", "300", "--reads", "24", "--seed", "3"]
    succeed("simulate", "-o", folder / "pair", *options)
    lines = ["sample\tcondition\tbam\tsignal\tgroup"]
    for source, condition, groups in (("native", "native", "wt ko"), ("ivt", "control", "")):
        signal = folder / "pair" / source / "reads.blow5"
        bams = split(folder / "pair" / source / "reads.bam", folder, 2)
        for bam, group in zip(bams, groups.split() or ["", ""], strict=True):
            lines.append(f"{bam.stem}\t{condition}\t{bam.name}\t{signal}\t{group}")
    (folder / "groups.tsv").write_text("\n".join(lines) + "\n")
    plain = [line.rpartition("\t")[0] for line in lines]
    (folder / "samples.tsv").write_text("\n".join(plain) + "\n")
    return folder


@pytest.fixture(scope="module")
def arguments(folder: Path) -> list[str]:
    return ["--ref", str(folder / "pair/ref.fa"), "--permutations", "1", "--min-depth", "5", "--threads", "1"]


@pytest.fixture(scope="module")
def conditions(folder: Path, arguments: list[str]) -> Path:
    """Results of a run with two native conditions."""
    sheet = folder / "groups.tsv"
    succeed("run", "--samples", sheet, *arguments, "-o", folder / "conditions", "--keep-intermediate")
    return folder / "conditions"


def test_the_table_of_samples_counts_every_read_of_a_site(conditions: Path) -> None:
    sites, samples = (read_site_table(conditions / name) for name in ("site_results.tsv", "sample_sites.tsv"))
    assert set(samples["sample"]) == {"native0", "native1", "ivt0", "ivt1"}
    assert set(samples["condition"]) == {"wt", "ko", "control"}
    site = np.flatnonzero((sites["filter"] == "PASS") & (sites["n_native"] > 10))[0]
    here = (samples["contig"] == sites["contig"][site]) & (samples["position"] == sites["position"][site])
    is_control = samples["condition"][here] == "control"
    depth = samples["depth"][here]
    assert depth[~is_control].sum() >= sites["n_native"][site]
    assert depth[is_control].sum() >= sites["n_ivt"][site]


def test_every_native_condition_is_called_against_the_control(conditions: Path) -> None:
    both = read_site_table(conditions / "site_results.tsv")
    parts = [read_site_table(conditions / "conditions" / name / "site_results.tsv") for name in ("wt", "ko")]
    for part in parts:
        np.testing.assert_array_equal(part["n_ivt"], both["n_ivt"][: len(part["n_ivt"])])
    total = sum(part["n_native"] for part in parts)
    np.testing.assert_array_equal(total, both["n_native"])
    with pysam.AlignmentFile(str(conditions / "conditions/wt/read_results.bam")) as bam:
        assert {record.get_tag("RG") for record in bam} == {"native0", "ivt0", "ivt1"}


def test_contrasts_stand_where_natives_differ_from_the_control(conditions: Path) -> None:
    table = read_site_table(conditions / "contrasts.tsv")
    assert set(table["condition_a"]) == {"ko"}
    assert set(table["condition_b"]) == {"wt"}
    inside = (table["ci_low"] <= table["difference"]) & (table["difference"] <= table["ci_high"])
    assert inside[~np.isnan(table["difference"])].all()
    assert np.isnan(table["padj"]).sum() == np.isnan(table["pvalue"]).sum()


def test_aggregate_repeats_a_run_with_conditions(conditions: Path, tmp_path: Path) -> None:
    succeed("aggregate", conditions, "-o", tmp_path / "again", "--threads", "1")
    for name in ("site_results.tsv", "sample_sites.tsv", "contrasts.tsv", "conditions/ko/site_results.tsv"):
        lines, again = ((one / name).read_text().splitlines() for one in (conditions, tmp_path / "again"))
        assert [line for line in again if line[:2] != "##"] == [line for line in lines if line[:2] != "##"]


@pytest.mark.parametrize(
    ("group", "line", "reason"),
    [("../x", 1, "cannot name a group"), ("control", 1, "cannot name a group"), ("wt", 3, "of a control")],
)
def test_a_group_that_cannot_be_is_refused(
    folder: Path, arguments: list[str], group: str, line: int, reason: str
) -> None:
    lines = (folder / "groups.tsv").read_text().splitlines()
    lines[line] = lines[line].rpartition("\t")[0] + "\t" + group
    (folder / "bad.tsv").write_text("\n".join(lines) + "\n")
    refused = baleen("check", "--samples", folder / "bad.tsv", *arguments[:2])
    assert (refused.returncode, reason in refused.stderr) == (3, True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--permutations", "3"], "--permutations: the arrays were made with 1, not 3"),
        (["--error-direction", "both"], "--error-direction: the arrays were made with more, not both"),
    ],
)
def test_aggregate_refuses_what_needs_the_reads(
    conditions: Path, tmp_path: Path, options: list[str], reason: str
) -> None:
    refused = baleen("aggregate", conditions, "-o", tmp_path / "x", *options)
    assert (refused.returncode, reason in refused.stderr) == (2, True)


def test_aggregate_never_replaces_the_arrays_it_calls_from(conditions: Path) -> None:
    before = sorted(path.name for path in (conditions / "per_contig").iterdir())
    refused = baleen("aggregate", conditions, "-o", conditions / ".", "--force")
    assert (refused.returncode, "holds the arrays that are called from" in refused.stderr) == (2, True)
    assert sorted(path.name for path in (conditions / "per_contig").iterdir()) == before


def test_aggregate_offers_no_way_that_it_lacks(conditions: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    refused = baleen("aggregate", conditions, "-o", tmp_path)
    assert (refused.returncode, "--resume" in refused.stderr, "--force" in refused.stderr) == (2, False, True)


def test_basecaller_mods_without_any_call_are_said_to_be_missing(conditions: Path, tmp_path: Path) -> None:
    done = baleen("aggregate", conditions, "-o", tmp_path / "x", "--basecaller-mods", "--no-read-bam")
    assert (done.returncode, "no base has modification calls" in done.stderr) == (0, True)


@pytest.mark.parametrize("channels", [["--channels", "level"], ["--no-signal"]])
def test_aggregate_with_fewer_channels_equals_a_run_with_these(
    folder: Path, arguments: list[str], conditions: Path, tmp_path: Path, channels: list[str]
) -> None:
    """Nearly: beside basecalls signal reaches a base farther at a contig's ends, which its scale notes."""
    more = [*channels, "--no-read-bam", "--error-direction", "more"]
    succeed("run", "--samples", folder / "groups.tsv", *arguments, "-o", tmp_path / "run", *more)
    succeed("aggregate", conditions, "-o", tmp_path / "again", "--threads", "1", *more)
    run, again = (read_site_table(tmp_path / name / "site_results.tsv") for name in ("run", "again"))
    places = [np.char.add(one["contig"], one["position"].astype("U8")) for one in (run, again)]
    _, rows, rows_again = np.intersect1d(*places, return_indices=True)
    inside = (run["position"][rows] >= 10) & (run["position"][rows] < 290)
    rows, rows_again = rows[inside], rows_again[inside]
    assert len(rows) > 500
    for name in ("filter", "n_native", "n_ivt", "error_z"):
        np.testing.assert_array_equal(again[name][rows_again], run[name][rows], err_msg=name)
    for name, tolerance in (("signal_statistic", 0.05), ("mod_ratio", 0.01)):
        np.testing.assert_allclose(again[name][rows_again], run[name][rows], atol=tolerance, err_msg=name)
    p, p_again = run["pvalue"][rows], again["pvalue"][rows_again]
    # far out the tail is extrapolated, so a difference grows with the logarithm itself
    np.testing.assert_allclose(np.log10(p_again), np.log10(p), atol=0.1, rtol=0.05)


def test_aggregate_refuses_channels_that_were_not_measured(
    folder: Path, arguments: list[str], tmp_path: Path
) -> None:
    sheet, kept = folder / "samples.tsv", tmp_path / "kept"
    succeed("run", "--samples", sheet, *arguments, "-o", kept, "--no-signal", "--keep-intermediate")
    refused = baleen("aggregate", kept, "-o", tmp_path / "x", "--signal")
    assert (refused.returncode, "did not measure it" in refused.stderr) == (2, True)


def test_every_kept_array_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/guide/aggregate.md").read_text()
    names = [field.name for field in dataclasses.fields(Evidence) if field.name != "reads"]
    names += [f"reads_{field.name}" for field in dataclasses.fields(ReadIndex)]
    assert [name for name in names if f"`{name}`" not in page] == []
