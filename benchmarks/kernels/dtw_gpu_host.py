"""How long a GPU would wait for the host: whole calls on a driver that answers when a device would.

The driver (`cuda/paced.cpp`) computes nothing; checking, planning, packing, sending and unpacking are
real. So this needs no GPU, and no result of it is one.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import ROOT

CELLS_PER_S = 6.5e12
"""Useful cells of `dtw_pairs` on an H100 at 3 bases, as its profiler measured."""

ROUNDS = 15
SOURCE = ROOT / "benchmarks" / "kernels" / "cuda" / "paced.cpp"


def busy_share() -> tuple[float, float]:
    """Return the share of a whole call's time in which the device has pairs, and the call's seconds."""
    with tempfile.TemporaryDirectory(prefix="baleen-paced-") as folder:
        compiler = ["c++", "-std=c++17", "-O2", "-shared", "-fPIC"]
        library = Path(folder) / "libcuda.so.1"
        subprocess.run([*compiler, SOURCE, "-o", library, "-lpthread"], check=True)
        environment = {**os.environ, "LD_LIBRARY_PATH": folder}
        command = [sys.executable, "-m", __name__]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    busy, whole = map(float, done.stdout.split())
    return busy / whole, whole


def main() -> None:
    """Print the seconds of pairs and the fewest of a whole call; to be run on the paced driver."""
    import time

    import krill
    from benchmarks.kernels import dtw_gpu

    windows, roles, cells = dtw_gpu.deep_positions("3 bases")
    busy = cells / CELLS_PER_S
    os.environ["PACED_PAIRS_NS"] = str(1e9 * busy / dtw_gpu.N_POSITIONS)
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        krill.dtw_summary(windows, roles, device="cuda:0", threads=dtw_gpu.HOST_THREADS)
        taken.append(time.perf_counter() - start)
    print(busy, min(taken))


if __name__ == "__main__":
    main()
