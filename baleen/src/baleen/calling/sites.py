"""From evidence to calls: reads and sites of a contig, and what only the whole run can say."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from baleen.calling import basecalls, pooled
from baleen.calling.event_probability import event_probability
from baleen.calling.evidence import Evidence
from baleen.calling.hmm import DEFAULT_HMM, HmmParameters
from baleen.calling.model import ErrorScale, RunModel, score_errors, score_signal
from baleen.calling.neighbours import PLACES, SHARPNESS
from baleen.calling.replicates import channel_inflation, moderate_errors
from baleen.calling.shares import PairRatios, pair_ratios, read_probabilities, site_shares
from baleen.calling.summary import N_HALVES, by_channel, half, smaller_depth, statistic_of
from baleen.config import CallingConfig
from baleen.data import F32, I64, Bool, ReadCalls, SiteCalls


class ContigCalls(NamedTuple):
    """Calls of one contig, and p-values of its controls split in two, float64; NaN = not tested."""

    reads: ReadCalls
    sites: SiteCalls
    split_p: npt.NDArray[np.float64]


class _Test(NamedTuple):
    """Of every position, NaN = not tested: normal scores, fused statistic, p-value.

    ``probability`` is that of an event within reach of the position, given all channels.
    """

    signal_z: npt.NDArray[np.float64]
    error_z: npt.NDArray[np.float64]
    statistic: npt.NDArray[np.float64]
    p: npt.NDArray[np.float64]
    probability: npt.NDArray[np.float64]


def call_contig(
    evidence: Evidence, model: RunModel, config: CallingConfig, hmm: HmmParameters = DEFAULT_HMM
) -> ContigCalls:
    """Return the calls of one contig; rates and ``is_peak`` follow in `finish_contig`.

    ``hmm`` counts if ``config`` asks for it: it changes probabilities of reads, never a test.
    """
    evidence = moderate_errors(evidence, model.priors)
    test = _test(evidence, model, config)
    tested = ~np.isnan(test.p)
    uses_signal, uses_errors = model.used
    share, low, high = site_shares(evidence, uses_errors=uses_errors)
    ratios = pair_ratios(evidence, share, uses_errors=uses_errors)
    p_mod = read_probabilities(evidence, ratios, test.probability, hmm if config.uses_hmm else None)
    row = np.repeat(np.arange(len(evidence.position)), np.diff(evidence.pair_offsets))
    native = evidence.reads.is_native[evidence.read]
    n = np.maximum(np.bincount(row[native], minlength=len(tested)), 1)
    mean = np.bincount(row[native], p_mod[native], len(tested)) / n
    over = np.bincount(row[native], p_mod[native] >= config.mod_threshold, len(tested)) / n
    by_signal = position_posterior(evidence, uses_signal=uses_signal, uses_errors=False)
    posterior = position_posterior(evidence, uses_signal=uses_signal, uses_errors=uses_errors)
    score = test.statistic + 4 * np.log(np.maximum(by_signal, 1e-30))
    none = np.full(len(tested), np.nan)
    has_signal = ~np.isnan(test.signal_z)

    def known(values: npt.NDArray[np.floating]) -> F32:
        return np.where(tested, values, np.nan).astype(np.float32)

    sites = SiteCalls(
        {
            "contig": np.full(len(tested), evidence.contig),
            "position": evidence.position,
            "kmer": evidence.kmer,
            "mod_ratio": known(share),
            "ci_low": known(low),
            "ci_high": known(high),
            "pvalue": test.p,
            "padj": none,
            "empirical_q": none,
            "event_padj": none,
            "effect_size": known(evidence.level_difference),
            "n_native": evidence.n_native,
            "n_ivt": evidence.n_control,
            "mean_p_mod": known(mean),
            "stoichiometry": known(over),
            "is_peak": np.zeros(len(tested), np.bool_),
            "position_posterior": known(posterior),
            "statistic": test.statistic.astype(np.float32),
            "score": score.astype(np.float32),
            "signal_statistic": statistic_of(evidence, model.candidate).astype(np.float32),
            "signal_z": test.signal_z.astype(np.float32),
            "level_statistic": by_channel(evidence, "level"),
            "own_statistic": evidence.own_statistic,
            "shape_statistic": by_channel(evidence, "level+shape"),
            "dwell_statistic": by_channel(evidence, "level+dwell"),
            "shift_pa": np.where(has_signal, evidence.shift_pa, np.nan).astype(np.float32),
            "error_z": test.error_z.astype(np.float32),
            "error_native": evidence.error_native,
            "error_control": evidence.error_control,
            "filter": _filter(evidence, tested),
        }
    )
    reads = ReadCalls(
        position=evidence.position[row],
        read=evidence.read,
        p_mod=p_mod,
        signal_llr=ratios.signal.astype(np.float32),
        error_llr=evidence.error_llr,
        reads=evidence.reads,
    )
    return ContigCalls(reads, sites, _test_splits(evidence, model, config))


def pair_evidence(
    evidence: Evidence, model: RunModel, config: CallingConfig
) -> tuple[PairRatios, npt.NDArray[np.float64]]:
    """Return what calls of reads are made of: ratios of pairs, and each position's probability."""
    evidence = moderate_errors(evidence, model.priors)
    share, _, _ = site_shares(evidence, uses_errors=model.used[1])
    ratios = pair_ratios(evidence, share, uses_errors=model.used[1])
    return ratios, _test(evidence, model, config).probability


def _test(evidence: Evidence, model: RunModel, config: CallingConfig) -> _Test:
    statistic = statistic_of(evidence, model.candidate)
    signal_z = score_signal(model.pools, statistic, pooled.depth_bin(smaller_depth(evidence)))
    inflation = channel_inflation(evidence, model.priors, model.candidate)
    signal_z = inflation.temper(signal_z, two_sided=True)
    statistic = np.where(statistic > 0, statistic / inflation.factor, statistic)
    error_z = score_errors(model.error_scale, evidence.error_z, config)
    z = np.column_stack([signal_z, error_z])
    p, fused = _fuse(z, half(evidence.contig, evidence.position), model)
    probability = event_probability(evidence, model, error_z)
    if model.used == (True, False):
        fused = statistic.copy()
    elif model.used == (False, True):
        fused = error_z.copy()
    return _Test(signal_z, error_z, np.where(np.isnan(p), np.nan, fused), p, probability)


def _fuse(
    z: npt.NDArray[np.float64], halves: I64, model: RunModel
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return p-values and fused statistics of normal scores; channels not in use become NaN."""
    z[:, ~np.array(model.used)] = np.nan
    p, fused = np.full(len(z), np.nan), np.full(len(z), np.nan)
    for this in range(N_HALVES):
        rows, one = halves == this, model.fusions[this]
        p[rows] = one.p_value(z[rows])
        fused[rows] = one.statistic(z[rows])
    return p, fused


def _test_splits(evidence: Evidence, model: RunModel, config: CallingConfig) -> npt.NDArray[np.float64]:
    """Return the p-values of one half of the controls against the other.

    Both halves are of one library: what lies between libraries is not taken off their error scores.
    """
    has_signal = model.candidate < len(evidence.split_statistic)
    missing = np.full(len(evidence.split_position), np.nan)
    statistic = evidence.split_statistic[model.candidate].astype(np.float64) if has_signal else missing
    signal_z = score_signal(model.pools, statistic, pooled.depth_bin(evidence.split_depth))
    error_z = score_errors(ErrorScale(), evidence.split_error_z, config)
    p, _ = _fuse(np.column_stack([signal_z, error_z]), half(evidence.contig, evidence.split_position), model)
    return p


def position_posterior(
    evidence: Evidence, *, uses_signal: bool, uses_errors: bool
) -> npt.NDArray[np.float64]:
    """Return the probability that an event at each position sits there, not up to 3 away.

    The gains of neighbours are compared: the signal's log likelihoods, tempered, and of the errors
    a quarter of theirs (``z^2 / 2``), because basecallers spread one base's errors over several.
    """
    position = evidence.position
    log = np.zeros((len(position), len(PLACES)))
    if uses_signal:
        log += SHARPNESS * np.nan_to_num(evidence.gain.astype(np.float64), nan=0.0, neginf=-np.inf)
    for place, offset in enumerate(PLACES):
        at = np.minimum(np.searchsorted(position, position + offset), max(len(position) - 1, 0))
        if uses_errors:
            log[:, place] += np.maximum(np.nan_to_num(evidence.error_z[at].astype(np.float64)), 0) ** 2 / 8
        log[position[at] != position + offset, place] = -np.inf
    return np.asarray(np.exp(log[:, len(PLACES) // 2] - np.logaddexp.reduce(log, axis=1)))


def _filter(evidence: Evidence, tested: Bool) -> npt.NDArray[np.str_]:
    """Return PASS, or why a position was not tested."""
    reasons = np.full(len(tested), "NO_VARIATION", "U12")
    reasons[smaller_depth(evidence) < basecalls.MIN_READS] = "FEW_READS"
    reasons[evidence.n_native == 0] = "NO_NATIVE"
    reasons[evidence.n_control == 0] = "NO_CONTROL"
    reasons[tested] = "PASS"
    return reasons
