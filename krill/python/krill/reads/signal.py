"""Open a signal file, whatever its format."""

from pathlib import Path

from krill.errors import FormatError
from krill.reads.blow5 import MAGIC as BLOW5_MAGIC
from krill.reads.blow5 import Blow5File
from krill.reads.signal_file import SignalFile

SUFFIXES = (".blow5", ".pod5")
_POD5_MAGIC = b"\x8bPOD\r\n\x1a\n"
_HDF5_MAGIC = b"\x89HDF"
_SLOW5_START = b"#slow5"


def open_signal(path: Path) -> SignalFile:
    """Open a BLOW5 or POD5 file after checking that it is whole.

    Raises
    ------
    FormatError
        If there is no such file, or it is something else, or it is cut short.
    """
    try:
        with path.open("rb") as handle:
            start = handle.read(8)
    except OSError as error:
        raise FormatError(path, f"cannot be read: {error.strerror}") from error
    if start.startswith(BLOW5_MAGIC):
        return Blow5File(path)
    if start.startswith(_POD5_MAGIC):
        from krill.reads.pod5 import Pod5File  # its libraries take half a second to load

        return Pod5File(path)
    if start.startswith(_HDF5_MAGIC):
        hint = f"pod5 convert fast5 {path} --output {path.with_suffix('.pod5')}"
        problem = "is a FAST5 (HDF5) file, which is not read"
    elif start.startswith(_SLOW5_START):
        hint = f"slow5tools view {path} -o {path.with_suffix('.blow5')}"
        problem = "is a text SLOW5 file, which is not read"
    else:
        hint = "give a BLOW5 or POD5 file; is this one complete?"
        problem = "is empty" if not start else "is neither BLOW5 nor POD5"
    raise FormatError(path, problem, hint=hint)
