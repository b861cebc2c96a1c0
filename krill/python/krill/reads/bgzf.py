"""Blocked gzip, the container of BAM."""

from krill import _krill

MAX_TEXT_BYTES = 0xFF00
"""Bytes in a block: deflated they fit into 64 KiB, whatever they are."""

LAST_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""Holds nothing; says that a file is whole."""


def deflate(text: bytes, level: int = 6) -> bytes:
    """Return text as blocks, each of `MAX_TEXT_BYTES` but for the last, without `LAST_BLOCK`.

    Raises
    ------
    ValueError
        If the level is not from 0 (stored) to 12 (slow).
    """
    return _krill.bgzf_deflate(text, level)
