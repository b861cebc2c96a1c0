"""BAM records in compressed blocks without a header; blocks of many slices become one BAM by copying."""

import gzip
import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pysam

from baleen.files import complete_file
from krill.reads.bgzf import LAST_BLOCK, MAX_TEXT_BYTES, deflate

_PORTION_BYTES = 16 * MAX_TEXT_BYTES
"""Text that is deflated at once."""

_CONTIG_AT, _MATE_AT = 0, 20
"""Where a record has the numbers of its contig and of its mate's."""


def write_records(bam: BinaryIO, numbers: Sequence[int], out: BinaryIO) -> None:
    """Write the records of a BAM as blocks; its i-th contig gets the number ``numbers[i]``."""
    text = bytearray()
    with gzip.open(bam) as records:
        _skip_header(records)
        while size := records.read(4):
            record = bytearray(records.read(int.from_bytes(size, "little")))
            for at in (_CONTIG_AT, _MATE_AT):
                (contig,) = struct.unpack_from("<i", record, at)
                struct.pack_into("<i", record, at, numbers[contig] if contig >= 0 else contig)
            text += size + record
            while len(text) >= _PORTION_BYTES:
                out.write(deflate(bytes(text[:_PORTION_BYTES])))
                del text[:_PORTION_BYTES]
    out.write(deflate(bytes(text)))


def _skip_header(bam: gzip.GzipFile) -> None:
    (length,) = struct.unpack("<4xi", bam.read(8))
    bam.read(length)
    (n_contigs,) = struct.unpack("<i", bam.read(4))
    for _ in range(n_contigs):
        (length,) = struct.unpack("<i", bam.read(4))
        bam.read(length + 4)


def merge_bams(slices: Sequence[Path], header: pysam.AlignmentHeader, path: Path) -> None:
    """Put the blocks of slices, which are in the order of this header, into one BAM and index it."""
    index = path.with_name(path.name + ".bai")
    index.unlink(missing_ok=True)
    with complete_file(path) as part:
        pysam.AlignmentFile(str(part), "wb", header=header).close()
        with part.open("rb+") as out:
            out.seek(-len(LAST_BLOCK), os.SEEK_END)
            for one in slices:
                with one.open("rb") as blocks:
                    shutil.copyfileobj(blocks, out)
            out.write(LAST_BLOCK)
        pysam.quickcheck(str(part))
    with complete_file(index) as part:
        pysam.index("-b", str(path), str(part))
