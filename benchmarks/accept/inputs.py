"""Inputs and dependability: bad files, interrupted runs, many reads."""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pysam

from baleen.config import Config
from baleen.event_rows import COLUMNS
from baleen.inputs import SampleFiles, open_run
from baleen.inputs.event_table import EventTable
from baleen.inputs.funnel import build_funnel
from baleen.inputs.sample_reads import SampleReads
from baleen.inputs.selection import measure_depths, select_reads
from benchmarks.accept.rows import Row
from benchmarks.machine import ROOT, SHARED_DATA
from krill.reads.bam import BamScan
from krill.reads.keys import KEY

N_READS = 20_000_000
N_CONTIGS = 50_000
TABLE_BYTES = (100_000_000, 1_000_000_000)
N_KILLS = 20
N_FUZZ = 400
SECONDS = 600
# Every contig gets a slice of its own, so that a run of seconds has some to lose.
BALEEN = [
    sys.executable,
    "-c",
    "import baleen.plan; baleen.plan.GROUP_WORK = 1; from baleen.cli import main; main()",
]


def rows() -> Iterator[Row]:
    """Measure the rows one by one."""
    yield _tested("bad-input table: rows with a test that holds", "all", "tests/pipeline/test_bad_input.py")
    yield _tested(
        "resume, dead worker, failing contig, full disk, SIGTERM", "all", "tests/pipeline/test_faults.py"
    )
    yield _tested("resume compares content, settings, version", "all", "tests/pipeline/test_manifest.py")
    yield _tested(
        f"damaged files ({N_FUZZ} per format and kind): no crash, hang, silent half",
        "all",
        "tests/engine/test_damaged_files.py",
        BALEEN_FUZZ_EXAMPLES=str(N_FUZZ),
    )
    yield _tested("inputs as users hold them", "all", "tests/pipeline/test_inputs.py")
    yield _tested(
        "event table written: the aligner's arrays, f5c, nanopolish",
        "all",
        "tests/pipeline/test_eventalign_command.py",
    )
    yield _tested(
        "event tables read: dialects, bad rows, calls as from signal",
        "all",
        "tests/pipeline/test_event_tables.py",
        "tests/pipeline/test_event_levels.py",
        "tests/pipeline/test_bad_event_tables.py",
    )
    yield _every_read_counted()
    yield _memory()
    with tempfile.TemporaryDirectory(prefix="baleen-accept-") as name:
        yield _table_memory(Path(name))
        yield _killed(Path(name))


def _tested(figure: str, must: str, *paths: str, **environment: str) -> Row:
    """Run tests and report how many hold."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    summary = done.stdout.strip().splitlines()[-1]
    counts = ", ".join(re.findall(r"\d+ (?:passed|failed|skipped|errors?)", summary))
    return Row.holds(figure, must, ok=done.returncode == 0, got=counts or summary)


def _every_read_counted() -> Row:
    figure, must = "reads of a BAM with exactly one status, all real sets", "all"
    if not SHARED_DATA.is_dir():
        return Row.not_measurable(figure, must, "the data folder is absent")
    real = SHARED_DATA / "real"
    n_reads = n_counted = 0
    for folder, control, settings in (
        (real / "ecoli_rrna", "ivt", {"min_depth": 5}),
        (real / "trna_psi55", "control", {"subsample_n": 50}),
    ):
        samples = [
            SampleFiles(name, name == "native", (folder / f"{name}.bam",), (folder / f"{name}.blow5",))
            for name in ("native", control)
        ]
        run = open_run(samples, folder / "ref.fa", Config.from_settings(settings))
        n_counted += sum(sum(counts.values()) for counts in run.status_counts.values())
        for sample in samples:
            with pysam.AlignmentFile(sample.bam[0]) as bam:
                n_reads += len({record.query_name for record in bam})
    return Row.holds(figure, must, ok=n_counted == n_reads, got=f"{n_counted} of {n_reads}")


def _memory() -> Row:
    """Meet reads in a process of its own, so that its peak is theirs."""
    code = f"from benchmarks.accept.inputs import meet_reads; meet_reads({N_READS})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Row.at_most("memory to meet 20 million reads of a condition, GB", float(done.stdout), 2.0)


def meet_reads(n_reads: int) -> None:
    """Take synthetic reads through the meeting of BAM and signal; print the peak in GB."""
    import resource

    rng = np.random.default_rng(1)
    expression = rng.lognormal(0, 2, N_CONTIGS)
    contig = rng.choice(N_CONTIGS, n_reads, p=expression / expression.sum()).astype(np.int32)
    contig.sort()
    scan = BamScan(
        keys=np.frombuffer(rng.bytes(KEY.itemsize * n_reads), KEY),
        names={},
        parents=np.zeros(0, np.int64),
        parent_keys=np.zeros(0, KEY),
        parent_names={},
        contig=contig,
        aligned_bp=np.full(n_reads, 1000, np.int32),
        flag=np.zeros(n_reads, np.uint16),
        mapq=np.full(n_reads, 60, np.uint8),
        has_sequence=np.ones(n_reads, np.bool_),
        offset=np.arange(n_reads, dtype=np.uint64),
        samples_per_base=30.0,
        is_sorted=True,
    )
    config = Config()
    numbers = np.arange(N_CONTIGS, dtype=np.int32)
    reads = SampleReads(
        SampleFiles(name="native", is_native=True, bam=(Path("x"),)), [scan], [numbers], config.reads
    )
    del scan, contig
    for start in range(0, n_reads, 1 << 16):
        keys = reads.keys[start : start + (1 << 16)][::-1]
        reads.place(0, keys, np.zeros((len(keys), 2), np.uint64), {})
    reads.drop_without_signal()
    measure_depths([reads], np.full(N_CONTIGS, 1000), config.reads)
    select_reads([reads], np.ones(N_CONTIGS, np.bool_), config.reads)
    funnel, _ = build_funnel(reads)
    if funnel.n_reads != n_reads:
        message = f"{funnel.n_reads} of {n_reads} reads were counted"
        raise ValueError(message)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.3f}\n")


def _table_memory(folder: Path) -> Row:
    """Go through a small and a large event table, each in a process of its own."""
    peaks = []
    for n_bytes in TABLE_BYTES:
        code = (
            "from pathlib import Path; from benchmarks.accept.inputs import read_table; "
            f"read_table(Path({str(folder)!r}), {n_bytes})"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout))
    small, large = (f"{n_bytes / 1e6:.0f}" for n_bytes in TABLE_BYTES)
    return Row.at_most(
        f"memory to go through an event table of {large} MB against {small}", peaks[1] / peaks[0], 1.2
    )


def read_table(folder: Path, n_bytes: int) -> None:
    """Write an event table of this size and go through it; print the peak memory in GB."""
    import resource

    path = folder / "events.tsv"
    row = "ACGTA\t{}\tt\t7\t90.12\t2.345\t0.01328\tACGTA\t91.00\t3.10\t-0.28\t40000\t40040\n"
    n_rows = 0
    with path.open("w") as table:
        table.write("\t".join(COLUMNS) + "\n")
        while table.tell() < n_bytes:
            name = f"00000000-0000-4000-8000-{n_rows:012d}"
            table.writelines(f"contig{n_rows // 100_000}\t{i}\t{row.format(name)}" for i in range(1000))
            n_rows += 1000
    events = EventTable(path)
    n_runs = sum(len(runs) for runs in events.runs())
    events.close()
    path.unlink()
    if n_runs != n_rows // 1000:
        message = f"{n_runs} reads were found of {n_rows // 1000}"
        raise ValueError(message)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.3f}\n")


def _killed(folder: Path) -> Row:
    """Kill a run at random moments and let it go on."""
    pair = folder / "pair"
    sizes = ["--contigs", "6", "--contig-length", "120", "--reads", "16"]
    _baleen("simulate", "-o", str(pair), "--pore", "rna004", *sizes)
    files = ["--ref", str(pair / "ref.fa"), "--channels", "level,shape,errors", "--threads", "2"]
    for condition in ("native", "ivt"):
        for kind in ("bam", "blow5"):
            files += [f"--{condition}-{kind}", str(pair / condition / f"reads.{kind}")]
    started = time.monotonic()
    _baleen("run", *files, "-o", str(folder / "whole"))
    duration_s = time.monotonic() - started
    expected = (folder / "whole" / "site_results.tsv").read_bytes()
    random_moments = random.Random(1)  # no secret depends on it
    same = 0
    for number in range(N_KILLS):
        output = folder / f"killed{number}"
        process = subprocess.Popen(
            [*BALEEN, "run", *files, "-o", str(output)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(random_moments.uniform(0, duration_s))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _baleen("run", *files, "-o", str(output), "--resume")
        same += (output / "site_results.tsv").read_bytes() == expected
    return Row.at_least(f"same bytes after kill -9 at {N_KILLS} random moments", same, N_KILLS)


def _baleen(*arguments: Sequence[str] | str) -> None:
    command = [*BALEEN, *map(str, arguments)]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
