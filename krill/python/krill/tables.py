"""Tables of positions and reads, each position held against the reads that are taken as its control."""

from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from krill import _krill

F32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Moderation:
    """How far the spread of a position is taken from the positions like it.

    Parameters
    ----------
    prior
        Reads that the variance of a position's like is worth beside its own controls.
    kind_prior
        Reads that the median variance of all positions is worth beside the position's like.
    clip
        Standardised values are clipped here.
    """

    prior: float
    kind_prior: float
    clip: float


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How a read's local trend is found.

    Parameters
    ----------
    reach, gap
        Positions up to ``reach`` away count, those up to ``gap`` away do not; alike = no trend.
    prior
        Positions without trend that are reckoned with.
    cut, slope
        Tukey's biweight: what deviates more than ``cut`` does not count, and a small trend of N(0, 1)
        values moves the mean by ``slope`` of itself. Infinite and 1 are a plain mean.
    difference
        Positions where the means of controls and others differ by so many standard errors do not count,
        those where they differ by less count less, by another biweight; infinite = all alike.
    """

    reach: int
    gap: int
    prior: float
    cut: float
    slope: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a shift does to the positions around it.

    Parameters
    ----------
    shares
        Share of the shift at positions ``-n`` to ``n``.
    least_precision
        A read is left out where it keeps less than this share of the full footprint's precision.
    prior
        Reads that the median noise of all positions is worth beside the position's own controls.
    """

    shares: tuple[float, ...]
    least_precision: float
    prior: float


def standardise(  # flat arrays at the native edge
    value: F32,
    weight: F32,
    is_control: Bool,
    kind: npt.NDArray[np.int64],
    moderation: Moderation,
    trend: Trend,
) -> tuple[F32, F32]:
    """Return values in units of the controls' spread, without the reads' local trends.

    Parameters
    ----------
    value, weight
        ``p`` positions of ``r`` reads, float32, shape ``(p, r)``; weight 0 = absent.
    is_control
        bool, shape ``(r,)``.
    kind
        Positions of one number are alike, int64, shape ``(p,)``; below 0 = like no other.
    moderation, trend
        Settings.

    Returns
    -------
    tuple
        Standardised values, float32, shape ``(p, r)``, 0 where absent; spread, float32, shape ``(p,)``.

    Raises
    ------
    ValueError
        If shapes disagree.

    Notes
    -----
    Center: median of the controls. Variance: mean of squared deviations, each at most 3 robust standard
    deviations (1.4826 times the median deviation), shrunken to the other positions of the same kind,
    those to the median of all. The trend is taken off before values are clipped; the controls' mean
    is then 0. Differences of controls and others, of clipped values, are counted from their median over
    the positions up to ``reach`` away (0 beyond the ends), in standard errors of unit values or, if that
    is more, in robust standard deviations of all; a position has the largest of its own and the next ones'.
    """
    arrays, kinds = _table(value, weight, is_control), np.ascontiguousarray(kind, np.int64)
    _check_length("kind", len(kinds), value)
    z, spread = _krill.table_standardise(*arrays, kinds, astuple(moderation), astuple(trend))
    return z.reshape(np.shape(value)), spread


def match_footprint(
    z: F32, weight: F32, spread: F32, is_control: Bool, footprint: Footprint
) -> tuple[F32, F32, F32]:
    """Return the shift of every read, if the footprint lay at each position.

    Parameters
    ----------
    z, weight
        Standardised values, float32, shape ``(p, r)``; weight 0 = absent.
    spread
        Units per standardised value, float32, shape ``(p,)``.
    is_control
        bool, shape ``(r,)``.
    footprint
        Settings.

    Returns
    -------
    tuple
        Shift, its precision (0 = absent), and that before correction by each position's own noise,
        float32, shape ``(p, r)``.

    Raises
    ------
    ValueError
        If shapes disagree.

    Notes
    -----
    ``u = sum w_j z_j / s_j``, ``h = sum (w_j / s_j)^2``, shift ``u / h`` with precision ``h``; each
    term weighs as its value does. ``h`` is then scaled so that control shifts have unit noise, over all
    positions (squares up to 16) and, around the controls' mean and with a prior, at each (up to 9).
    """
    setup = (list(footprint.shares), footprint.least_precision, footprint.prior)
    spread = np.ascontiguousarray(spread, np.float32)
    _check_length("spread", len(spread), z)
    value, precision, plain = _krill.table_shifts(*_table(z, weight, is_control), spread, setup)
    shape = np.shape(z)
    return value.reshape(shape), precision.reshape(shape), plain.reshape(shape)


def control_center(value: F32, precision: F32, is_control: Bool) -> tuple[F32, F32]:
    """Return mean and standard error of the controls at each position, one robust step at 2 deviations.

    Parameters
    ----------
    value, precision
        float32, shape ``(p, r)``; precision 0 = absent.
    is_control
        bool, shape ``(r,)``.

    Returns
    -------
    tuple
        float32, shape ``(p,)`` each; 0 and 1 without controls.

    Raises
    ------
    ValueError
        If shapes disagree.
    """
    return _krill.table_control_center(*_table(value, precision, is_control), len(value))


def _table(value: F32, weight: F32, is_control: Bool) -> tuple[F32, F32, Bool]:
    value, weight = np.ascontiguousarray(value, np.float32), np.ascontiguousarray(weight, np.float32)
    if value.ndim != 2 or value.shape != weight.shape or value.shape[1] != len(is_control):
        msg = f"values {value.shape}, weights {weight.shape} and {len(is_control)} reads disagree"
        raise ValueError(msg)
    return value.ravel(), weight.ravel(), np.ascontiguousarray(is_control, np.bool_)


def _check_length(name: str, length: int, value: F32) -> None:
    if length != len(value):
        msg = f"{name} has {length} entries for {len(value)} positions"
        raise ValueError(msg)
