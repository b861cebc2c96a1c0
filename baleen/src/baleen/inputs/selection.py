"""Which contigs are deep enough, and which of their reads are used."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baleen.config import ReadsConfig
from baleen.inputs.sample_reads import SampleReads
from krill.reads.batch import ReadStatus
from krill.reads.keys import KEY, hash_keys

ROW = np.dtype(
    [
        ("key", KEY),
        ("contig", "<i4"),
        ("sample", "u1"),
        ("bam_file", "<u2"),
        ("bam_offset", "<u8"),
        ("signal_file", "<u2"),
        ("signal_first", "<u8"),
        ("signal_second", "<u4"),
    ]
)
"""One read of the reads table; see ``ReadSource``."""

Rows = npt.NDArray[np.void]


@dataclass(frozen=True)
class Depths:
    """Depth of each contig per condition, float64, shape ``(n_contigs,)``: reads, or mean depth."""

    native: npt.NDArray[np.float64]
    control: npt.NDArray[np.float64]

    def reason(self, contig: int, config: ReadsConfig) -> str | None:
        """Say why a contig is skipped, None if it is not."""
        short = [
            f"{label} {depth[contig]:.4g}"
            for label, depth in (("native", self.native), ("control", self.control))
            if depth[contig] < config.min_depth
        ]
        what = "reads" if config.depth_mode == "read_count" else "mean depth"
        return f"{what} below {config.min_depth}: {', '.join(short)}" if short else None

    def why_none(self, names: Sequence[str], config: ReadsConfig) -> str | None:
        """Say why every contig with usable reads is skipped and what would keep one; None if one is not.

        Parameters
        ----------
        names
            Of the contigs.
        config
            Settings of depth.
        """
        seen = np.flatnonzero((self.native > 0) | (self.control > 0)).tolist()
        if not seen or any(self.reason(i, config) is None for i in seen):
            return None
        kinds = Counter(self._shortage(i, config) for i in seen)
        listed = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
        lesser = np.minimum(self.native, self.control)
        best = int(np.argmax(lesser))
        if lesser[best] < 1:
            hint = "are the reads of both conditions from the same transcripts?"
        else:
            depth = f"native {self.native[best]:.4g}, control {self.control[best]:.4g}"
            hint = f"the deepest is {names[best]} ({depth}): --min-depth {int(lesser[best])} keeps it"
        return f"of {len(seen)} with usable reads, {listed}; {hint}"

    def _shortage(self, contig: int, config: ReadsConfig) -> str:
        depth = {"native": self.native[contig], "control": self.control[contig]}
        absent = [label for label, value in depth.items() if value == 0]
        if absent:
            return f"have no {absent[0]} reads"
        short = [label for label, value in depth.items() if value < config.min_depth]
        what = "reads" if config.depth_mode == "read_count" else "mean depth"
        return f"have {' and '.join(short)} {what} below --min-depth {config.min_depth}"


def measure_depths(
    samples: Sequence[SampleReads], lengths_bp: npt.NDArray[np.int64], config: ReadsConfig
) -> Depths:
    """Return the depth of every contig in each condition, its samples taken together."""
    depths = {is_native: np.zeros(len(lengths_bp)) for is_native in (True, False)}
    for sample in samples:
        n_reads, bases = sample.counts(len(lengths_bp))
        if config.depth_mode == "read_count":
            depths[sample.files.is_native] += n_reads
        else:
            depths[sample.files.is_native] += bases / np.maximum(lengths_bp, 1)
    return Depths(depths[True], depths[False])


def select_reads(samples: Sequence[SampleReads], keeps: npt.NDArray[np.bool_], config: ReadsConfig) -> Rows:
    """Return the reads table, and give every read that is not in it its status.

    Parameters
    ----------
    samples
        All samples of the run.
    keeps
        Whether a contig is called, bool, shape ``(n_contigs,)``.
    config
        ``subsample_n`` reads per contig and condition are kept (0 = all): those whose key has the
        smallest hash, so the choice depends on the read and the seed alone.

    Returns
    -------
    Structured array of ``ROW``, ordered by contig, sample and place in the BAM.
    """
    for sample in samples:
        sample.fail(ReadStatus.CONTIG_SKIPPED, ~np.append(keeps, False)[sample.contig])
    if config.subsample_n:
        for condition in dict.fromkeys(sample.files.condition for sample in samples):
            members = [sample for sample in samples if sample.files.condition == condition]
            _subsample(members, len(keeps), config)
    return _table(samples)


def _subsample(samples: Sequence[SampleReads], n_contigs: int, config: ReadsConfig) -> None:
    """Mark what lies beyond ``subsample_n`` reads of each contig, its samples taken together."""
    of_contig = [_UsableByContig(sample, n_contigs) for sample in samples]
    n_reads = np.sum([usable.counts for usable in of_contig], axis=0)
    for contig in np.flatnonzero(n_reads > config.subsample_n).tolist():
        rows = [usable.rows(contig) for usable in of_contig]
        keys = [sample.keys[sample.read[r]] for sample, r in zip(samples, rows, strict=True)]
        hashes = hash_keys(np.concatenate(keys), config.seed)
        last = np.partition(hashes, config.subsample_n - 1)[config.subsample_n - 1]
        ends = np.cumsum([len(r) for r in rows])[:-1]
        for sample, r, h in zip(samples, rows, np.split(hashes, ends), strict=True):
            sample.status[r[h > last]] = ReadStatus.NOT_SAMPLED


class _UsableByContig:
    """Rows of a sample's usable alignments, contig by contig."""

    def __init__(self, sample: SampleReads, n_contigs: int) -> None:
        usable = sample.usable()
        contig = sample.contig[usable]
        self._rows = usable[np.argsort(contig, kind="stable")]
        self.counts = np.bincount(contig, minlength=n_contigs)
        self._ends = np.cumsum(self.counts)

    def rows(self, contig: int) -> npt.NDArray[np.int64]:
        end = self._ends[contig]
        return self._rows[end - self.counts[contig] : end]


def _table(samples: Sequence[SampleReads]) -> Rows:
    """Return one row per usable alignment; column by column, since there may be many millions."""
    usable = [sample.usable() for sample in samples]
    pairs = list(zip(samples, usable, strict=True))
    contig = np.concatenate([sample.contig[rows] for sample, rows in pairs])
    # Stable: within a contig the samples, and within a sample the places in the BAM, stay in order.
    order = np.argsort(contig, kind="stable")
    table = np.empty(len(order), ROW)
    table["contig"] = contig[order]
    table["sample"] = np.repeat(np.arange(len(samples), dtype=np.uint8), list(map(len, usable)))[order]
    columns: dict[str, Callable[[SampleReads, npt.NDArray[np.int64]], npt.NDArray[np.generic]]] = {
        "key": lambda sample, rows: sample.keys[sample.read[rows]],
        "bam_file": lambda sample, rows: sample.bam_file[rows],
        "bam_offset": lambda sample, rows: sample.bam_offset[rows],
        "signal_file": lambda sample, rows: sample.signal_file[sample.signal[rows]],
        "signal_first": lambda sample, rows: sample.signal_first[sample.signal[rows]],
        "signal_second": lambda sample, rows: sample.signal_second[sample.signal[rows]],
    }
    for name, column in columns.items():
        table[name] = np.concatenate([column(sample, rows) for sample, rows in pairs])[order]
    return table
