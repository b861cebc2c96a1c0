"""GPUs: the same bits as the processor where there is one, a clear reason where there is none."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import krill
from krill import DtwOptions, GpuShare, SignalWindows, WindowRoles

GPUS = [device.name for device in krill.devices() if device.name.startswith("cuda:")]
needs_gpu = pytest.mark.skipif(not GPUS, reason="; ".join(krill.gpu_problems()) or "no GPU")


def some_windows(rng, n_positions=3, n_per_position=150, longest=140):
    lengths = rng.integers(1, longest, n_positions * n_per_position)
    lengths[[7, 9, -1]] = 1500, 2500, 4000  # summed in float64; two of one position
    end = np.cumsum(lengths)
    signal = (90 + 10 * rng.standard_normal(end[-1])).astype(np.float32)
    return SignalWindows(signal, end - lengths, end, np.arange(n_positions + 1) * n_per_position)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("device", [*GPUS, "cuda:all"])
def test_coordinate_on_a_gpu_has_the_processors_bits(device):
    rng = np.random.default_rng(1)
    windows = some_windows(rng)
    is_landmark = rng.random(len(windows)) < 0.6
    expected = krill.dtw_coordinate(windows, is_landmark)
    assert np.array_equal(expected, krill.dtw_coordinate(windows, is_landmark, device=device), equal_nan=True)
    share = GpuShare(device, memory_limit=64 << 20, sharers=4)
    assert np.array_equal(expected, krill.dtw_coordinate(windows, is_landmark, device=share), equal_nan=True)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("device", GPUS)
def test_calls_of_many_threads_at_once_have_the_processors_bits(device):
    windows = [some_windows(np.random.default_rng(seed), 2, 90) for seed in range(12)]
    everyone = [np.arange(len(one)) % 3 > 0 for one in windows]
    expected = [krill.dtw_coordinate(*one) for one in zip(windows, everyone, strict=True)]
    share = GpuShare(device, memory_limit=96 << 20)
    with ThreadPoolExecutor(6) as threads:
        found = threads.map(partial(krill.dtw_coordinate, device=share), windows, everyone)
        for one, other in zip(expected, found, strict=True):
            assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("device", GPUS)
def test_summary_on_a_gpu_has_the_processors_bits(device):
    rng = np.random.default_rng(2)
    windows = some_windows(rng)
    roles = WindowRoles(
        rng.random(len(windows)) < 0.7, rng.random(len(windows)) < 0.7, rng.integers(0, 9, len(windows))
    )
    expected = krill.dtw_summary(windows, roles)
    got = krill.dtw_summary(windows, roles, device=device)
    for field in dataclasses.fields(expected):
        assert np.array_equal(getattr(expected, field.name), getattr(got, field.name), equal_nan=True)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("device", GPUS)
@pytest.mark.parametrize(
    "options", [DtwOptions(), DtwOptions(cost="absolute"), DtwOptions(normalised=True)], ids=str
)
def test_pairwise_on_a_gpu_has_the_processors_bits_at_every_edge(device, options):
    rng = np.random.default_rng(3)
    edges = [1, 2, 31, 32, 33, 47, 48, 49, 55, 56, 57, 63, 64, 65, 112, 113, 999, 1000, 1001, 3000]
    signals = [(90 + 10 * rng.standard_normal(n)).astype(np.float32) for n in edges for _ in range(3)]
    expected = krill.dtw_pairwise(signals, options=options)
    assert np.array_equal(expected, krill.dtw_pairwise(signals, options=options, device=device))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("device", GPUS)
def test_open_ends_on_a_gpu_have_the_processors_bits(device):
    rng = np.random.default_rng(4)
    a, b = ([rng.normal(size=n).astype(np.float32) for n in (1, 8, 9, 40, 130)] for _ in range(2))
    for options in (DtwOptions(open_start=True), DtwOptions(open_end=True, open_start=True)):
        expected = krill.dtw_cross(a, b, options=options)
        assert np.array_equal(expected, krill.dtw_cross(a, b, options=options, device=device))


def test_gpu_that_is_not_there_is_refused_by_every_call():
    windows = some_windows(np.random.default_rng(5), 1, 10)
    everyone = np.ones(10, bool)
    calls = [
        lambda: krill.dtw_pairwise([[1.0], [2.0]], device="cuda:999"),
        lambda: krill.dtw_cross([[1.0]], [[2.0]], device="cuda:999"),
        lambda: krill.dtw_coordinate(windows, everyone, device=GpuShare("cuda:999")),
        lambda: krill.dtw_summary(windows, WindowRoles(everyone, everyone, np.arange(10)), device="cuda:999"),
    ]
    for call in calls:
        with pytest.raises(krill.DeviceError, match="device cuda:999: "):
            call()


@pytest.mark.parametrize("name", ["tpu", "cuda", "cuda:x", "cuda:0,", "cuda:-1"])
def test_device_of_no_known_name_is_refused_with_those_there_are(name):
    with pytest.raises(krill.DeviceError, match="is not known; it is cpu, cuda:0, cuda:0,1 or cuda:all"):
        krill.dtw_pairwise([[1.0], [2.0]], device=name)


def test_why_no_gpu_is_used_is_said():
    assert GPUS or krill.gpu_problems()


PROBED = [
    (0, "Old", (6, 1), None, "its compute capability is 6.1; 7.0 or later is needed"),
    (1, "Good", (9, 0), (70 << 30, 80 << 30), None),
    (2, "Full", (9, 0), (1 << 20, 80 << 30), "only 1 MiB of its memory are free"),
]


def test_gpus_that_cannot_be_used_are_told_apart_from_those_that_can(monkeypatch):
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: (PROBED, None))
    assert [device.name for device in krill.devices()] == ["cpu", "cuda:1"]
    assert krill.gpu_problems() == (
        "cuda:0 (Old): its compute capability is 6.1; 7.0 or later is needed",
        "cuda:2 (Full): only 1 MiB of its memory are free",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda:0", "device cuda:0: its compute capability is 6.1; 7.0 or later is needed"),
        ("cuda:1,2", "device cuda:2: only 1 MiB of its memory are free"),
        ("cuda:3", "device cuda:3: there is no such GPU; there are cuda:1"),
    ],
)
def test_gpu_that_cannot_be_used_is_refused_with_its_reason(monkeypatch, name, message):
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: (PROBED, None))
    with pytest.raises(krill.DeviceError) as refusal:
        krill.require_device(name)
    assert str(refusal.value) == message


def test_all_gpus_are_those_that_can_be_used(monkeypatch):
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: (PROBED, None))
    assert krill.require_device("cuda:all") == "cuda:1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_importing_opens_no_driver():
    code = "import krill; print('libcuda' in open('/proc/self/maps').read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
