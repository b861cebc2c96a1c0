"""Which contigs are deep enough, and which of their reads are used."""

from collections.abc import Sequence
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
        ("signal_second", "<u8"),
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
    found = []
    for is_native in (True, False):
        members = [i for i, sample in enumerate(samples) if sample.files.is_native == is_native]
        for i in members:
            on_skipped = ~np.append(keeps, False)[samples[i].contig]
            samples[i].fail(ReadStatus.CONTIG_SKIPPED, on_skipped)
        if config.subsample_n:
            _subsample([samples[i] for i in members], config)
        found += [_rows(samples[i], i) for i in members]
    rows = np.concatenate(found)
    return rows[np.lexsort((rows["bam_offset"], rows["bam_file"], rows["sample"], rows["contig"]))]


def _subsample(samples: Sequence[SampleReads], config: ReadsConfig) -> None:
    usable = [sample.usable() for sample in samples]
    sample_of = np.repeat(np.arange(len(samples)), [len(rows) for rows in usable])
    row = np.concatenate(usable)
    contig = np.concatenate([sample.contig[rows] for sample, rows in zip(samples, usable, strict=True)])
    keys = np.concatenate(
        [sample.keys[sample.read[rows]] for sample, rows in zip(samples, usable, strict=True)]
    )
    order = np.lexsort((hash_keys(keys, config.seed), contig))
    in_order = contig[order]
    first = np.searchsorted(in_order, in_order)  # where the read's contig begins
    beyond = order[np.arange(len(order)) - first >= config.subsample_n]
    for i, sample in enumerate(samples):
        sample.status[row[beyond[sample_of[beyond] == i]]] = ReadStatus.NOT_SAMPLED


def _rows(sample: SampleReads, number: int) -> Rows:
    usable = sample.usable()
    rows = np.zeros(len(usable), ROW)
    signal = sample.signal[usable]
    rows["key"] = sample.keys[sample.read[usable]]
    rows["contig"] = sample.contig[usable]
    rows["sample"] = number
    rows["bam_file"] = sample.bam_file[usable]
    rows["bam_offset"] = sample.bam_offset[usable]
    rows["signal_file"] = sample.signal_file[signal]
    rows["signal_first"], rows["signal_second"] = sample.signal_place[signal].T
    return rows
