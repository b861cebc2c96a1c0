"""Runs on several libraries: replicates, conditions, and what is made of them afterwards."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

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
