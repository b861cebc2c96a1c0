"""BAM records with new modification tags: MM, ML and MN as SAMtags defines them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from krill import _krill


class RecordCalls(NamedTuple):
    """Calls of ``n`` records.

    Parameters
    ----------
    offsets
        Those of record ``i`` are ``offsets[i] : offsets[i + 1]``, int64, shape ``(n + 1,)``.
    position
        Reference index of each call, rising within a record, int32.
    p_mod
        Probability that the base there is modified, float32.
    """

    offsets: npt.NDArray[np.int64]
    position: npt.NDArray[np.int32]
    p_mod: npt.NDArray[np.float32]


class RecordPlaces(NamedTuple):
    """Where ``n`` records belong.

    Parameters
    ----------
    contig
        Number of the contig of each in the file they are for, int32, shape ``(n,)``.
    group
        Read group of each, index into ``groups``, int64, shape ``(n,)``.
    groups
        Names of the read groups.
    """

    contig: npt.NDArray[np.int32]
    group: npt.NDArray[np.int64]
    groups: tuple[str, ...]


def tagged_records(bam: bytes, calls: RecordCalls, places: RecordPlaces, codes: Mapping[str, str]) -> bytes:
    """Return the records of a BAM as compressed blocks without a header, with the tags of their calls.

    Parameters
    ----------
    bam
        A whole BAM of forward reads, mates on the same contig or none.
    calls, places
        Of its records, in their order.
    codes
        Base -> code of its modification. MM is ``BASE+CODE?,delta,...;`` per base, ``?`` because bases
        not listed are unknown; ML is ``min(255, floor(256 p))``. Calls on other bases, or where a read
        has no base, are left out. Tags MM, ML, MN, RG that a record has are replaced, others stay.

    Raises
    ------
    ValueError
        If shapes disagree.
    FormatError
        If this is no whole BAM.
    """
    return _krill.mod_tagged(
        bam,
        (
            np.ascontiguousarray(calls.offsets, np.int64),
            np.ascontiguousarray(calls.position, np.int32),
            np.ascontiguousarray(calls.p_mod, np.float32),
        ),
        np.ascontiguousarray(places.contig, np.int32),
        np.ascontiguousarray(places.group, np.int64),
        list(places.groups),
        list(codes.items()),
    )
