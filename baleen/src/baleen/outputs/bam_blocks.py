"""Compressed blocks of BAM records without a header: those of many slices become one BAM by copying."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pysam

from baleen.files import complete_file
from krill.reads.bgzf import LAST_BLOCK


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
