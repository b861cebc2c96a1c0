"""Engine of Baleen: reads, signals, event alignment and dynamic time warping.

Arrays in, arrays out. Knows reads and signals, nothing of modification calling.
"""

from krill._krill import __version__
from krill.errors import DeviceError, DeviceMemoryError, FormatError, KrillError
from krill.pore_model import PoreModel
from krill.ragged import Ragged
from krill.reads.batch import Alignments, ReadBatch, ReadStatus

__all__ = [
    "Alignments",
    "DeviceError",
    "DeviceMemoryError",
    "FormatError",
    "KrillError",
    "PoreModel",
    "Ragged",
    "ReadBatch",
    "ReadStatus",
    "__version__",
]
