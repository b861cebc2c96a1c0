"""The same sites, sample by sample: how many reads, and what share of them is modified."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling.evidence import Evidence
from baleen.calling.model import RunModel
from baleen.calling.sites import ContigCalls
from baleen.columns import SAMPLE_COLUMNS
from baleen.data import F32

F64 = npt.NDArray[np.float64]

PRIOR_READS = 1.0
"""Reads that the site's share is worth in a sample's."""

ITERATIONS = 50


def call_samples(
    evidence: Evidence, calls: ContigCalls, model: RunModel, conditions: tuple[str, ...]
) -> Mapping[str, npt.NDArray[Any]]:
    """Return the columns of the table of samples: one row per tested position and sample with reads.

    Parameters
    ----------
    evidence, calls
        Of one contig, which go together.
    model
        Of the run.
    conditions
        Condition of each sample, by its number.

    Notes
    -----
    A sample's share ``s`` is the maximum of ``prod (1 - s + s r)`` over its reads, ``r`` their
    likelihood ratios modified against unmodified, with a pseudo-read at the site's share: all
    samples of a site are measured against the same modified and unmodified reads.
    """
    names = evidence.reads.sample_names
    row = np.repeat(np.arange(len(evidence.position)), np.diff(evidence.pair_offsets))
    key = row * len(names) + evidence.reads.sample[evidence.read]
    size = len(evidence.position) * len(names)
    depth = np.bincount(key, minlength=size)
    ratio = calls.reads.signal_llr.astype(np.float64) + calls.reads.error_llr * model.used[1]
    share = share_of_groups(key, ratio, depth, np.repeat(calls.sites["mod_ratio"], len(names)))
    mean = np.bincount(key, calls.reads.p_mod, size) / np.maximum(depth, 1)
    tested = np.repeat(calls.sites["filter"] == "PASS", len(names))
    rows = np.flatnonzero(tested & (depth > 0))
    position, sample = np.divmod(rows, len(names))
    columns = {
        "contig": np.full(len(rows), evidence.contig),
        "position": evidence.position[position],
        "sample": np.array(names)[sample],
        "condition": np.array(conditions)[sample],
        "depth": depth[rows].astype(np.int32),
        "mod_ratio": share[rows],
        "mean_p_mod": mean[rows].astype(np.float32),
    }
    return {column.name: columns[column.name] for column in SAMPLE_COLUMNS}


def share_of_groups(
    key: npt.NDArray[np.int64], log_ratio: F64, depth: npt.NDArray[np.int64], prior: F32
) -> F32:
    """Return the share of modified reads in each group of reads; NaN where the prior is.

    Parameters
    ----------
    key
        Group of each read.
    log_ratio
        Log-likelihood ratio modified against unmodified of each read.
    depth
        Reads of each group.
    prior
        Share that a pseudo-read of each group has.
    """
    known = np.clip(np.nan_to_num(prior.astype(np.float64), nan=0.5), 1e-3, 1 - 1e-3)
    share = known
    for _ in range(ITERATIONS):
        member = special.expit(log_ratio + special.logit(share)[key])
        total = np.bincount(key, member, len(depth))
        share = (total + PRIOR_READS * known) / (depth + PRIOR_READS)
    return np.where(np.isnan(prior), np.nan, share).astype(np.float32)
