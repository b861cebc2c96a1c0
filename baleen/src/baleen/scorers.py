"""Scorers from outside: classes that other packages register under the entry point ``baleen.channels``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np

from baleen.config import CHANNELS, CallingConfig
from baleen.data import F32, Distances, SignalPileup
from baleen.errors import UsageError

GROUP = "baleen.channels"


class Scorer(Protocol):
    """One number per window, from signal alone; the class is made without arguments.

    Attributes
    ----------
    name
        What ``--channels`` calls it: the name of the entry point.
    """

    name: str

    def score(self, pileup: SignalPileup, distances: Distances | None, config: CallingConfig) -> F32:
        """Return the score of every window, float32, shape ``(w,)``; NaN = nothing to say.

        Parameters
        ----------
        pileup
            Windows of one contig. Every read is labelled as a control of one sample: labels are
            hidden, so that no score can depend on them.
        distances
            Time-warping coordinates, where ``shape`` is among the channels.
        config
            Settings of the calling.
        """


def names_from_outside(channels: Sequence[str]) -> tuple[str, ...]:
    """Return the channels that are not Baleen's own."""
    return tuple(name for name in channels if name not in CHANNELS)


def load_scorers(config: CallingConfig) -> tuple[Scorer, ...]:
    """Return the scorers that the settings ask for.

    Raises
    ------
    UsageError
        If one is not installed, is not what a scorer must be, or signal is not used.
    """
    names = names_from_outside(config.channels)
    if names and not config.signal:
        message = f"--channels: {names[0]} scores signal, and --no-signal uses none"
        raise UsageError(message)
    return tuple(_load(name) for name in names)


@lru_cache(maxsize=16)
def _load(name: str) -> Scorer:
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        message = f"--channels: {name!r} is not one of {', '.join([*CHANNELS, *sorted(found)])}"
        hint = f"a scorer must be installed beside baleen, under the entry point {GROUP}"
        raise UsageError(message, hint=hint)
    try:
        scorer: Scorer = found[name].load()()
    except (ImportError, AttributeError, TypeError) as error:
        message = f"--channels: scorer {name} ({found[name].value}) cannot be made: {error}"
        raise UsageError(message) from error
    if getattr(scorer, "name", None) != name or not callable(getattr(scorer, "score", None)):
        message = f"--channels: {found[name].value} is no scorer: it needs name = {name!r} and score()"
        raise UsageError(message)
    return scorer


def score_windows(
    scorers: Sequence[Scorer], pileup: SignalPileup, distances: Distances | None, config: CallingConfig
) -> Mapping[str, F32]:
    """Return the scores of every scorer by its name.

    Raises
    ------
    ValueError
        If what a scorer returns is not one float32 per window.
    """
    hidden = _without_labels(pileup) if scorers else pileup
    scores = {}
    for scorer in scorers:
        values = np.asarray(scorer.score(hidden, distances, config))
        if values.dtype != np.float32 or values.shape != pileup.read.shape:
            message = f"scorer {scorer.name} returned {values.dtype} of shape {values.shape}"
            message += f"; it must return float32 of shape {pileup.read.shape}"
            raise ValueError(message)
        scores[scorer.name] = values
    return scores


def _without_labels(pileup: SignalPileup) -> SignalPileup:
    reads = replace(
        pileup.reads,
        is_native=np.zeros_like(pileup.reads.is_native),
        sample=np.zeros_like(pileup.reads.sample),
        sample_names=("hidden",),
        sample_groups=(),
    )
    return replace(pileup, reads=reads)
