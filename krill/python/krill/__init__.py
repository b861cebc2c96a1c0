"""Engine of Baleen: reads, signals, event alignment and dynamic time warping.

Arrays in, arrays out. Knows reads and signals, nothing of modification calling.
"""

from krill._krill import PanicException, __version__, detached_seconds
from krill.align import align
from krill.devices import Device, GpuShare, devices, gpu_problems, open_early, require_device
from krill.dtw import (
    DtwOptions,
    DtwSummary,
    SignalWindows,
    WindowRoles,
    dtw_coordinate,
    dtw_cross,
    dtw_distance,
    dtw_pairwise,
    dtw_summary,
)
from krill.errors import DeviceError, DeviceMemoryError, FormatError, KrillError
from krill.lines import table_lines
from krill.pore_model import PoreModel
from krill.ragged import Ragged
from krill.reads.batch import Alignments, ReadBatch, ReadStatus
from krill.turn import aside, turn

__all__ = [
    "PanicException",
    "Alignments",
    "Device",
    "DeviceError",
    "DeviceMemoryError",
    "DtwOptions",
    "DtwSummary",
    "FormatError",
    "GpuShare",
    "KrillError",
    "PoreModel",
    "Ragged",
    "ReadBatch",
    "ReadStatus",
    "SignalWindows",
    "WindowRoles",
    "__version__",
    "detached_seconds",
    "devices",
    "dtw_coordinate",
    "dtw_cross",
    "dtw_distance",
    "dtw_pairwise",
    "dtw_summary",
    "gpu_problems",
    "open_early",
    "require_device",
    "align",
    "aside",
    "table_lines",
    "turn",
]
