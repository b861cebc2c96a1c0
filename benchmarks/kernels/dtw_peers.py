"""Other libraries' all-pairs DTW, each by its fastest call on one core, as condensed distances."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Signals = list[npt.NDArray[np.float32]]
Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Peer:
    """A library: ``prepare`` is not timed, ``pairwise`` is.

    One that takes equal lengths alone gets those; a slow one gets no more than ``most_signals``.
    """

    name: str
    prepare: Callable[[Signals], object]
    pairwise: Callable[[object], Distances]
    takes_unequal: bool = True
    most_signals: int = 10_000

    @property
    def version(self) -> str:
        """What is installed."""
        return importlib.metadata.version(self.name)


def peers() -> list[Peer]:
    """Return the libraries of the dependency group ``bench``."""
    import tsdistances
    from aeon.distances import dtw_pairwise_distance
    from dtaidistance import dtw
    from tslearn.metrics import cdist_dtw

    def dtaidistance(signals: object) -> Distances:
        return np.asarray(dtw.distance_matrix_fast(signals, compact=True, parallel=False))

    return [
        Peer("aeon", _doubles, lambda s: np.sqrt(_upper(dtw_pairwise_distance(s)))),  # returns the sum
        Peer("dtaidistance", _doubles, dtaidistance),
        Peer(
            "tsdistances",
            lambda s: np.stack(_doubles(s)),
            lambda s: np.sqrt(_upper(tsdistances.dtw_distance(s, par=False))),
            takes_unequal=False,
        ),
        Peer("tslearn", _doubles, lambda s: _upper(cdist_dtw(s, n_jobs=1)), most_signals=30),
    ]


def _doubles(signals: Signals) -> list[npt.NDArray[np.float64]]:
    return [signal.astype(np.float64) for signal in signals]


def _upper(matrix: npt.NDArray[np.float64]) -> Distances:
    return matrix[np.triu_indices(len(matrix), 1)]
