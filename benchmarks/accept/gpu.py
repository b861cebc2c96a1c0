"""Time warping on a GPU: what the host can show of it, and the figures of a device where there is one."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import krill
from benchmarks.accept.rows import Row
from benchmarks.machine import ROOT

KERNELS = ROOT / "krill" / "signal" / "kernels"
HOST_TESTS = {
    "kernels on the host = definition and processor, bit by bit": r"equal|give_the_processors|structures",
    "planning on a fake device: limits, halving, sharing, refusals": "batches|refused|share_the|failing|kept",
}
DEVICE_FIGURES = {
    "GPU = processor, bit by bit (tests marked gpu)": "pass",
    "useful cells/s at 3 bases, 300 + 300": ">= 5e+12",
    "times the wavefront kernel, 3 bases": ">= 50",
}
RUNS = {"tiny": (1, 120, 10), "small": (1, 300, 100), "large": (8, 300, 100)}
"""Contigs, their length, reads per contig and sample."""
RUN_FIGURE = "`baleen run`, {} pair: wall time with a GPU at hand over that without"
RUN_ROUNDS = 3


def rows() -> Iterator[Row]:
    """Measure the rows one by one."""
    yield from _host_tests()
    yield _fake_driver()
    yield _kept_busy()
    yield from _compiled()
    yield from _without_a_driver()
    gpus = [device.name for device in krill.devices() if device.model]
    if gpus:
        yield from _on_a_device(gpus[0])
        return
    runs = {RUN_FIGURE.format(size): "<= 1" for size in RUNS}
    for figure, must in {**DEVICE_FIGURES, **runs}.items():
        yield Row.not_measurable(figure, must, f"no GPU ({'; '.join(krill.gpu_problems())})")


def _host_tests() -> Iterator[Row]:
    command = ["cargo", "test", "-p", "krill-signal", "--release", "--test", "gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    results = dict(re.findall(r"^test (\w+) \.\.\. (\w+)", done.stdout, re.MULTILINE))
    for figure, names in HOST_TESTS.items():
        own = {name: result for name, result in results.items() if re.search(names, name)}
        failed = sorted(name for name, result in own.items() if result != "ok")
        got = f"{len(own) - len(failed)} of {len(own)} tests pass" + "".join(f"; {name}" for name in failed)
        yield Row.holds(figure, "all pass", ok=bool(own) and not failed, got=got)


def _fake_driver() -> Row:
    """Run what would run on a GPU, a whole `baleen run` among it, on a driver of host memory."""
    with tempfile.TemporaryDirectory(prefix="baleen-accept-") as folder:
        compiler = ["c++", "-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
        library = Path(folder) / "libcuda.so.1"
        source = KERNELS / "host" / "libcuda.cpp"
        subprocess.run([*compiler, source, "-o", library, "-lpthread"], check=True)
        environment = {**os.environ, "LD_LIBRARY_PATH": folder}
        done = _marked_tests(environment)
    got = (done.stdout.strip().splitlines() or ["nothing ran"])[-1]
    figure = "tests marked gpu on a driver of host memory: calls and a whole run = processor"
    return Row.holds(figure, "all pass", ok=done.returncode == 0, got=got)


def _kept_busy() -> Row:
    """Run whole calls on a driver that answers when an H100 would: how much of the time it has work."""
    from benchmarks.kernels import dtw_gpu_host

    share, seconds = dtw_gpu_host.busy_share()
    figure = "share of a call that a device as fast as an H100 computes, 3 bases (paced driver)"
    print(f"256 positions in {1000 * seconds:.0f} ms, {share * dtw_gpu_host.CELLS_PER_S:.3g} cells/s")
    return Row.at_least(figure, share, 5e12 / dtw_gpu_host.CELLS_PER_S, 0.9)


def _compiled() -> Iterator[Row]:
    kept = json.loads((KERNELS / "built" / "built.json").read_text())
    files = {path.name: path.read_bytes() for path in (KERNELS / "built").glob("dtw_*")}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    size = sum(map(len, files.values()))
    ok = hashes == kept["outputs"]
    yield Row.holds("compiled kernels have the recorded hashes", "equal", ok=ok, got=f"{len(files)} files")
    yield Row.at_most("compiled kernels together, MiB", size / 2**20, 1)
    command = [sys.executable, str(KERNELS / "compile.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figure, must = "compiled again from the sources (NVRTC 12.1 and 12.9)", "the same bytes"
    said = (done.stdout + done.stderr).strip().splitlines() or [""]
    if done.returncode == 3:
        yield Row.not_measurable(figure, must, said[-1])
    else:
        yield Row.holds(figure, must, ok=done.returncode == 0, got=said[-1])


def _without_a_driver() -> Iterator[Row]:
    code = "import krill; print('libcuda' in open('/proc/self/maps').read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    got = "opened" if "True" in done.stdout else "not opened"
    yield Row.holds("importing opens no driver", "not opened", ok=got == "not opened", got=got)
    if any(device.model for device in krill.devices()):
        yield Row.not_measurable("probing without a driver, ms", "<= 20", "there is a driver")
        return
    code = "import krill, time; t = time.perf_counter(); krill.devices(); print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    yield Row.at_most("probing without a driver, ms, first call of a process", 1000 * min(times), 20)
    asked = [sys.executable, "-m", "benchmarks.kernels", "dtw", "--device", "cuda:0"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    refused = done.returncode == 2 and "device cuda:0" in done.stderr
    yield Row.holds(
        "a GPU that is not there is refused", "exit 2, reason", ok=refused, got=done.stderr.strip()
    )


def _on_a_device(device: str) -> Iterator[Row]:
    from benchmarks.kernels import dtw_gpu

    figures = list(DEVICE_FIGURES)
    done = _marked_tests(dict(os.environ))
    got = (done.stdout.strip().splitlines() or ["nothing ran"])[-1]
    yield Row.holds(figures[0], "pass", ok=done.returncode == 0, got=got)
    table = dtw_gpu.measure(device)
    print(dtw_gpu.format_table(table))
    found = {(rate.case, rate.what): rate.tera_per_s for rate in table}
    yield Row.at_least(figures[1], 1e12 * found["3 bases", "krill"], 5e12, 7.5e12)
    yield Row.at_least(figures[2], found["3 bases", "krill"] / found["3 bases", "wavefront"], 50)
    for size, shape in RUNS.items():
        yield _runs(RUN_FIGURE.format(size), *shape)


def _marked_tests(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text()]
    tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *map(str, files)]
    return subprocess.run(tests, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _runs(figure: str, n_contigs: int, length: int, reads: int) -> Row:
    """Time runs that may take a GPU, in turn with runs that may not; their tables are equal.

    Where `auto` stays with the processor the two are the same run: they may differ by as much as the
    others do among themselves.
    """
    seconds: dict[str, list[float]] = {"auto": [], "--no-cuda": []}
    with tempfile.TemporaryDirectory(prefix="baleen-accept-") as folder:
        pair = Path(folder) / "pair"
        baleen = [sys.executable, "-m", "baleen"]
        simulate = [
            "simulate",
            "-o",
            pair,
            "--contigs",
            n_contigs,
            "--contig-length",
            length,
            "--reads",
            reads,
        ]
        subprocess.run([*baleen, *map(str, simulate)], check=True, capture_output=True)
        files: list[object] = ["--ref", pair / "ref.fa", "--min-depth", 5]
        for name in ("native", "ivt"):
            files += [f"--{name}-bam", pair / name / "reads.bam"]
            files += [f"--{name}-blow5", pair / name / "reads.blow5"]
        for _ in range(RUN_ROUNDS):
            for where, taken in seconds.items():
                flags = [] if where == "auto" else [where]
                run = ["run", *files, "-o", Path(folder) / where, "--force", *flags]
                start = time.perf_counter()
                subprocess.run([*baleen, *map(str, run)], check=True, capture_output=True)
                taken.append(time.perf_counter() - start)
        tables = {(Path(folder) / where / "site_results.tsv").read_bytes() for where in seconds}
        device = json.loads((Path(folder) / "auto" / "run.json").read_text())["device"]
    best = {where: min(taken) for where, taken in seconds.items()}
    most = 1 if device != "cpu" else max(seconds["--no-cuda"]) / best["--no-cuda"]
    ratio = best["auto"] / best["--no-cuda"]
    got = f"{ratio:.3f} ({device}; {best['auto']:.2f} against {best['--no-cuda']:.2f} s)"
    return Row.holds(figure, f"<= {most:.3g}", ok=ratio <= most and len(tables) == 1, got=got)
