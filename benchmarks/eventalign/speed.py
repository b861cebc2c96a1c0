"""How fast reads are aligned, on one core: whole calls and single stages."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import krill
from krill import PoreModel, ReadBatch, _krill

REPEATS = 5


@dataclass(frozen=True)
class Speed:
    """Processor time of one call, the least of several."""

    msamples_per_s: float
    ns_per_sample: dict[str, float]
    """By stage; what is missing to the whole is conversion."""


def measure(
    batch: ReadBatch, reference: npt.NDArray[np.uint8], model: PoreModel, isa: str, mode: str = "standard"
) -> Speed:
    """Align ``batch`` with one instruction set; ``ValueError`` where the processor lacks it."""
    n, whole, stages = len(batch.signal.values), np.inf, dict[str, float]()
    with _forced(isa):
        for _ in range(REPEATS):
            begin = time.process_time()
            krill.align(batch, reference, model, mode=mode)
            whole = min(whole, time.process_time() - begin)
            for stage, seconds in _krill.align_stages(batch, reference, model, mode, use_moves=True).items():
                stages[stage] = min(stages.get(stage, np.inf), seconds)
    return Speed(n / whole / 1e6, {stage: seconds / n * 1e9 for stage, seconds in stages.items()})


@contextmanager
def _forced(isa: str) -> Iterator[None]:
    before = os.environ.get("KRILL_ISA")
    os.environ["KRILL_ISA"] = isa
    try:
        yield
    finally:
        os.environ.pop("KRILL_ISA")
        if before is not None:
            os.environ["KRILL_ISA"] = before
