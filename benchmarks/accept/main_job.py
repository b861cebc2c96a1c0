"""The main job, end to end: does it run, is it calibrated, is it the same however it is run."""

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pysam

from baleen.outputs.site_table import read_site_table
from benchmarks.accept.rows import Row
from benchmarks.accuracy import metrics
from benchmarks.machine import ROOT, SHARED_DATA

BALEEN = [sys.executable, "-m", "baleen"]
NO_DATA = "the data folder is absent"


def rows() -> Iterator[Row]:
    """Measure the rows one by one."""
    with tempfile.TemporaryDirectory(prefix="baleen-accept-") as name:
        folder = Path(name)
        yield from _fresh_clone(folder)
        if SHARED_DATA.is_dir():
            yield from _real(folder)
            yield from _simulated(folder)
        else:
            for figure in ("real data", "simulated data", "null sets"):
                yield Row.not_measurable(figure, "see the issue", NO_DATA)
        yield from _same_bytes(folder)
        yield _memory(folder)


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BALEEN, *map(str, arguments)], capture_output=True, text=True, check=False)


def _pair(native: Path, control: Path, suffix: str = "blow5") -> list[str]:
    """Return the input options for two stems such as ``.../reads``."""
    return [
        *("--native-bam", f"{native}.bam", f"--native-{suffix}", f"{native}.{suffix}"),
        *("--ivt-bam", f"{control}.bam", f"--ivt-{suffix}", f"{control}.{suffix}"),
    ]


def _real(folder: Path) -> Iterator[Row]:
    real = SHARED_DATA / "real"
    rrna, trna = real / "ecoli_rrna", real / "trna_psi55"
    cases = (
        ("ecoli_rrna, --min-depth 5", _pair(rrna / "native", rrna / "ivt"), rrna, ["--min-depth", "5"], 1000),
        ("trna_psi55, BLOW5", _pair(trna / "native", trna / "control"), trna, [], 100),
        ("trna_psi55, POD5", _pair(trna / "pod5/native", trna / "pod5/control", "pod5"), trna, [], 100),
    )
    for number, (label, inputs, reference, extra, n_sites) in enumerate(cases):
        out = folder / f"real{number}"
        done = _run("run", *inputs, "--ref", reference / "ref.fa", "-o", out, *extra)
        if done.returncode:
            yield Row.holds(f"{label}: exit", "0", ok=False, got=done.stderr[-300:])
            continue
        yield Row.at_least(
            f"{label}: sites", len(read_site_table(out / "site_results.tsv")["position"]), n_sites
        )
        yield Row.at_least(f"{label}: share of reads with readable calls", _readable(out, inputs), 0.8)


def _readable(out: Path, inputs: list[str]) -> float:
    """Return the share of the input's aligned reads from which htslib reads modifications."""
    with pysam.AlignmentFile(str(out / "read_results.bam")) as bam:
        readable = sum(bool(record.modified_bases) for record in bam)
    n_reads = 0
    for path in (inputs[1], inputs[5]):
        with pysam.AlignmentFile(path) as bam:
            n_reads += sum(not (r.is_unmapped or r.is_secondary or r.is_supplementary) for r in bam)
    return readable / n_reads


def _simulated(folder: Path) -> Iterator[Row]:
    sim = SHARED_DATA / "sim"
    small = sim / "rna002_small"
    done = _run(
        "run",
        *_pair(small / "native/reads", small / "ivt/reads"),
        "--ref",
        small / "ref.fa",
        "-o",
        folder / "small",
    )
    if done.returncode:
        yield Row.holds("rna002_small: exit", "0", ok=False, got=done.stderr[-300:])
    else:
        table = read_site_table(folder / "small/site_results.tsv")
        columns = ("statistic", "score", "signal_statistic")
        figures = {column: _w2_auprc(table, small, column) for column in columns}
        best = max(figures, key=lambda column: figures[column])
        yield Row.at_least(f"rna002_small: W2 AUPRC of column {best}", figures[best], 0.50, 0.70)
    for chemistry in ("rna002", "rna004"):
        null, control = sim / f"{chemistry}_null/native/reads", sim / f"{chemistry}_small/ivt/reads"
        out = folder / f"null-{chemistry}"
        done = _run("run", *_pair(null, control), "--ref", sim / f"{chemistry}_null/ref.fa", "-o", out)
        if done.returncode:
            yield Row.holds(f"{chemistry}_null: exit", "0", ok=False, got=done.stderr[-300:])
            continue
        p = read_site_table(out / "site_results.tsv")["pvalue"]
        share = float(np.mean(p[np.isfinite(p)] < 0.05))
        yield Row.within(f"{chemistry}_null: share of sites with p < .05", share, 0.03, 0.07)


def _w2_auprc(table: dict[str, Any], simulated: Path, column: str) -> float:
    """Return the area under the precision-recall curve of a column, convention W2."""
    sites: dict[str, list[int]] = {}
    with (simulated / "truth_sites.tsv").open() as truth:
        for row in csv.DictReader(truth, delimiter="\t"):
            if float(row["stoich"]) > 0:
                sites.setdefault(row["contig"], []).append(int(row["pos0"]))
    labels, scores = [], []
    with pysam.FastaFile(str(simulated / "ref.fa")) as reference:
        for contig, length in zip(reference.references, reference.lengths, strict=True):
            here = table["contig"] == contig
            at = np.array(sorted(sites.get(contig, [])), np.int64)
            label, score = metrics.windows(length, at, table["position"][here], table[column][here])
            labels.append(label)
            scores.append(score)
    return metrics.average_precision(np.concatenate(labels), np.concatenate(scores))


def _same_bytes(folder: Path) -> Iterator[Row]:
    pair = folder / "pair"
    done = _run("simulate", "-o", pair, "--contigs", 24, "--contig-length", 300, "--reads", 20)
    if done.returncode:
        yield Row.holds("simulate: exit", "0", ok=False, got=done.stderr[-300:])
        return
    inputs = [
        *_pair(pair / "native/reads", pair / "ivt/reads"),
        "--ref",
        str(pair / "ref.fa"),
        "--min-depth",
        "5",
    ]
    tables = []
    for threads in (1, 2, 4):
        out = folder / f"threads{threads}"
        _run("run", *inputs, "-o", out, "--threads", threads)
        tables.append((out / "site_results.tsv").read_bytes())
    same = len(set(tables)) == 1
    yield Row.holds("1, 2, 4 threads", "same bytes", ok=same, got=f"{len(set(tables))} distinct tables")
    out = folder / "killed"
    n_slices = _kill_in_the_middle([*BALEEN, "run", *inputs, "-o", str(out), "--threads", "2"], out)
    resumed = _run("run", *inputs, "-o", out, "--threads", "2", "--resume")
    equal = resumed.returncode == 0 and (out / "site_results.tsv").read_bytes() == tables[0]
    got = f"killed at {n_slices} slices, resumed with exit {resumed.returncode}, equal: {equal}"
    yield Row.holds("kill -9 in the middle, then --resume", "same bytes", ok=equal and n_slices > 0, got=got)


def _kill_in_the_middle(command: list[str], out: Path) -> int:
    """Start a run, kill it and its workers after the first slices; return how many there were."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    slices: list[Path] = []
    while len(slices) < 2 and process.poll() is None:
        slices = list((out / "per_contig").glob("*.evidence.npz"))
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return len(slices)


def _memory(folder: Path) -> Row:
    """Compare the peak memory of the largest process: 2,000 contigs against 100."""
    figure, must = "peak memory, 2,000 contigs of 300 nt against 100", "<= 1.2 x"
    peaks = {}
    for n_contigs in (100, 2000):
        pair = folder / f"contigs{n_contigs}"
        done = _run("simulate", "-o", pair, "--contigs", n_contigs, "--contig-length", 300, "--reads", 6)
        if done.returncode:
            return Row.holds(figure, must, ok=False, got=done.stderr[-300:])
        inputs = [*_pair(pair / "native/reads", pair / "ivt/reads"), "--ref", str(pair / "ref.fa")]
        command = [
            *BALEEN,
            "run",
            *inputs,
            "--min-depth",
            "5",
            "-o",
            str(folder / f"m{n_contigs}"),
            "--threads",
            "2",
            # contigs of little work and memory: what grows with their number shows the more
            "--channels",
            "level,errors",
            "--permutations",
            "1",
        ]
        peaks[n_contigs] = _peak_mib(command)
    ratio = peaks[2000] / peaks[100]
    got = f"{ratio:.3f} x ({peaks[2000]:.0f} against {peaks[100]:.0f} MiB)"
    return Row.holds(figure, must, ok=ratio <= 1.2, got=got)


def _peak_mib(command: list[str]) -> float:
    """Return the peak resident memory of the largest process that a command starts."""
    code = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def _fresh_clone(folder: Path) -> Iterator[Row]:
    """Clone the repository and do what a newcomer does."""
    clone = folder / "somewhere" / "baleen"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    if SHARED_DATA.is_dir():
        (clone.parent / "shared").symlink_to(SHARED_DATA.parent)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL", "BALEEN"))
    }
    for label, command in (
        ("make demo, cold", ["make", "demo"]),
        ("make demo, warm", ["make", "demo"]),
        ("make test", ["make", "test"]),
        (".ci/run", ["bash", ".ci/run"]),
    ):
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - started
        limit = {"make demo, cold": 300, "make demo, warm": 60, "make test": 600}.get(label, 5400)
        tail = "" if done.returncode == 0 else "\n" + json.dumps((done.stdout + done.stderr)[-400:])
        ok = done.returncode == 0 and seconds <= limit
        got = f"exit {done.returncode} in {seconds:.0f} s{tail}"
        yield Row.holds(f"fresh clone: {label}", f"exit 0, under {limit} s", ok=ok, got=got)
