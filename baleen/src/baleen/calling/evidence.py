"""Everything a contig's scoring leaves behind: plain arrays, from which calls follow."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from baleen.data import F32, I32, I64, U8, Bool, ReadIndex, check

VERSION = 6
"""Changes when the arrays change, so that saved slices of another version are refused."""

N_PLACES = 7
"""Positions whose gains are compared: 3 before a position to 3 after."""


@dataclass(frozen=True)
class Evidence:
    """Scores of one contig: ``p`` tested positions, ``c`` statistics, ``m`` null values, ``w`` pairs.

    Parameters
    ----------
    contig, kmer
        Name; 5-mer centred on each position, ``N`` beyond the ends, text.
    position
        Rising, int32, shape ``(p,)``.
    n_native, n_control
        Reads behind the call, int32, shape ``(p,)``: of the signal where there is signal.
    candidates
        Names of the candidate signal statistics, text, shape ``(c,)``: channels joined by ``+``.
    statistic
        ln evidence of each candidate signal statistic, float64, shape ``(c, p)``; NaN = not tested.
    null_statistic
        The same statistics under relabelled reads, float32, shape ``(c, m)``.
    null_depth
        Smaller number of reads of the two labels behind each null value, int32, shape ``(m,)``.
    share, share_low, share_high
        Native share of shifted reads by signal and its interval, float32, shape ``(p,)``.
    shift_pa, level_difference
        Shift of a modified read at the footprint's peak, picoampere; mean native minus mean
        control level in control standard deviations; float32, shape ``(p,)``.
    own_statistic
        ln evidence of the level, what events more than 2 positions away explain taken off, float32,
        shape ``(p,)``; NaN = not tested.
    gain
        ln likelihood gained by a plain mixture 3 positions before to 3 positions after, what other
        events explain taken off: comparable between neighbours, float32, shape ``(p, 7)``; -inf =
        another event sits there, NaN = not tested.
    error_z
        Normal score of the error test, positive = more errors in native; NaN = not tested.
    error_native, error_control
        Share of reads with an error at the base, float32.
    error_share
        Native share of reads with the modified error profile, float32; NaN = not estimated.
    pair_offsets, read
        Reads at each position: int64, shape ``(p + 1,)``; int32, shape ``(w,)``.
    p_signal, error_llr
        Probability by signal (NaN = no signal) and log-likelihood ratio by errors (0 = says
        nothing) of each pair, float32, shape ``(w,)``.
    is_called
        Whether the read's basecalls count at the position, bool, shape ``(w,)``.
    sample_mean, sample_precision
        Mean of each sample's reads and 1 / its variance by the reads alone, float32, shape
        ``(c + 1, samples, p)``: shifts by each candidate, error scores last; precision 0 = absent.
    split_position, split_depth, split_statistic, split_error_z
        Tests of one half of the controls against the other: as in ``SplitScores``.
    reads
        The reads.
    """

    contig: str
    kmer: npt.NDArray[np.str_]
    position: I32
    n_native: I32
    n_control: I32
    candidates: npt.NDArray[np.str_]
    statistic: npt.NDArray[np.float64]
    null_statistic: F32
    null_depth: I32
    share: F32
    share_low: F32
    share_high: F32
    shift_pa: F32
    level_difference: F32
    own_statistic: F32
    gain: F32
    error_z: F32
    error_native: F32
    error_control: F32
    error_share: F32
    pair_offsets: I64
    read: I32
    p_signal: F32
    error_llr: F32
    is_called: Bool
    sample_mean: F32
    sample_precision: F32
    split_position: I32
    split_depth: I32
    split_statistic: F32
    split_error_z: F32
    reads: ReadIndex

    _PER_POSITION = (
        "share", "share_low", "share_high", "shift_pa", "level_difference",
        "own_statistic", "error_z", "error_native", "error_control", "error_share",
    )  # fmt: skip

    def __post_init__(self) -> None:
        p, w = len(self.position), len(self.read)
        for name in ("position", "n_native", "n_control"):
            check(name, getattr(self, name), np.int32, (p,))
        for name in self._PER_POSITION:
            check(name, getattr(self, name), np.float32, (p,))
        check("gain", self.gain, np.float32, (p, N_PLACES))
        check("statistic", self.statistic, np.float64, (len(self.candidates), p))
        m = len(self.null_depth)
        check("null_statistic", self.null_statistic, np.float32, (len(self.statistic), m))
        of_samples = (len(self.statistic) + 1, len(self.reads.sample_names), p)
        check("sample_mean", self.sample_mean, np.float32, of_samples)
        check("sample_precision", self.sample_precision, np.float32, of_samples)
        tests = (len(self.split_position),)
        check("split_position", self.split_position, np.int32, tests)
        check("split_depth", self.split_depth, np.int32, tests)
        check("split_statistic", self.split_statistic, np.float32, (len(self.statistic), *tests))
        check("split_error_z", self.split_error_z, np.float32, tests)
        check("pair_offsets", self.pair_offsets, np.int64, (p + 1,))
        for name in ("p_signal", "error_llr"):
            check(name, getattr(self, name), np.float32, (w,))
        check("is_called", self.is_called, np.bool_, (w,))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return plain arrays, ready for ``numpy.savez``; nothing in them needs pickle."""
        arrays = {
            field.name: np.asarray(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name != "reads"
        }
        for field in dataclasses.fields(self.reads):
            arrays[f"reads_{field.name}"] = np.asarray(getattr(self.reads, field.name))
        arrays["version"] = np.array(VERSION)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from ``to_arrays``.

        Raises
        ------
        ValueError
            If the arrays are of another version.
        """
        version = int(arrays["version"]) if "version" in arrays else 0
        if version != VERSION:
            msg = f"evidence of version {version}, this program reads version {VERSION}"
            raise ValueError(msg)
        reads = ReadIndex(
            read_ids=tuple(str(read_id) for read_id in arrays["reads_read_ids"]),
            is_native=arrays["reads_is_native"],
            sample=arrays["reads_sample"],
            fold=arrays["reads_fold"],
            sample_names=tuple(str(name) for name in arrays["reads_sample_names"]),
            sample_groups=tuple(str(name) for name in arrays["reads_sample_groups"]),
        )
        names = [field.name for field in dataclasses.fields(cls) if field.name != "reads"]
        values: dict[str, Any] = {name: arrays[name] for name in names}
        values["contig"] = str(arrays["contig"])
        return cls(**values, reads=reads)


def pairs(present: Bool) -> tuple[I64, I32]:
    """Return offsets and reads of the pairs that are present, position by position."""
    rows, reads = np.nonzero(present)
    offsets = np.searchsorted(rows, np.arange(len(present) + 1)).astype(np.int64)
    return offsets, reads.astype(np.int32)


def kmers(sequence: U8, position: I32, size: int = 5) -> npt.NDArray[np.str_]:
    """Return the k-mer centred on each position, ``N`` beyond the contig's ends."""
    half = size // 2
    pad = np.full(half, ord("N"), np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([pad, sequence, pad]), size)
    rows = np.ascontiguousarray(windows[position])
    return rows.view(f"S{size}").reshape(len(position)).astype(f"U{size}")
