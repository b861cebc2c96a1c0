"""`baleen devices`, and which device a run takes."""

import pytest
from click.testing import CliRunner

import krill
from baleen.commands.devices import command
from baleen.config import RunConfig
from baleen.pipeline import choose_device

GPUS = [
    (0, "Old", (6, 1), None, "its compute capability is 6.1; 7.0 or later is needed"),
    (1, "Large", (9, 0), (70 << 30, 80 << 30), None),
    (2, "Small", (8, 6), (7 << 30, 8 << 30), None),
]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with three GPUs, as the driver would tell of them."""
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: (GPUS, None))


def chosen(device: str, dtw_s: float = 60.0) -> str:
    return choose_device(RunConfig(device=device, threads=4), dtw_s)


def test_devices_lists_the_processor_and_the_formats() -> None:
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert result.output.startswith("cpu: ")
    assert "signal formats: blow5, pod5" in result.output


def test_devices_says_why_no_gpu_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: ([], "libcuda is not there"))
    assert "not used: cuda: libcuda is not there" in CliRunner().invoke(command).output


@pytest.mark.usefixtures("gpus")
def test_devices_lists_gpus_with_their_memory_and_those_not_used_with_the_reason() -> None:
    lines = CliRunner().invoke(command).output.splitlines()
    assert lines[1:4] == [
        "cuda:1: Large, sm_90, 70.0 of 80.0 GiB free",
        "cuda:2: Small, sm_86, 7.0 of 8.0 GiB free",
        "not used: cuda:0 (Old): its compute capability is 6.1; 7.0 or later is needed",
    ]


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [("auto", "cuda:1"), ("cpu", "cpu"), ("cuda:2,1", "cuda:1,2"), ("cuda:all", "cuda:1,2")],
)
def test_run_takes_the_devices_that_were_asked_for(asked: str, expected: str) -> None:
    assert chosen(asked) == expected


@pytest.mark.usefixtures("gpus")
def test_a_gpu_is_not_opened_for_little_work_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("cuda:1", dtw_s=0.1) == "cuda:1"
    assert chosen("auto", dtw_s=2.1) == "cuda:1"  # four cores: half a second each
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: pytest.fail("opened"))
    assert chosen("auto", dtw_s=1.9) == "cpu"


@pytest.mark.usefixtures("gpus")
def test_gpu_that_cannot_be_used_ends_the_run_before_it_begins() -> None:
    with pytest.raises(krill.DeviceError, match=r"device cuda:0: its compute capability is 6\.1"):
        chosen("cuda:0,1")


def test_without_gpus_a_run_takes_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: ([], "libcuda is not there"))
    assert chosen("auto") == "cpu"
    with pytest.raises(krill.DeviceError, match="device cuda:0: libcuda is not there"):
        chosen("cuda:0")
