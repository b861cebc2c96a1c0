"""How long a run will take and what it will need, from the plan alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from baleen.config import CallingConfig
from baleen.executors import Layout
from baleen.inputs import ContigTask
from baleen.plan import Plan

# Measured on one core of an AVX-512 server with `baleen run` (stage_seconds in run.json).
_SAMPLES_PER_BASE = {"rna002": 43.0, "rna004": 31.0}
_ALIGN_SAMPLES_PER_S = 10e6
_DTW_CELLS_PER_S = 8e9
_MOST_LANDMARKS = 128
_WINDOWS_CELLS = 1 + 3**2  # the base alone, and with one base on either side
_TABLE_ROWS_PER_S = 0.5e6
_CALLING_S_PER_READ_POSITION = 10e-6
_START_S = 3.0

_BASE_BYTES = 250 << 20  # an idle worker
_BYTES_PER_SAMPLE = 14.0  # int16 as read, float32 scaled, intermediate copies
_BYTES_PER_READ_POSITION = 160.0
_DISK_PER_READ_POSITION = 14.0
_ROW_BYTES = 120.0
"""Of an event table: what a compressed one is unpacked to."""


@dataclass(frozen=True)
class Estimate:
    """What a run needs at most: reads are taken to span their contig. Meant for a job's limits.

    Parameters
    ----------
    seconds
        Wall time with this layout.
    worker_bytes, total_bytes
        Peak memory of the largest worker; of all processes.
    disk_bytes
        Results and slices.
    """

    seconds: float
    worker_bytes: float
    total_bytes: float
    disk_bytes: float

    def lines(self) -> Iterator[str]:
        """Return the estimate as text."""
        minutes = self.seconds / 60
        shown = f"{self.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
        yield f"time: at most about {shown}"
        yield (
            f"memory: at most about {_shown(self.total_bytes)} in all, "
            f"{_shown(self.worker_bytes)} in the largest worker"
        )
        yield f"disk: at most about {_shown(self.disk_bytes)}"


def estimate(plan: Plan, layout: Layout, config: CallingConfig) -> Estimate:
    """Estimate a run from what is done, on how many cores."""
    tables = [sample.eventalign for sample in plan.samples if sample.eventalign is not None]
    costs = _costs(plan, config)
    tasks = [task for group in plan.groups for task in group.tasks]
    cpu_s = sum(costs.cpu_seconds(task) for task in tasks)
    longest_s = max((costs.cpu_seconds(task) for task in tasks), default=0.0)
    needs = sorted((costs.bytes(task) for task in tasks), reverse=True)
    n_in_hand = max(1, layout.processes) * layout.in_hand
    pairs = sum(task.length_bp * sum(task.n_reads) for task in tasks)
    unpacked = _ROW_BYTES if config.signal and any(path.suffix == ".gz" for path in tables) else 0.0
    return Estimate(
        seconds=_START_S + max(cpu_s / layout.cores, longest_s / layout.threads),
        worker_bytes=_BASE_BYTES + sum(needs[: layout.in_hand]),
        total_bytes=_BASE_BYTES * (1 + layout.processes) + sum(needs[:n_in_hand]),
        disk_bytes=pairs * (_DISK_PER_READ_POSITION + unpacked),
    )


def dtw_seconds(plan: Plan, config: CallingConfig) -> float:
    """Return at most how long one core of the processor takes for the distances of a run."""
    costs = _costs(plan, config)
    return sum(costs.dtw_seconds(task) for group in plan.groups for task in group.tasks)


def _costs(plan: Plan, config: CallingConfig) -> "_Costs":
    tables = [sample.eventalign for sample in plan.samples if sample.eventalign is not None]
    return _Costs(
        samples_per_base=_SAMPLES_PER_BASE.get(plan.chemistry or "", 0.0) * (config.signal and not tables),
        has_distances="shape" in config.channels,
        row_s=1 / _TABLE_ROWS_PER_S if tables and config.signal else 0.0,
    )


@dataclass(frozen=True)
class _Costs:
    """What a contig costs with the inputs and channels of a run."""

    samples_per_base: float
    has_distances: bool
    row_s: float

    def cpu_seconds(self, task: ContigTask) -> float:
        positions, depth = task.length_bp, sum(task.n_reads)
        samples = positions * depth * self.samples_per_base
        rest = positions * depth * (_CALLING_S_PER_READ_POSITION + self.row_s)
        return samples / _ALIGN_SAMPLES_PER_S + self.dtw_seconds(task) + rest

    def dtw_seconds(self, task: ContigTask) -> float:
        depth = sum(task.n_reads)
        pairs = depth * min(depth, _MOST_LANDMARKS) / 2 * self.has_distances
        cells = task.length_bp * pairs * self.samples_per_base**2 * _WINDOWS_CELLS
        return cells / _DTW_CELLS_PER_S

    def bytes(self, task: ContigTask) -> float:
        pairs = task.length_bp * sum(task.n_reads)
        return pairs * (self.samples_per_base * _BYTES_PER_SAMPLE + _BYTES_PER_READ_POSITION)


def _shown(n_bytes: float) -> str:
    """Return a number of bytes in a unit that fits, never as nothing."""
    mib = n_bytes / (1 << 20)
    return f"{mib / 1024:.1f} GiB" if mib >= 1000 else f"{max(1.0, mib):.0f} MiB"
