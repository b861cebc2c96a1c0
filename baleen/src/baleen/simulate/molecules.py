"""Which molecules there are: transcripts, their modified sites, and which read carries what."""

from dataclasses import dataclass

import numpy as np

from baleen.data import I32, I64, U8, Bool
from baleen.data import check as check_column
from baleen.simulate.settings import SimulationConfig

SITE_DISTANCE_BP = 15
_END_MARGIN_BP = 25
_SHORTEST_READ_BP = 200
_BASES = np.frombuffer(b"ACGT", np.uint8)


@dataclass(frozen=True)
class Sites:
    """Modified sites of one contig. ``s`` sites.

    Parameters
    ----------
    position
        Rising, int32, shape ``(s,)``.
    stoichiometry
        Share of native molecules that are modified, float64 in [0, 1].
    shift_pa
        Level shift at the most shifted base of the footprint, signed, float64.
    dwell_factor
        How much longer the modified base stays, float64.
    """

    position: I32
    stoichiometry: np.ndarray[tuple[int], np.dtype[np.float64]]
    shift_pa: np.ndarray[tuple[int], np.dtype[np.float64]]
    dwell_factor: np.ndarray[tuple[int], np.dtype[np.float64]]

    def __post_init__(self) -> None:
        shape = self.position.shape
        check_column("position", self.position, np.int32, shape)
        for name in ("stoichiometry", "shift_pa", "dwell_factor"):
            check_column(name, getattr(self, name), np.float64, shape)
        if (np.diff(self.position) <= 0).any():
            message = "positions of sites must rise"
            raise ValueError(message)

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True)
class Molecules:
    """Molecules of one contig before they are sequenced. ``n`` molecules, ``s`` sites.

    Parameters
    ----------
    start
        First reference base, int64, shape ``(n,)``; all reach the contig's 3' end.
    tail_bp
        Bases of poly-A, int64, shape ``(n,)``.
    is_modified
        bool, shape ``(n, s)``; False where the molecule does not reach the site.
    """

    start: I64
    tail_bp: I64
    is_modified: Bool

    def __len__(self) -> int:
        return len(self.start)


def random_transcript(length_bp: int, rng: np.random.Generator) -> U8:
    """Return random bases, ASCII, uint8, shape ``(length_bp,)``."""
    return _BASES[rng.integers(0, 4, length_bp)]


def plan_sites(length_bp: int, config: SimulationConfig, rng: np.random.Generator) -> Sites:
    """Spread sites over a contig, one at a random place of each of equal stretches.

    A contig that is too short for all of them gets as many as fit ``SITE_DISTANCE_BP`` apart.
    """
    room = max(0, length_bp - 2 * _END_MARGIN_BP)
    n = min(config.sites, room // SITE_DISTANCE_BP)
    edges = _END_MARGIN_BP + np.arange(n + 1) * room // max(n, 1)
    position = edges[:-1] + rng.integers(0, np.diff(edges) - SITE_DISTANCE_BP + 1)
    # every share occurs equally often, in random order
    shares = np.resize(rng.permutation(np.array(config.stoichiometry, float)), n)
    size = rng.uniform(config.shift_min_pa, config.shift_max_pa, n)
    return Sites(
        position=position.astype(np.int32),
        stoichiometry=rng.permutation(shares),
        shift_pa=size * rng.choice((-1.0, 1.0), n),
        dwell_factor=config.dwell_factor * np.exp(rng.normal(0, 0.3, n)),
    )


def draw_molecules(
    length_bp: int, n: int, sites: Sites | None, config: SimulationConfig, rng: np.random.Generator
) -> Molecules:
    """Draw molecules and which of their sites are modified.

    Parameters
    ----------
    length_bp, n
        Of the contig; number of molecules.
    sites
        Sites that may be modified; None for a control, which carries none.
    """
    last_start = max(0, length_bp - _SHORTEST_READ_BP)
    start = rng.integers(0, last_start + 1, n)
    start[rng.random(n) < config.full_length] = 0
    tail_bp = np.maximum(10, np.round(config.tail_bp * rng.gamma(9, 1 / 9, n))).astype(np.int64)
    if sites is None:
        return Molecules(start, tail_bp, np.zeros((n, 0), np.bool_))
    is_reached = start[:, None] <= sites.position
    is_modified = is_reached & (rng.random((n, len(sites))) < sites.stoichiometry)
    return Molecules(start, tail_bp, is_modified)
