"""Event alignment: place the samples of reads on the reference."""

import numpy as np
import numpy.typing as npt

from krill import _krill
from krill.pore_model import PoreModel
from krill.reads.batch import Alignments, ReadBatch


def align(
    batch: ReadBatch,
    reference: npt.NDArray[np.uint8],
    model: PoreModel,
    *,
    mode: str = "standard",
    moves: bool = True,
    threads: int = 1,
) -> Alignments:
    """Return where the samples of each read lie on the reference.

    Parameters
    ----------
    batch
        Reads of one contig.
    reference
        The whole contig, ASCII bases, uint8, shape ``(length,)``.
    model
        Levels of the chemistry that the reads were sequenced with.
    mode
        ``standard`` keeps the levels of modified bases; ``sharp`` puts the boundaries of
        unmodified ones more exactly; ``fast`` is the best path alone, not for modification calling,
        and gives no confidence (NaN).
    moves
        Use move tables where reads have them.
    threads
        Threads of this call; the result does not depend on it.

    Raises
    ------
    ValueError
        If there is no such mode, or the arguments contradict each other: a CIGAR that leaves the
        reference, a row too few.

    Notes
    -----
    Dense guided segmentation: every position gets at least one sample. See ``docs/concepts/eventalign.md``.
    """
    if reference.dtype != np.uint8 or reference.ndim != 1:
        msg = f"reference must be uint8 of one dimension, not {reference.dtype} of {reference.shape}"
        raise ValueError(msg)
    if threads < 1:
        msg = f"threads must be at least 1, not {threads}"
        raise ValueError(msg)
    reference = np.ascontiguousarray(reference)
    return Alignments(*_krill.align_batch(batch, reference, model, mode, moves, threads))
