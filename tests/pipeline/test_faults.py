"""Runs that are interrupted, starved or cannot finish: what is kept, what is said, what --resume makes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest

N_CONTIGS = 4
# Every contig gets a slice of its own, so that a run of seconds has some to lose.
ONE_SLICE_PER_CONTIG = "import baleen.plan; baleen.plan.GROUP_WORK = 1; from baleen.cli import main; main()"


def baleen(*arguments: object, wait: bool = True) -> "subprocess.Popen[str]":
    """Start the command line in a process of its own."""
    command = [sys.executable, "-c", ONE_SLICE_PER_CONTIG, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if wait:
        process.wait(timeout=120)
    return process


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated pair of samples."""
    folder = tmp_path_factory.mktemp("pair")
    sizes = ["--contigs", N_CONTIGS, "--contig-length", 110, "--reads", 16, "--sites", 2]
    done = baleen("simulate", "-o", folder, "--pore", "rna004", "--force", *sizes)
    assert done.returncode == 0, done.communicate()
    done.communicate()
    return folder


def run_arguments(pair: Path, output: Path, *more: str) -> list[object]:
    files: list[object] = [
        "run",
        "--ref",
        pair / "ref.fa",
        "-o",
        output,
        "--channels",
        "level",
        "--threads",
        2,
    ]
    for condition in ("native", "ivt"):
        files += [f"--{condition}-bam", pair / condition / "reads.bam"]
        files += [f"--{condition}-blow5", pair / condition / "reads.blow5"]
    return [*files, *more]


def results(output: Path) -> tuple[bytes, list[str]]:
    """Return the site table and the annotated reads (the BAM's header holds the command)."""
    with pysam.AlignmentFile(output / "read_results.bam") as bam:
        reads = [record.to_string() for record in bam]
    return (output / "site_results.tsv").read_bytes(), reads


@pytest.fixture(scope="module")
def undisturbed(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[str]]:
    """Results of a run that nothing happens to."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    done = baleen(*run_arguments(pair, output))
    _, said = done.communicate()
    assert done.returncode == 0, said
    assert not (output / "per_contig").exists()
    return results(output)


def slices(output: Path) -> list[Path]:
    return sorted((output / "per_contig").glob("*.evidence.npz"))


def until(holds: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait for something to happen while the process runs."""
    end = time.monotonic() + 60
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def workers(process: "subprocess.Popen[str]") -> list[int]:
    """Return the worker processes of a run (not the tracker of resources)."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_results(pair, undisturbed, tmp_path) -> None:
    output = tmp_path / "out"
    process = baleen(*run_arguments(pair, output), wait=False)
    until(lambda: slices(output), process)
    process.kill()
    process.communicate(timeout=60)  # returns only when no worker holds the pipe any more
    assert not (output / "site_results.tsv").exists()
    (output / "per_contig" / "000003.evidence.npz.part").write_bytes(b"half a slice")
    done = baleen(*run_arguments(pair, output, "--resume"))
    _, said = done.communicate()
    assert done.returncode == 0, said
    assert results(output) == undisturbed


@pytest.mark.slow
def test_runs_killed_at_twenty_random_moments_go_on_to_the_same_results(pair, tmp_path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("killed_runs.py")), str(pair), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    kills = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(kills) == 20, done.stderr
    assert all(kill["same"] for kill in kills), kills
    assert sum(kill["was_killed"] for kill in kills) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["0x2", "1x2"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_ends_cleanly_and_says_how_to_go_on(pair, tmp_path, layout, number, code) -> None:
    output = tmp_path / "out"
    process = baleen(*run_arguments(pair, output, "--layout", layout), wait=False)
    until(lambda: slices(output), process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)  # returns only when no worker holds the pipe any more
    assert process.returncode == code
    assert "--resume" in said
    assert not list(output.rglob("*.part"))
    assert "Traceback" not in said
    assert slices(output)
    assert not (output / "site_results.tsv").exists()


@pytest.mark.slow
def test_a_dead_worker_does_not_lose_the_run(pair, undisturbed, tmp_path) -> None:
    output = tmp_path / "out"
    process = baleen(*run_arguments(pair, output), wait=False)
    until(lambda: slices(output) and workers(process), process)
    os.kill(workers(process)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert results(output) == undisturbed


@pytest.mark.slow
def test_one_failing_contig_is_reported_and_tried_again(pair, tmp_path, monkeypatch) -> None:
    from baleen import pipeline, scoring
    from baleen.config import Config
    from baleen.inputs import SampleFiles

    files = {name: pair / name for name in ("native", "ivt")}
    samples = tuple(
        SampleFiles(name, name == "native", (path / "reads.bam",), (path / "reads.blow5",))
        for name, path in files.items()
    )
    config = Config.from_settings({"channels": ("level",), "threads": 1, "device": "cpu"})
    request = pipeline.RunRequest(
        samples=samples, reference=pair / "ref.fa", output_dir=tmp_path / "out", config=config
    )
    score, scored = scoring.score_contig, []

    def score_all_but_one(task, *rest):
        scored.append(task.contig)
        if len(scored) == 2:
            message = "cosmic ray"
            raise ValueError(message)
        return score(task, *rest)

    monkeypatch.setattr("baleen.plan.GROUP_WORK", 1)
    monkeypatch.setattr(scoring, "score_contig", score_all_but_one)
    summary = pipeline.run(request)
    assert summary is not None
    assert summary.failed == {scored[1]: "ValueError: cosmic ray"}
    assert summary.n_contigs == N_CONTIGS - 1
    scored[:] = [scored[1], "x"]
    summary = pipeline.run(replace(request, is_resumed=True))
    assert summary is not None
    assert summary.failed == {}
    assert scored[2:] == [scored[0]]


@pytest.mark.slow
def test_a_full_disk_keeps_finished_slices(pair, undisturbed, small_disk) -> None:
    output = small_disk / "out"
    done = baleen(*run_arguments(pair, output))
    _, said = done.communicate()
    assert done.returncode == 5, said
    assert "the disk is full" in said
    assert "--resume" in said
    assert not list(output.rglob("*.part"))
    assert not (output / "site_results.tsv").exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    done = baleen(*run_arguments(pair, output, "--resume"))
    _, said = done.communicate()
    assert done.returncode == 0, said
    assert results(output) == undisturbed


def test_a_read_only_folder_is_named(pair, small_disk) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    signal_files = ["--bam", pair / "native" / "reads.bam", "--signal", pair / "native" / "reads.blow5"]
    commands = [
        run_arguments(pair, small_disk / "out"),
        ["eventalign", *signal_files, "--ref", pair / "ref.fa", "-o", small_disk / "table.tsv"],
    ]
    for command in commands:
        done = baleen(*command)
        _, said = done.communicate()
        assert (done.returncode, "Traceback" in said) == (5, False), said
        assert "cannot be written: Read-only file system" in said
        assert "hint: check the folder's permissions" in said


def test_bad_input_makes_no_output_folder(tiny_run, tmp_path) -> None:
    tiny_run.write_bam("native", order="unsorted", index=False)
    done = baleen("run", *tiny_run.arguments(), "-o", tmp_path / "out")
    _, said = done.communicate()
    assert done.returncode == 3
    assert "samtools sort" in said
    assert not (tmp_path / "out").exists()


def test_no_contig_passing_gives_a_table_with_its_header(tiny_run, tmp_path) -> None:
    output = tmp_path / "out"
    done = baleen("run", *tiny_run.arguments(), "-o", output, "--min-depth", 100)
    _, said = done.communicate()
    assert done.returncode == 0, said
    assert "no contig passes the filters: of 2 with usable reads, 2 have native and control reads" in said
    assert (
        "below --min-depth 100; the deepest is tx1 (native 20, control 20): --min-depth 20 keeps it" in said
    )
    lines = (output / "site_results.tsv").read_text().splitlines()
    assert lines[-1].startswith("contig\tposition\tkmer\t")
    assert all(line.startswith("##") for line in lines[:-1])


def test_signals_of_no_use_end_in_a_status_not_in_an_error(tiny_run, tmp_path) -> None:
    flat, saturated = np.full(600, 700), np.tile([-32768, 32767], 300)
    useless = [flat, saturated, np.zeros(0), np.zeros(1), np.full(3, 5)]
    for condition in ("native", "ivt"):
        signals = {name: useless[i % 5] for i, name in enumerate(tiny_run.names[condition])}
        tiny_run.write_signal(condition, signals=signals)
    output = tmp_path / "out"
    done = baleen("run", *tiny_run.arguments(), "-o", output)
    _, said = done.communicate()
    assert done.returncode == 0, said
    counts = json.loads((output / "run.json").read_text())["read_status"]
    assert sum(counts.values()) == 80
    assert "ok" not in counts
    assert "warning: no read could be used and nothing was called or placed: " in said
    signal, bam = tiny_run.path("native", "blow5"), tiny_run.path("native", "bam")
    files = ["--bam", bam, "--signal", signal, "--ref", tiny_run.reference]
    done = baleen("eventalign", *files, "-o", tmp_path / "table.tsv")
    _, said = done.communicate()
    assert done.returncode == 0, said
    assert "warning: no read could be used and nothing was called or placed: " in said
