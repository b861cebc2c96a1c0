"""Blocked gzip, the container of BAM and of files that bgzip made."""

from pathlib import Path

LAST_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""Holds nothing; says that a file is whole."""

_START, _KIND, _HEADER_BYTES = b"\x1f\x8b\x08\x04", slice(12, 14), 18
_END = LAST_BLOCK.rstrip(b"\0")
_TAIL_BYTES = 1 << 16


def lacks_end(path: Path) -> bool:
    """Say whether a file is blocked gzip without its last block, as if cut between two blocks.

    False for whatever else it is; of a pipe nothing is read. Zeros behind the last block are padding.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        header = handle.read(_HEADER_BYTES)
        if not header.startswith(_START) or header[_KIND] != b"BC":
            return False
        handle.seek(max(0, handle.seek(0, 2) - _TAIL_BYTES))
        tail = handle.read().rstrip(b"\0")
    return bool(tail) and not tail.endswith(_END)
