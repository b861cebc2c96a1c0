"""Fewer channels than were scored: evidence as if the others had not been measured."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from baleen.calling.evidence import Evidence
from baleen.config import CallingConfig
from baleen.data import Bool


def keep_channels(evidence: Evidence, config: CallingConfig) -> Evidence:
    """Return the evidence of the channels that the settings ask for; as it is if that is all.

    Parameters
    ----------
    evidence
        Of one contig.
    config
        ``channels`` and ``signal``; what was not scored cannot be asked for.
    """
    wanted = [number for number, name in enumerate(evidence.candidates) if _is_asked(str(name), config)]
    if len(wanted) < len(evidence.candidates):
        evidence = _only(evidence, np.array(wanted)) if wanted else _without_signal(evidence)
    has_errors = bool((~np.isnan(evidence.error_native)).any())
    if has_errors and "errors" not in config.channels and wanted:
        evidence = _without_errors(evidence)
    return evidence


def _is_asked(candidate: str, config: CallingConfig) -> bool:
    """Say whether a signal statistic is made of channels in use; the level is there with any of them."""
    signal_channels = set(config.channels) - {"errors"}
    if not config.signal or not signal_channels:
        return False
    return {*candidate.split("+")} <= {*signal_channels, "level"}


def _only(evidence: Evidence, candidates: npt.NDArray[np.int64]) -> Evidence:
    channels = np.append(candidates, len(evidence.candidates))
    return replace(
        evidence,
        candidates=evidence.candidates[candidates],
        statistic=evidence.statistic[candidates],
        null_statistic=evidence.null_statistic[candidates],
        split_statistic=evidence.split_statistic[candidates],
        sample_mean=evidence.sample_mean[channels],
        sample_precision=evidence.sample_precision[channels],
    )


def _without_signal(evidence: Evidence) -> Evidence:
    missing = np.full(len(evidence.position), np.nan, np.float32)
    names = ("share", "share_low", "share_high", "shift_pa", "level_difference", "own_statistic")
    rows = np.repeat(np.arange(len(evidence.position)), np.diff(evidence.pair_offsets))
    said = evidence.is_called
    native = said & evidence.reads.is_native[evidence.read]
    tested = np.bincount(rows[said], minlength=len(missing)) > 0
    n_native = np.bincount(rows[native], minlength=len(missing))
    n_control = np.bincount(rows[said & ~native], minlength=len(missing))
    evidence = replace(
        evidence,
        candidates=evidence.candidates[:0],
        statistic=evidence.statistic[:0],
        null_statistic=np.zeros((0, 0), np.float32),
        null_depth=np.zeros(0, np.int32),
        split_statistic=evidence.split_statistic[:0],
        gain=np.full_like(evidence.gain, np.nan),
        p_signal=np.full(len(evidence.read), np.nan, np.float32),
        sample_mean=evidence.sample_mean[-1:],
        sample_precision=evidence.sample_precision[-1:],
        n_native=np.where(tested, n_native, evidence.n_native).astype(np.int32),
        n_control=np.where(tested, n_control, evidence.n_control).astype(np.int32),
    )
    return _keep_pairs(_replaced(evidence, names, missing), said)


def _without_errors(evidence: Evidence) -> Evidence:
    missing = np.full(len(evidence.position), np.nan, np.float32)
    names = ("error_z", "error_native", "error_control", "error_share")
    sample_mean, precision = evidence.sample_mean.copy(), evidence.sample_precision.copy()
    sample_mean[-1] = precision[-1] = 0
    evidence = replace(
        evidence,
        error_llr=np.zeros_like(evidence.error_llr),
        sample_mean=sample_mean,
        sample_precision=precision,
        is_called=np.zeros_like(evidence.is_called),
        split_error_z=np.full_like(evidence.split_error_z, np.nan),
    )
    return _keep_pairs(_replaced(evidence, names, missing), ~np.isnan(evidence.p_signal))


def _replaced(evidence: Evidence, names: Sequence[str], values: npt.NDArray[Any]) -> Evidence:
    changes: dict[str, Any] = dict.fromkeys(names, values)
    return replace(evidence, **changes)


def _keep_pairs(evidence: Evidence, keep: Bool) -> Evidence:
    offsets = np.concatenate([[0], np.cumsum(keep)])[evidence.pair_offsets]
    names = ("read", "p_signal", "error_llr", "is_called")
    pairs: dict[str, Any] = {name: getattr(evidence, name)[keep] for name in names}
    return replace(evidence, pair_offsets=offsets.astype(np.int64), **pairs)
