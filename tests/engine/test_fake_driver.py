"""The whole way from Python to a kernel on a driver made of host memory, in place of libcuda."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "krill" / "signal" / "kernels" / "host" / "libcuda.cpp"
COMPILER = shutil.which("c++")
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="no C++ compiler"),
    pytest.mark.skipif(sys.platform != "linux", reason="the library's name is Linux's"),
]

SAME_BITS = """
import numpy as np, krill
rng = np.random.default_rng(1)
lengths = rng.integers(1, 70, 90)
end = np.cumsum(lengths)
windows = krill.SignalWindows(rng.normal(90, 10, end[-1]), end - lengths, end, [0, 40, 40, 90])
chosen = rng.random(90) < 0.4
roles = krill.WindowRoles(chosen, ~chosen | (rng.random(90) < 0.5), rng.integers(0, 3, 90))
signals = [rng.normal(size=n) for n in (1, 31, 32, 33, 57, 1001)]
calls = {
    "coordinate": lambda device: krill.dtw_coordinate(windows, chosen, device=device),
    "summary": lambda device: krill.dtw_summary(windows, roles, device=device).nearest,
    "pairwise": lambda device: krill.dtw_pairwise(signals, device=device),
    "cross": lambda device: krill.dtw_cross(
        signals[:3], signals[:5], device=device, options=krill.DtwOptions(cost="absolute", open_end=True)
    ),
}
for name, call in calls.items():
    for device in ("cuda:1", krill.GpuShare("cuda:all", memory_limit=3_000_000, sharers=2)):
        result[f"{name} on {device}"] = bool(np.array_equal(call("cpu"), call(device), equal_nan=True))
"""
DEVICES = """
import krill
result["devices"] = [device.name for device in krill.devices()][1:]
result["problems"] = krill.gpu_problems()
"""
TOO_LARGE = """
import numpy as np, krill
try:
    krill.dtw_pairwise(np.ones((300, 40), np.float32), device="cuda:0")
except krill.DeviceMemoryError as error:
    result["error"] = str(error)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Folder of the driver."""
    folder = tmp_path_factory.mktemp("driver")
    command = [COMPILER, "-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", SOURCE]
    subprocess.run([*command, "-o", folder / "libcuda.so.1", "-lpthread"], check=True)
    return folder


def run(library, code, **settings):
    """Run code in a process that finds the driver; return what it left in ``result``."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    environment |= {f"FAKE_CUDA_{name}": str(value) for name, value in settings.items()}
    whole = f"import json\nresult = {{}}\n{code}\nprint(json.dumps(result))"
    done = subprocess.run(
        [sys.executable, "-c", whole], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_call_gives_the_processors_bits(library):
    found = run(library, SAME_BITS)
    assert len(found) == 8
    assert all(found.values()), found


@pytest.mark.parametrize(
    ("settings", "devices", "problems"),
    [
        ({}, ["cuda:0", "cuda:1"], []),
        ({"DEVICES": 0}, [], ["cuda: the driver finds no GPU"]),
        ({"VERSION": 11040}, [], ["cuda: the driver knows CUDA 11.4; 12.1 or later is needed"]),
        (
            {"DEVICES": 1, "CAPABILITY": 6},
            [],
            ["cuda:0 (Fake 0): its compute capability is 6.0; 7.0 or later is needed"],
        ),
        ({"DEVICES": 1, "BYTES": 1 << 20}, [], ["cuda:0 (Fake 0): only 1 MiB of its memory are free"]),
    ],
    ids=["two", "none", "old driver", "old GPU", "full"],
)
def test_devices_are_those_that_can_be_used_and_the_others_have_a_reason(
    library, settings, devices, problems
):
    assert run(library, DEVICES, **settings) == {"devices": devices, "problems": problems}


def test_memory_that_is_too_small_is_an_error_with_the_numbers(library):
    error = run(library, TOO_LARGE, BYTES=200_000)["error"]
    assert error.startswith("device cuda:0: one position needs ")
    assert error.endswith("bytes of its memory; 180000 may be used")
