"""The basecaller's own modification calls, native against control: corrected shares and a test."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baleen.calling.basecalls import permutation_score
from baleen.calling.replicates import SampleMeans, Spread
from baleen.data import BasecallerMods, ReadIndex

F64 = npt.NDArray[np.float64]

MIN_READS = 3
"""Reads of either label below which nothing is tested."""


CANDIDATE_Z = 1.645
"""Score below which a row cannot have an adjusted p-value below .05."""


class ModTest(NamedTuple):
    """One row per position and modification that both labels have reads at, ``n`` rows.

    Parameters
    ----------
    position, code
        Reference index; number of the modification; int32.
    n_native, n_control
        Reads with a say, int32.
    native, control
        Mean probabilities, float64.
    variance
        Of ``native - control`` by the reads, float64.
    z
        Normal score, positive = more in native, float64; NaN = all reads alike.
    spread
        Between samples.
    """

    position: npt.NDArray[np.int32]
    code: npt.NDArray[np.int32]
    n_native: npt.NDArray[np.int32]
    n_control: npt.NDArray[np.int32]
    native: F64
    control: F64
    variance: F64
    z: F64
    spread: Spread

    @classmethod
    def of(cls, mods: BasecallerMods, reads: ReadIndex) -> Self:
        """Test every position and modification.

        Notes
        -----
        The sum of the native reads' probabilities is held against its permutation distribution,
        as error scores are: whatever the basecaller thinks of unmodified bases at a position, it
        thinks of both labels alike.
        """
        code_of = mods.position.astype(np.int64) * max(len(mods.codes), 1) + mods.code
        keys, key = np.unique(code_of, return_inverse=True)
        native, x = reads.is_native[mods.read], mods.probability.astype(np.float64)
        size = len(keys)

        def total(values: F64, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> F64:
            return np.bincount(key[rows], values[rows], size).astype(np.float64)

        ones = np.ones(len(x))
        n = [total(ones, native), total(ones, ~native)]
        sides = list(zip((native, ~native), n, strict=True))
        mean = [total(x, rows) / np.maximum(count, 1) for rows, count in sides]
        deviation = x - (total(x) / np.maximum(n[0] + n[1], 1))[key]
        z = permutation_score((total(deviation, native), total(deviation**2), total(deviation**3)), *n)
        own = (x - np.where(native, mean[0][key], mean[1][key])) ** 2
        variance = sum(total(own, rows) / np.maximum(count * (count - 1), 1) for rows, count in sides)
        tested = np.flatnonzero((n[0] >= MIN_READS) & (n[1] >= MIN_READS))
        position, code = np.divmod(keys[tested], max(len(mods.codes), 1))
        means = _sample_means(key, x, reads.sample[mods.read], (len(reads.sample_names), size))
        spread = Spread.of(SampleMeans(*(part[:, tested] for part in means)), reads.condition())
        return cls(
            position.astype(np.int32), code.astype(np.int32),
            n[0][tested].astype(np.int32), n[1][tested].astype(np.int32),
            mean[0][tested], mean[1][tested], np.asarray(variance)[tested], z[tested], spread,
        )  # fmt: skip

    def calls(self, mods: BasecallerMods, reads: ReadIndex) -> npt.NDArray[np.int64]:
        """Return the rows of native reads where the test may be significant over the run."""
        width = max(len(mods.codes), 1)
        likely = self.z > CANDIDATE_Z
        keys = self.position[likely].astype(np.int64) * width + self.code[likely]
        here = np.isin(mods.position.astype(np.int64) * width + mods.code, keys)
        return np.flatnonzero(here & reads.is_native[mods.read])


def _sample_means(
    key: npt.NDArray[np.int64], x: F64, sample: npt.NDArray[np.uint8], shape: tuple[int, int]
) -> SampleMeans:
    """Return mean and precision of each sample; the scatter within samples is shared by all."""
    cell = sample.astype(np.int64) * shape[1] + key
    n, total = (
        np.bincount(cell, values, shape[0] * shape[1]).reshape(shape) for values in (np.ones(len(x)), x)
    )
    mean = total / np.maximum(n, 1)
    within = np.bincount(key, (x - mean.ravel()[cell]) ** 2, shape[1])
    variance = within / np.maximum(n.sum(axis=0) - (n > 0).sum(axis=0), 1)
    known = (n >= 2) & (variance > 1e-6)
    precision = np.where(known, n / np.maximum(variance, 1e-6), 0)
    return SampleMeans(mean.astype(np.float32), precision.astype(np.float32))
