"""The compiled half of krill. Held equal to the module by stubtest."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from krill.map import AlignOptions
from krill.pore_model import PoreModel
from krill.pump import PumpSettings
from krill.reads.batch import ReadBatch

__all__ = [
    "MINIMAP2_VERSION",
    "Blow5Records",
    "DtwSetup",
    "PanicException",
    "PumpReport",
    "__version__",
    "align_batch",
    "align_stages",
    "available_threads",
    "cuda_gpus",
    "decode_vbz",
    "detached_seconds",
    "dtw_coordinate",
    "dtw_cross",
    "dtw_definition",
    "dtw_pairwise",
    "dtw_summary",
    "fastq_check",
    "fastq_pad",
    "fastq_split",
    "fastq_unpad",
    "instruction_sets",
    "labelled_scores",
    "line_ns",
    "map_align",
    "map_children",
    "mixture_evidence",
    "mixture_gain",
    "mod_tagged",
    "pump_copy",
    "pump_signals",
    "table_control_center",
    "table_lines",
    "table_shifts",
    "table_standardise",
    "turn_end",
    "turn_is_mine",
    "turn_take",
]

_F32 = npt.NDArray[np.float32]
_I32 = npt.NDArray[np.int32]
_I64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]

MINIMAP2_VERSION: str
__version__: str

class PanicException(BaseException):
    """The engine broke one of its own promises: a bug, whatever the input."""

@final
class DtwSetup:
    def __new__(
        cls,
        threads: int,
        cost: str,
        flags: tuple[bool, bool, bool],
        place: tuple[Sequence[int], int | None, int] | None = None,
    ) -> DtwSetup: ...

def dtw_pairwise(values: _F32, offsets: _I64, setup: DtwSetup) -> _F32: ...
def dtw_cross(a: tuple[_F32, _I64], b: tuple[_F32, _I64], setup: DtwSetup) -> _F32: ...
def dtw_definition(a: _F32, b: _F32, setup: DtwSetup) -> float: ...
def dtw_coordinate(
    signal: _F32, intervals: tuple[_I64, _I64, _I64], is_landmark: _Bool, setup: DtwSetup
) -> _F32: ...
def dtw_summary(
    signal: _F32,
    intervals: tuple[_I64, _I64, _I64],
    roles: tuple[_Bool, _Bool, _I64],
    n_nearest: int,
    setup: DtwSetup,
) -> _F32: ...
def instruction_sets() -> list[str]: ...
def cuda_gpus() -> tuple[
    list[tuple[int, str, tuple[int, int], tuple[int, int] | None, str | None]], str | None
]: ...
def align_batch(
    batch: ReadBatch,
    reference: npt.NDArray[np.uint8],
    model: PoreModel,
    mode: str,
    use_moves: bool,
    threads: int,
) -> tuple[
    npt.NDArray[np.int64], _I32, _I32, _I32, _F32, _F32, _F32, npt.NDArray[np.uint8], _F32, _F32, _F32, _F32
]:
    """Return the columns of `Alignments` in order."""

def align_stages(
    batch: ReadBatch, reference: npt.NDArray[np.uint8], model: PoreModel, mode: str, use_moves: bool
) -> dict[str, float]:
    """Align in one thread; return the seconds of processor time that each stage took."""

def decode_vbz(chunks: Sequence[tuple[bytes, int]]) -> npt.NDArray[np.int16]:
    """Return the int16 samples of a VBZ compressed signal, from its chunks with their numbers of samples."""

def detached_seconds() -> float:
    """Return the CPU seconds that the calling thread has spent in the engine, detached from Python."""

def labelled_scores(
    tables: list[tuple[_F32, _F32]],
    columns: int,
    kind: _I64,
    labellings: list[tuple[_I64, _Bool, _I64, int]],
    method: tuple[
        tuple[float, float, float],
        tuple[int, int, float, float, float, float],
        tuple[list[float], float, float],
        tuple[_F32, _F32, _F32, _F32, _F32],
        tuple[float, float, float, float, float],
        tuple[int, int],
    ],
    threads: int,
) -> list[tuple[_I64, _I32, npt.NDArray[np.float64]]]: ...
def mixture_evidence(
    values: _F32,
    precision: _F32,
    is_first: npt.NDArray[np.bool_],
    center: _F32,
    center_sd: _F32,
    axes: tuple[_F32, _F32, _F32, _F32, _F32],
    shape: tuple[float, float, float, float, float],
    details: bool,
    threads: int,
) -> tuple[npt.NDArray[np.float64], _F32, _F32, _F32, _F32]: ...
def mixture_gain(
    values: _F32,
    precision: _F32,
    is_first: npt.NDArray[np.bool_],
    rows: int,
    starts: tuple[tuple[float, ...], tuple[float, ...], float, int],
    threads: int,
) -> npt.NDArray[np.float64]: ...
def mod_tagged(
    bam: bytes,
    calls: tuple[_I64, _I32, _F32],
    contig: _I32,
    group: _I64,
    groups: list[str],
    codes: list[tuple[str, str]],
) -> bytes: ...
def table_control_center(
    values: _F32, precision: _F32, is_control: _Bool, rows: int
) -> tuple[_F32, _F32]: ...
def table_shifts(
    z: _F32,
    weight: _F32,
    is_control: _Bool,
    spread: _F32,
    footprint: tuple[list[float], float, float],
) -> tuple[_F32, _F32, _F32]: ...
def table_standardise(
    values: _F32,
    weight: _F32,
    is_control: _Bool,
    kind: _I64,
    moderation: tuple[float, float, float],
    trend: tuple[int, int, float, float, float, float],
) -> tuple[_F32, _F32]: ...
def table_lines(columns: list[npt.NDArray[np.float64] | _I64 | npt.NDArray[np.uint8]], n: int) -> bytes: ...
def turn_end() -> None: ...
def turn_is_mine() -> bool: ...
def turn_take() -> None: ...

@final
class PumpReport:
    """What a run of the pump cost; `krill.pump.PumpReport` gives names to the numbers."""

    @property
    def wall_s(self) -> float: ...
    @property
    def n_reads(self) -> int: ...
    @property
    def locks(self) -> list[tuple[str, int, float, float]]: ...
    @property
    def workers(self) -> list[tuple[float, float | None, float, int]]: ...

def pump_copy(
    reads: Sequence[Path], output: Path | None, settings: PumpSettings, work_ns: int = 0
) -> PumpReport:
    """Send reads through the pump: write them as FASTQ, or only count them."""

def pump_signals(path: Path, settings: PumpSettings) -> tuple[PumpReport, int]:
    """Decode all signals of a BLOW5 file through the pump; returns their samples too."""

@final
class Blow5Records:
    """An open BLOW5 file."""

    def __new__(cls, path: Path) -> Blow5Records: ...
    @property
    def header(self) -> bytes: ...
    @property
    def n_groups(self) -> int: ...
    @property
    def extent(self) -> tuple[int, int]: ...
    def scan(self, at: int, count: int, threads: int) -> tuple[list[bytes], list[tuple[int, int]]]: ...
    def read(
        self, places: npt.NDArray[np.uint64]
    ) -> tuple[list[bytes], _I64, npt.NDArray[np.int16], list[tuple[float, float, float]]]: ...

def fastq_pad(inputs: Sequence[Path], outputs: Sequence[Path], block_bytes: int) -> tuple[int, int, int]:
    """Pad FASTQ; returns bytes of a block, reads of a block, reads of the file."""

def fastq_unpad(inputs: Sequence[Path], outputs: Sequence[Path]) -> int:
    """Take padding out; returns the number of reads (of pairs)."""

def fastq_check(path: Path) -> tuple[int, int, int]:
    """Check a padded file against its sidecar; returns the same as `fastq_pad`."""

def line_ns() -> float | None:
    """Nanoseconds that a cache line takes from core to core; None where there is one core."""

def available_threads() -> int:
    """Cores this process may use: affinity and cgroup quota, not the cores of the host."""

def map_align(
    reads: Sequence[Path], reference: Path, output: Path, options: AlignOptions, settings: PumpSettings
) -> tuple[int, int, float, PumpReport, PumpReport]:
    """Align reads with minimap2; reads, mapped reads, seconds of indexing, mapping, merging."""

def map_children(
    reads: Sequence[Path],
    children: tuple[str, Sequence[tuple[Sequence[str], Path]]],
    output: Path,
    options: AlignOptions,
    settings: PumpSettings,
) -> tuple[int, int, float, PumpReport, PumpReport]:
    """Align reads with child processes that print SAM."""

def fastq_split(inputs: Sequence[Path], shares: Sequence[Sequence[Path]]) -> int:
    """Cut reads into equal shares beforehand, one list of paths per share."""
