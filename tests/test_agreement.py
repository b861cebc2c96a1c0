"""One run, however it is carried out: any threads, order, interruption or division gives the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pysam
import pytest

# Small groups, so that a run of seconds has several slices.
PROGRAM = "import baleen.plan; baleen.plan.GROUP_WORK = 20_000; from baleen.cli import main; main()"
COMMAND = [sys.executable, "-c", PROGRAM]


def baleen(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


def succeed(*arguments: str | Path) -> None:
    done = baleen(*arguments)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of a run on contigs that make several groups."""
    folder = tmp_path_factory.mktemp("pair")
    options = ["--contigs", "6", "--contig-length", "250", "--reads", "10", "--seed", "3"]
    succeed("simulate", "-o", folder / "p", *options)
    pair = folder / "p"
    return [
        *("--native-bam", str(pair / "native/reads.bam"), "--native-blow5", str(pair / "native/reads.blow5")),
        *("--ivt-bam", str(pair / "ivt/reads.bam"), "--ivt-blow5", str(pair / "ivt/reads.blow5")),
        *("--ref", str(pair / "ref.fa"), "--permutations", "1", "--min-depth", "5"),
    ]


@pytest.fixture(scope="module")
def serial(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run on one core, with its arrays kept."""
    folder = tmp_path_factory.mktemp("serial") / "out"
    succeed("run", *inputs, "-o", folder, "--threads", "1", "--keep-intermediate")
    return folder


def sites(folder: Path) -> bytes:
    return (folder / "site_results.tsv").read_bytes()


def sites_below_header(folder: Path) -> list[bytes]:
    return [line for line in sites(folder).splitlines() if not line.startswith(b"##")]


def reads(folder: Path) -> list[str]:
    with pysam.AlignmentFile(str(folder / "read_results.bam")) as bam:
        return [record.to_string() for record in bam]


def test_results_are_whole(serial: Path) -> None:
    facts = json.loads((serial / "run.json").read_text())
    n_lines = len(sites_below_header(serial)) - 1
    assert (facts["n_contigs"], facts["sites"]["n_sites"]) == (6, n_lines)
    assert sum(facts["read_status"].values()) == 6 * 2 * 10
    assert all(record.count("\tMM:Z:") == 1 for record in reads(serial))
    pysam.quickcheck(str(serial / "read_results.bam"))


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 4])
def test_any_number_of_threads_gives_the_same_bytes(
    inputs: list[str], serial: Path, tmp_path: Path, threads: int
) -> None:
    succeed("run", *inputs, "-o", tmp_path / "out", "--threads", threads, "--keep-intermediate")
    assert sites(tmp_path / "out") == sites(serial)
    assert reads(tmp_path / "out") == reads(serial)


@pytest.mark.slow
def test_shards_merge_to_the_same_bytes(inputs: list[str], serial: Path, tmp_path: Path) -> None:
    for shard in ("2/2", "1/2"):
        incomplete = baleen("merge", tmp_path / "out")
        assert incomplete.returncode != 0
        succeed(
            "run", *inputs, "-o", tmp_path / "out", "--keep-intermediate", "--threads", "1", "--shard", shard
        )
    succeed("merge", tmp_path / "out")
    assert sites(tmp_path / "out") == sites(serial)
    assert reads(tmp_path / "out") == reads(serial)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(inputs: list[str], serial: Path, tmp_path: Path) -> None:
    arguments = ["run", *inputs, "-o", str(tmp_path / "out"), "--threads", "2", "--keep-intermediate"]
    folder = tmp_path / "out" / "per_contig"
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(folder.glob("*.evidence.npz")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "run.json").exists()
    refused = baleen(*arguments)
    assert (refused.returncode, "--resume" in refused.stderr) == (2, True)
    succeed(*arguments, "--resume")
    assert sites(tmp_path / "out") == sites(serial)
    assert reads(tmp_path / "out") == reads(serial)


def test_other_settings_do_not_resume(inputs: list[str], serial: Path) -> None:
    refused = baleen("run", *inputs, "-o", serial, "--resume", "--keep-intermediate", "--padding", "2")
    assert refused.returncode == 4
    assert "padding: 1 then, 2 now" in refused.stderr


def test_aggregate_repeats_the_run(serial: Path, tmp_path: Path) -> None:
    succeed("aggregate", serial, "-o", tmp_path / "same", "--threads", "1")
    assert sites_below_header(tmp_path / "same") == sites_below_header(serial)
    succeed("aggregate", serial, "-o", tmp_path / "other", "--threads", "1", "--mod-threshold", "0.1")
    assert sites_below_header(tmp_path / "other") != sites_below_header(serial)


def test_config_file_repeats_the_settings(inputs: list[str], serial: Path, tmp_path: Path) -> None:
    without_depth = inputs[:-2]
    succeed(
        "run", *without_depth, "--config", serial / "config.toml", "-o", tmp_path / "out", "--threads", "1"
    )
    assert sites(tmp_path / "out") == sites(serial)
