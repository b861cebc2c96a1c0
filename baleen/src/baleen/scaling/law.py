"""The Universal Scalability Law: describe a measured curve by a serial share and a cost of coherence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from baleen.errors import UsageError
from baleen.scaling.result import Point

F64 = npt.NDArray[np.float64]
Interval = tuple[float, float]

_BOOTSTRAPS = 400
_FURTHEST = 2  # times the largest N measured
_BIG = 1e9


@dataclass(frozen=True)
class Law:
    """A curve ``X(N) = rate N / (1 + sigma (N - 1) + kappa N (N - 1))`` and how sure it is.

    Parameters
    ----------
    rate, sigma, kappa
        Throughput of one worker; share of serial work; cost of keeping workers coherent.
    rate_interval, sigma_interval, kappa_interval, peak_interval
        95 % intervals; None without repeats.
    largest
        Largest N measured.
    has_kappa
        Whether there were enough different N (three) to tell kappa from sigma.
    """

    rate: float
    sigma: float
    kappa: float
    rate_interval: Interval | None
    sigma_interval: Interval | None
    kappa_interval: Interval | None
    peak_interval: Interval | None
    largest: int
    has_kappa: bool

    @property
    def peak(self) -> float:
        """Return the N of the highest throughput; infinite if it never falls."""
        return _peak(self.sigma, self.kappa)

    def throughput(self, workers: float) -> float:
        """Return X(N).

        Raises
        ------
        UsageError
            If N is more than twice the largest N measured: a law fitted to the rise of a curve says
            nothing of its fall.
        """
        if workers > _FURTHEST * self.largest:
            message = (
                f"{workers:g} workers: the curve was measured up to {self.largest}; beyond "
                f"{_FURTHEST * self.largest} the fit says nothing"
            )
            raise UsageError(message, hint="measure more threads, or `baleen scaling simulate`")
        return float(workers / (_columns(np.array([workers]), 3)[0] @ self._coefficients))

    @property
    def _coefficients(self) -> F64:
        return np.array([1, self.sigma, self.kappa]) / self.rate

    def lines(self) -> list[str]:
        """Return the law as text."""
        shown = [
            f"one worker      {self.rate:12.1f} per second  {_text(self.rate_interval, '.1f')}",
            f"serial share    {self.sigma:12.5f} (sigma)     {_text(self.sigma_interval, '.5f')}",
        ]
        if self.has_kappa:
            shown.append(
                f"coherence       {self.kappa:12.3g} (kappa)     {_text(self.kappa_interval, '.3g')}"
            )
        else:
            shown.append(
                "coherence       not told from the serial share: fewer than three numbers of workers"
            )
        return [*shown, self._peak_line()]

    def _peak_line(self) -> str:
        bound = _FURTHEST * self.largest
        if not self.has_kappa or self.peak > bound:
            return f"peak            beyond {bound}, twice the largest N measured: not claimed"
        return f"peak            {self.peak:12.1f} workers        {_text(self.peak_interval, '.1f')}"


def fit(points: Sequence[Point], seed: int = 1) -> Law:
    """Fit the law to every trial of a curve.

    Parameters
    ----------
    points
        One per number of workers.
    seed
        Of the bootstrap.

    Raises
    ------
    UsageError
        If fewer than two different numbers of workers were measured, or points are simulated.

    Notes
    -----
    Gunther's law in its linear form, ``N / X = 1 / rate + sigma / rate (N - 1) + kappa / rate N (N - 1)``,
    with relative errors and coefficients that are not negative. Intervals: residual bootstrap of
    the trials, residuals widened by ``sqrt(n / (n - p))``.
    """
    if any(point.is_simulated for point in points):
        message = "simulated points are a prediction; only measured ones are fitted"
        raise UsageError(message)
    pairs = [(point.cell.workers, trial.throughput) for point in points for trial in point.trials]
    workers, per_s = np.array(pairs, np.float64).T
    n_different = len(np.unique(workers))
    if n_different < 2:
        message = "a curve needs at least two numbers of workers"
        raise UsageError(message, hint="baleen scaling run --threads 1,2,4")
    columns = _columns(workers, min(3, n_different))
    cost = workers / per_s
    best = _solve(columns, cost)
    intervals = _intervals(columns, cost, best, np.random.default_rng(seed))
    rate, sigma, kappa = _parameters(best)
    return Law(rate, sigma, kappa, *intervals, largest=int(workers.max()), has_kappa=n_different > 2)


def _columns(workers: F64, n_columns: int) -> F64:
    ones = np.ones_like(workers)
    return np.stack([ones, workers - 1, workers * (workers - 1)], axis=1)[:, :n_columns]


def _solve(columns: F64, cost: F64) -> F64:
    """Least squares of relative errors, coefficients not negative."""
    weighted = columns / cost[:, None]
    scale = weighted.max(axis=0)
    solution, _ = nnls(weighted / scale, np.ones(len(cost)))
    found: F64 = solution / scale
    return found


def _parameters(coefficients: F64) -> tuple[float, float, float]:
    first, *others = coefficients
    sigma, kappa = [*(other / first for other in others), 0.0][:2]
    return float(1 / first), float(sigma), float(kappa)


def _peak(sigma: float, kappa: float) -> float:
    return math.sqrt(max(0.0, 1 - sigma) / kappa) if kappa > 0 else math.inf


def _intervals(
    columns: F64, cost: F64, best: F64, rng: np.random.Generator
) -> tuple[Interval | None, Interval | None, Interval | None, Interval | None]:
    n, p = columns.shape
    if n <= p:
        return None, None, None, None
    fitted = columns @ best
    residuals = cost / fitted - 1
    residuals = (residuals - residuals.mean()) * math.sqrt(n / (n - p))
    drawn = []
    for _ in range(_BOOTSTRAPS):
        noise = np.maximum(0.05, 1 + rng.choice(residuals, n))
        rate, sigma, kappa = _parameters(_solve(columns, fitted * noise))
        drawn.append((rate, sigma, kappa, min(_BIG, _peak(sigma, kappa))))
    low, high = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    rate_i, sigma_i, kappa_i, peak_i = (
        (float(a), math.inf if b >= _BIG else float(b)) for a, b in zip(low, high, strict=True)
    )
    return rate_i, sigma_i, kappa_i, peak_i


def _text(interval: Interval | None, form: str) -> str:
    if interval is None:
        return "no interval without repeats"
    return f"95 % interval {interval[0]:{form}} to {interval[1]:{form}}"
