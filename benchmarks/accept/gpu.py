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
    "planning on a fake device: limits, halving, sharing, refusals": "batches|refused|share_the|failing",
}
DEVICE_FIGURES = {
    "GPU = processor, bit by bit (tests marked gpu)": "pass",
    "useful cells/s at 3 bases, 300 + 300 (H200)": ">= 5e+12",
    "times the wavefront kernel, 3 bases": ">= 50",
    "`baleen run` on the GPU / on the processor, wall time, small and large": "<= 1",
}


def rows() -> Iterator[Row]:
    """Measure the rows one by one."""
    yield from _host_tests()
    yield _fake_driver()
    yield from _compiled()
    yield from _without_a_driver()
    gpus = [device.name for device in krill.devices() if device.model]
    if gpus:
        yield from _on_a_device(gpus[0])
        return
    for figure, must in DEVICE_FIGURES.items():
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
        tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"]
        done = subprocess.run(tests, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    got = (done.stdout.strip().splitlines() or ["nothing ran"])[-1]
    figure = "tests marked gpu on a driver of host memory: calls and a whole run = processor"
    return Row.holds(figure, "all pass", ok=done.returncode == 0, got=got)


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
    tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"]
    done = subprocess.run(tests, cwd=ROOT, capture_output=True, text=True, check=False)
    got = (done.stdout.strip().splitlines() or ["nothing ran"])[-1]
    yield Row.holds(figures[0], "pass", ok=done.returncode == 0, got=got)
    table = {(rate.case, rate.what): rate.tera_per_s for rate in dtw_gpu.measure(device)}
    yield Row.at_least(figures[1], 1e12 * table["3 bases", "krill"], 5e12, 7.5e12)
    yield Row.at_least(figures[2], table["3 bases", "krill"] / table["3 bases", "wavefront"], 50)
    yield Row.at_most(figures[3], max(_run_ratio(device, n) for n in (1, 40)), 1)


def _run_ratio(device: str, n_contigs: int) -> float:
    """Wall time of a run on the device over one on the processor, on a simulated pair."""
    with tempfile.TemporaryDirectory(prefix="baleen-accept-") as folder:
        pair = Path(folder) / "pair"
        baleen = [sys.executable, "-m", "baleen"]
        simulate = ["simulate", "-o", pair, "--contigs", n_contigs, "--contig-length", 300, "--reads", 100]
        subprocess.run([*baleen, *map(str, simulate)], check=True, capture_output=True)
        files: list[object] = ["--ref", pair / "ref.fa"]
        for name in ("native", "ivt"):
            files += [f"--{name}-bam", pair / name / "reads.bam"]
            files += [f"--{name}-blow5", pair / name / "reads.blow5"]
        seconds = {}
        for where in (["--no-cuda"], ["--cuda", device.removeprefix("cuda:")]):
            start = time.perf_counter()
            run = ["run", *files, "-o", Path(folder) / where[0], *where]
            subprocess.run([*baleen, *map(str, run)], check=True, capture_output=True)
            seconds[where[0]] = time.perf_counter() - start
    return seconds["--cuda"] / seconds["--no-cuda"]
