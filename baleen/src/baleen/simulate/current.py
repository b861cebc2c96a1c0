"""What the pore measures: dwell of every base, then picoampere, then the digitiser's integers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baleen.data import F32, I64, U8
from baleen.simulate.molecules import Molecules, Sites
from baleen.simulate.settings import SimulationConfig
from krill import PoreModel, Ragged

F64 = npt.NDArray[np.float64]

FOOTPRINT = {-2: 0.15, -1: 0.4, 0: 0.8, 1: 1.0, 2: 0.2}
"""Share of a site's level shift at tested bases around it (offset in bases)."""

_SLOWED = (0, 1)  # offsets whose dwell a modification stretches
_SPEED_LENGTH_BP = 200  # over which the speed forgets itself
_SHORTEST_DWELL = 2
_ADAPTER_EVENTS = 50
_ADAPTER_BELOW_TAIL_PA = 33.0


@dataclass(frozen=True)
class Bases:
    """Bases that pass the pore, of all reads one after another, each read 5' to 3'. ``m`` bases.

    Parameters
    ----------
    offsets
        int64, shape ``(n + 1,)``.
    read, position
        int64, shape ``(m,)``; positions from the contig's length on are poly-A.
    dwell_samples, sample_start
        int64, shape ``(m,)``; RNA enters 3' first, so starts fall along a read.
    adapter_end
        First sample of the tail, per read, int64, shape ``(n,)``.
    """

    offsets: I64
    read: I64
    position: I64
    dwell_samples: I64
    sample_start: I64
    adapter_end: I64


@dataclass(frozen=True)
class Distortion:
    """What a read's electronics do to the pore's levels, float64, shape ``(n,)`` each."""

    gain: F64
    offset_pa: F64
    drift_pa: F64


def count_up(counts: I64) -> I64:
    """Return 0, 1, ... up to each count, one after another."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def footprint_rows(
    bases: Bases, molecules: Molecules, sites: Sites, offset: int
) -> tuple[I64, npt.NDArray[np.intp]]:
    """Return the rows of ``bases`` at ``offset`` from each modified site, with the site's number."""
    read, site = np.nonzero(molecules.is_modified)
    local = sites.position[site] + offset - bases.position[bases.offsets[read]]
    is_seen = local >= 0  # the molecule may begin inside the footprint
    return (bases.offsets[read] + local)[is_seen], site[is_seen]


def pass_pore(
    molecules: Molecules, sites: Sites, length_bp: int, config: SimulationConfig, rng: np.random.Generator
) -> Bases:
    """Draw how long every base stays: gamma, slow drift of the speed, stalls, modifications."""
    center = PoreModel.shipped(config.pore).center
    # the pore feels a base once its whole k-mer is in: the outermost bases leave unseen
    first = molecules.start + center
    counts = length_bp + molecules.tail_bp - first
    offsets = np.concatenate(([0], np.cumsum(counts)))
    read = np.repeat(np.arange(len(molecules)), counts)
    position = count_up(counts) + first[read]

    mean = config.samples_per_base or config.chemistry.samples_per_base
    dwell = mean * _gamma(config.chemistry.dwell_shape, len(read), rng) * np.exp(_speed(counts, config, rng))
    is_stalled = rng.random(len(read)) < config.stall_rate
    dwell[is_stalled] *= rng.uniform(10, 40, int(is_stalled.sum()))
    adapter = np.round(
        config.adapter_s * config.chemistry.sampling_rate_hz * _gamma(12, len(molecules), rng)
    ).astype(np.int64)
    bases = Bases(offsets, read, position, np.zeros(0, np.int64), np.zeros(0, np.int64), adapter)
    for offset in _SLOWED:
        row, site = footprint_rows(bases, molecules, sites, offset)
        dwell[row] *= sites.dwell_factor[site]
    whole = np.maximum(np.round(dwell), _SHORTEST_DWELL).astype(np.int64)
    through = np.cumsum(whole)
    sample_start = adapter[read] + through[offsets[1:] - 1][read] - through
    return Bases(offsets, read, position, whole, sample_start, adapter)


def measure(
    bases: Bases,
    molecules: Molecules,
    sites: Sites,
    codes: I64,
    config: SimulationConfig,
    rng: np.random.Generator,
) -> tuple[Ragged, Distortion, I64]:
    """Return the digitised signal (int16), what distorted it, and the calibration offset per read.

    Parameters
    ----------
    codes
        K-mer code by reference index of the tested base, int64; covers the longest tail.
    """
    model = PoreModel.shipped(config.pore)
    code = codes[bases.position]
    stdv = model.level_stdv[code].astype(np.float64)
    level = model.level_mean[code] + config.event_jitter * stdv * rng.standard_normal(len(code))
    for offset, share in FOOTPRINT.items():
        row, site = footprint_rows(bases, molecules, sites, offset)
        level[row] += share * sites.shift_pa[site]

    events = _prepend_adapter(bases, level, stdv, float(model.level_mean[0]), rng)
    n = len(molecules)
    distortion = Distortion(
        gain=rng.normal(1, config.gain_sd, n),
        offset_pa=rng.normal(0, config.offset_sd_pa, n),
        drift_pa=rng.normal(0, config.drift_pa, n),
    )
    current = _distort(events, distortion, config, rng)
    spread = (events.stdv * distortion.gain[events.read] * config.noise).astype(np.float32)
    signal = np.repeat(current.astype(np.float32), events.dwell)
    signal += np.repeat(spread, events.dwell) * _noise(len(signal), config.noise_correlation, rng)

    chemistry = config.chemistry
    offset_adc = np.round(chemistry.offset_adc + rng.normal(0, 4, n)).astype(np.int64)
    n_samples = np.bincount(events.read, events.dwell, n).astype(np.int64)
    signal *= np.float32(chemistry.digitisation / chemistry.range_pa)
    signal -= np.repeat(offset_adc.astype(np.float32), n_samples)
    adc_max = chemistry.adc_min + chemistry.digitisation - 1
    adc = np.clip(np.rint(signal, out=signal), chemistry.adc_min, adc_max).astype(np.int16)
    return Ragged(adc, np.concatenate(([0], np.cumsum(n_samples)))), distortion, offset_adc


@dataclass(frozen=True)
class _Events:
    """Steady stretches of current in time order, adapter first."""

    read: I64
    dwell: I64
    level: F64
    stdv: F64


def _gamma(shape: float, n: int, rng: np.random.Generator) -> F64:
    return rng.gamma(shape, 1 / shape, n)


def _speed(counts: I64, config: SimulationConfig, rng: np.random.Generator) -> F64:
    """Return the log of the slowness of each base: an autoregression along each read."""
    from scipy.signal import lfilter  # slow to import: not for a --help

    kept = np.exp(-1 / _SPEED_LENGTH_BP)
    push = rng.standard_normal((len(counts), int(counts.max(initial=1))))
    push[:, 1:] *= np.sqrt(1 - kept**2)
    slowness = config.speed_sd * lfilter([1.0], [1.0, -kept], push, axis=1)
    is_base = np.arange(push.shape[1]) < counts[:, None]
    return np.asarray(slowness[is_base])


def _prepend_adapter(
    bases: Bases, level: F64, stdv: F64, tail_pa: float, rng: np.random.Generator
) -> _Events:
    """Put bases into time order (3' first) behind the adapter, whose levels lie below the tail's."""
    n = len(bases.adapter_end)
    counts = np.diff(bases.offsets)
    read = np.repeat(np.arange(n), counts + _ADAPTER_EVENTS)
    local = count_up(counts + _ADAPTER_EVENTS)
    is_adapter = local < _ADAPTER_EVENTS
    row = np.zeros(len(read), np.int64)
    row[~is_adapter] = (bases.offsets[1:][read] - 1 - (local - _ADAPTER_EVENTS))[~is_adapter]

    # the adapter is one DNA sequence, so its levels are the same in every read of every run
    pattern = tail_pa - _ADAPTER_BELOW_TAIL_PA + np.random.default_rng(0).normal(0, 6, _ADAPTER_EVENTS)
    share = rng.gamma(2.0, 1.0, (n, _ADAPTER_EVENTS))
    ends = np.round(np.cumsum(share, axis=1) / share.sum(axis=1)[:, None] * bases.adapter_end[:, None])
    adapter_dwell = np.diff(ends, axis=1, prepend=0).astype(np.int64)
    return _Events(
        read=read,
        dwell=np.where(is_adapter, _spread(adapter_dwell.ravel(), is_adapter), bases.dwell_samples[row]),
        level=np.where(is_adapter, pattern[local % _ADAPTER_EVENTS], level[row]),
        stdv=np.where(is_adapter, 3.0, stdv[row]),
    )


def _spread(values: I64, is_here: npt.NDArray[np.bool_]) -> I64:
    out = np.zeros(len(is_here), np.int64)
    out[is_here] = values
    return out


def _distort(
    events: _Events, distortion: Distortion, config: SimulationConfig, rng: np.random.Generator
) -> F64:
    """Apply gain, offset and drift: a line over the read and three slow waves of a third of its size."""
    n = len(distortion.gain)
    total = np.bincount(events.read, events.dwell, n)
    before = np.concatenate(([0], np.cumsum(total)))[:-1]
    time = (np.cumsum(events.dwell) - events.dwell / 2 - before[events.read]) / total[events.read]
    drift = distortion.drift_pa[events.read] * (time - 0.5)
    for cycles in (1, 2, 3):
        size = rng.normal(0, config.drift_pa / 3 / cycles, n)[events.read]
        drift += size * np.sin(2 * np.pi * (cycles * time + rng.random(n)[events.read]))
    return np.asarray(distortion.gain[events.read] * events.level + distortion.offset_pa[events.read] + drift)


def _noise(n: int, correlation: float, rng: np.random.Generator) -> F32:
    from scipy.signal import lfilter

    white = rng.standard_normal(n, np.float32)
    if correlation == 0:
        return white
    scale = np.sqrt(1 - correlation**2)
    return np.asarray(lfilter([scale], [1.0, -correlation], white), np.float32)


def extended_codes(sequence: U8, longest_tail_bp: int, model: PoreModel) -> I64:
    """Return the k-mer code by tested base over a contig with its tail.

    The first ``center`` bases have no k-mer of their own; their code is that of the first k-mer.

    Raises
    ------
    ValueError
        If the sequence holds anything but A, C, G, T.
    """
    tail = np.full(longest_tail_bp + model.kmer_size, ord("A"), np.uint8)
    codes = model.kmer_codes(np.concatenate((sequence, tail)))
    if (codes < 0).any():
        message = "a simulated contig must consist of A, C, G and T"
        raise ValueError(message)
    return np.concatenate((np.repeat(codes[:1], model.center), codes))
