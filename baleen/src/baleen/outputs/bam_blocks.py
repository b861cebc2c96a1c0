"""Sorted BAM slices to one BAM: compressed blocks are copied, not decoded."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pysam

from baleen.files import complete_file

_START_BYTES, _SIZE_AT, _END_BYTES = 18, 16, 4
"""Of a block: bytes up to and with its size, where the size stands, bytes of its text's length."""

_LAST_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""Holds nothing; says that a file is whole."""


def merge_bams(slices: Sequence[Path], header: pysam.AlignmentHeader, path: Path) -> None:
    """Concatenate sorted slices, which have this header, in its order and index the result.

    One slice is open at a time; ``samtools cat`` holds the headers of all.
    """
    index = path.with_name(path.name + ".bai")
    index.unlink(missing_ok=True)
    with complete_file(path) as part:
        pysam.AlignmentFile(str(part), "wb", header=header).close()
        with part.open("rb+") as out:
            header_bytes = _skip_blocks(out)
            out.seek(-len(_LAST_BLOCK), os.SEEK_END)
            for one in slices:
                _copy_records(one, header_bytes, out)
            out.write(_LAST_BLOCK)
        pysam.quickcheck(str(part))
    with complete_file(index) as part:
        pysam.index("-b", str(path), str(part))


def _copy_records(bam: Path, header_bytes: int, out: BinaryIO) -> None:
    """Append all blocks but those of the header and the last."""
    with bam.open("rb") as blocks:
        if _skip_blocks(blocks, header_bytes) != header_bytes:
            message = f"{bam}: records do not begin in a block of their own after the header"
            raise ValueError(message)
        shutil.copyfileobj(blocks, out)
    out.seek(-len(_LAST_BLOCK), os.SEEK_CUR)
    if out.read() != _LAST_BLOCK:
        message = f"{bam}: is cut short"
        raise ValueError(message)
    out.seek(-len(_LAST_BLOCK), os.SEEK_CUR)


def _skip_blocks(bam: BinaryIO, text_bytes: float = float("inf")) -> int:
    """Pass blocks until they held this much text, or all; return how much it was."""
    passed = 0
    while passed < text_bytes and (start := bam.read(_START_BYTES)):
        size = int.from_bytes(start[_SIZE_AT:], "little") + 1
        bam.seek(size - _START_BYTES - _END_BYTES, os.SEEK_CUR)
        passed += int.from_bytes(bam.read(_END_BYTES), "little")
    return passed
