"""Runs on a GPU: the share of it that a run asks for, and how a run ends if the GPU fails."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import krill
from baleen import pipeline, scoring
from baleen.config import Config
from baleen.distances import distances
from baleen.inputs import SampleFiles
from baleen.simulate import SimulationConfig
from baleen.simulated_pair import random_contigs, write_pair

ONE_GPU = [(0, "Large", (9, 0), (70 << 30, 80 << 30), None)]
HAS_GPU = any(device.name.startswith("cuda") for device in krill.devices())


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., pipeline.RunRequest]:
    """Return requests of a run on one small contig, with any settings."""
    config = SimulationConfig(reads=12, seed=5)
    pair = write_pair(tmp_path / "pair", random_contigs(1, 120, config), config).folder
    samples = tuple(
        SampleFiles(name, name == "native", (pair / name / "reads.bam",), (pair / name / "reads.blow5",))
        for name in ("native", "ivt")
    )

    def make(output: str, **settings: Any) -> pipeline.RunRequest:
        shape = {"channels": ("level", "shape"), "threads": 1, "min_depth": 5, "permutations": 1}
        return pipeline.RunRequest(
            samples=samples,
            reference=pair / "ref.fa",
            output_dir=tmp_path / output,
            config=Config.from_settings({**shape, **settings}),
        )

    return make


def sites(request: pipeline.RunRequest) -> bytes:
    return (request.output_dir / "site_results.tsv").read_bytes()


def test_a_run_asks_for_its_share_of_the_gpu(request_of, monkeypatch):
    monkeypatch.setitem(krill.devices.__globals__, "cuda_gpus", lambda: (ONE_GPU, None))
    asked = []

    def on_the_processor(pileup, *, device, each):
        asked.append(device)
        return distances(pileup, each=each)

    monkeypatch.setattr(scoring, "distances", on_the_processor)
    request = request_of("gpu", device="cuda:all", gpu_memory_limit=8 << 30)
    assert pipeline.run(request) is not None
    assert asked == [krill.GpuShare("cuda:0", memory_limit=8 << 30, sharers=1)]
    assert '"device": "cuda:0"' in (request.output_dir / "run.json").read_text()


def test_a_gpu_that_fails_ends_the_run_and_the_processor_goes_on_with_it(request_of, monkeypatch):
    undisturbed = request_of("undisturbed", device="cpu")
    pipeline.run(undisturbed)
    request = request_of("out", device="cpu")

    def fails(pileup, *, device, each):
        message = "device cuda:0: computing a batch: CUDA_ERROR_LAUNCH_FAILED"
        raise krill.DeviceError(message)

    with monkeypatch.context() as broken:
        broken.setattr(scoring, "distances", fails)
        with pytest.raises(krill.DeviceError, match="computing a batch"):
            pipeline.run(request)
    assert pipeline.run(replace(request, is_resumed=True)) is not None
    assert sites(request) == sites(undisturbed)


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="; ".join(krill.gpu_problems()) or "no GPU")
def test_a_run_on_a_gpu_gives_the_processors_bytes(request_of):
    on_the_processor, on_gpus = request_of("cpu", device="cpu"), request_of("gpu", device="cuda:all")
    pipeline.run(on_the_processor)
    pipeline.run(on_gpus)
    assert sites(on_gpus) == sites(on_the_processor)
