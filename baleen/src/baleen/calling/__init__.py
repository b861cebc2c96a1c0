"""From windows to reads to sites: score a contig, learn over the run, call.

`score_contig` and `call_contig` are pure and know one contig; `fit_run` and `finish_sites` see the run.
"""

from baleen.calling.basecaller_mods import ModTest
from baleen.calling.choice import keep_channels
from baleen.calling.contrasts import call_contrasts
from baleen.calling.events import (
    SIGNIFICANT,
    EventRate,
    benjamini_hochberg,
    candidates,
    finish_contig,
    finish_sites,
)
from baleen.calling.evidence import Evidence
from baleen.calling.hmm import DEFAULT_HMM, HmmParameters
from baleen.calling.model import RunModel, fit_run
from baleen.calling.replicates import Inflation, Priors, Spread, SpreadPrior, fit_priors, spread_counts
from baleen.calling.sample_calls import call_samples
from baleen.calling.score import score_contig
from baleen.calling.sites import ContigCalls, call_contig
from baleen.calling.summary import Summary, summarise

__all__ = [
    "DEFAULT_HMM",
    "SIGNIFICANT",
    "ContigCalls",
    "EventRate",
    "Evidence",
    "HmmParameters",
    "Inflation",
    "ModTest",
    "Priors",
    "RunModel",
    "Spread",
    "SpreadPrior",
    "Summary",
    "benjamini_hochberg",
    "call_contig",
    "call_contrasts",
    "call_samples",
    "candidates",
    "finish_contig",
    "finish_sites",
    "fit_priors",
    "fit_run",
    "keep_channels",
    "score_contig",
    "spread_counts",
    "summarise",
]
