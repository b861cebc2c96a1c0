"""Events next to each other: what each explains once the others are taken off."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from baleen.calling import mixture
from baleen.calling.evidence import N_PLACES
from baleen.calling.footprint import OFFSETS, Shifts
from baleen.calling.null import Standardised
from baleen.data import F32, I64, Bool
from krill.grid import MixtureEvidence

PLACES = np.arange(N_PLACES) - N_PLACES // 2
"""An event may truly sit this far from where it seems to sit."""

REACH = 4
"""Two footprints of five positions overlap up to this distance."""

LEAST_EVIDENCE, LEAST_FURTHER = 5.0, 2.0
"""ln evidence from which a position explains its surroundings; of a further event beside it, once
what the first one explains is taken off."""

MAX_EVENTS_FOUND = 5
"""Further events that are looked for in one group."""

SMEAR = 2
"""A row this near to an event may be where it sits; farther off it needs evidence of its own."""

SHARPNESS = 0.5
"""Exponent of the gains in the posterior over positions: reads' levels are not quite as independent
as the likelihood takes them to be. Measured on simulated sites: half of it is calibrated."""

FURTHER_SHARE = 0.01
"""Chance that a position beside an event is modified as well."""


class Scored(NamedTuple):
    """What was computed of the tested rows as if every position were alone."""

    rows: I64
    evidence: MixtureEvidence
    gain: F32


class Untangled(NamedTuple):
    """Evidence of the tested rows, neighbours considered, and gains at `PLACES` around every row.

    A row's gains are those of its event: -inf where another event sits, NaN where not tested.
    ``own`` is a tested row's ln evidence without what events more than `SMEAR` away explain.
    """

    evidence: MixtureEvidence
    gain: F32
    own: F32


@dataclass(frozen=True)
class _Event:
    row: int
    shift: float
    members: F32
    evidence: float


@dataclass(frozen=True)
class _Contig:
    """The reads' levels, matched to the footprint, and what they say row by row."""

    level: Standardised
    shifts: Shifts
    footprint: tuple[float, ...]
    is_native: Bool
    tested: Bool

    def without(self, rows: I64, events: Sequence[_Event]) -> Shifts:
        """Return the shifts at the rows less what the events explain of them."""
        value = self.shifts.value[rows]
        for event in events:
            near = np.flatnonzero(np.abs(rows - event.row) <= REACH)
            value[near] -= self._overlap(rows[near], event.row) * (event.shift * event.members)
        precision, plain = self.shifts.precision[rows], self.shifts.plain_precision[rows]
        return Shifts(np.where(precision > 0, value, 0).astype(np.float32), precision, plain)

    def _overlap(self, rows: I64, event: int) -> F32:
        """Return what the matched footprint at each row sees of a unit shift at the event's row."""
        n, last = len(self.level.z), len(OFFSETS) - 1
        seen = np.zeros((len(rows), self.level.z.shape[1]), np.float32)
        full = np.zeros_like(seen)
        for offset, weight in zip(OFFSETS, self.footprint, strict=True):
            at = rows + offset
            inside = (at >= 0) & (at < n)
            at = np.clip(at, 0, n - 1)
            trust = np.where(inside[:, None], self.level.weight[at] / self.level.spread[at][:, None] ** 2, 0)
            step = at - event - OFFSETS[0]
            other = np.where((step >= 0) & (step <= last), np.take(self.footprint, np.clip(step, 0, last)), 0)
            seen += np.float32(weight) * other[:, None].astype(np.float32) * trust
            full += np.float32(weight) ** 2 * trust
        return np.divide(seen, full, out=np.zeros_like(seen), where=full > 0)

    def evidence(self, rows: I64, events: Sequence[_Event], *, details: bool) -> MixtureEvidence:
        """Return the evidence at the rows once the events are taken off."""
        shifts = self.without(rows, events)
        return mixture.site_evidence(shifts, self.is_native, np.arange(len(rows)), details=details)

    def gain(self, rows: I64, events: Sequence[_Event]) -> F32:
        """Return the gains at the rows once the events are taken off."""
        return mixture.site_gain(self.without(rows, events), self.is_native, np.arange(len(rows)))

    def fit(self, row: int, others: Sequence[_Event]) -> _Event:
        """Return the event at a row, given the others."""
        found = self.evidence(np.array([row]), others, details=True)
        return _Event(row, float(mixture.shift_mean(found.shift)[0]), found.members[0], found.log_ratio[0])

    def around(self, rows: Sequence[int], reach: int) -> I64:
        """Return the tested rows up to ``reach`` from any of the rows."""
        near = np.unique(np.add.outer(rows, np.arange(-reach, reach + 1)))
        near = near[(near >= 0) & (near < len(self.tested))]
        return np.asarray(near[self.tested[near]], np.int64)


def untangle(
    level: Standardised, shifts: Shifts, footprint: tuple[float, ...], is_native: Bool, scored: Scored
) -> Untangled:
    """Return the evidence of every row with the other events' share of it taken off.

    No test uses this: where something is modified, it says what else is, how often, and in
    which reads.

    Notes
    -----
    Events of a group of overlapping footprints are found one by one: each is fitted on what the
    others leave, until no position has evidence left. A position beside an event is modified
    either in its place or in addition to it; its evidence is the mean over both, weighted by the
    posterior over positions and by the evidence that the event leaves unexplained.
    """
    p = len(shifts.value)
    tested = np.zeros(p, np.bool_)
    tested[scored.rows] = True
    contig = _Contig(level, shifts, footprint, is_native, tested)
    gain = np.full(p, np.nan, np.float32)
    gain[scored.rows] = scored.gain
    own = scored.evidence.log_ratio.astype(np.float32)
    out = Untangled(_copy(scored.evidence), _places(gain, np.arange(p)), own)
    for group in _groups(scored, gain):
        events = _find(contig, group)
        for event, mine in _neighbours(contig, events):
            others = [one for one in events if one is not event]
            _consider(contig, (event, others, mine), scored.rows, out)
    return out


def _copy(evidence: MixtureEvidence) -> MixtureEvidence:
    arrays = {name: getattr(evidence, name).copy() for name in _MIXED}
    return replace(evidence, **arrays)


_MIXED = ("share", "share_tempered", "shift", "members")


def _places(gain: F32, rows: I64) -> F32:
    """Return the gains at `PLACES` around the rows, NaN beyond the ends."""
    padded = np.pad(gain, len(PLACES) // 2, constant_values=np.nan)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, len(PLACES))[rows].copy())


def _groups(scored: Scored, gain: F32) -> list[list[int]]:
    """Return the rows of clear events, those whose footprints may share a neighbour together."""
    best = np.nan_to_num(_places(gain, scored.rows), nan=-np.inf).max(axis=1)
    is_peak = (scored.evidence.log_ratio >= LEAST_EVIDENCE) & (scored.gain >= best)
    groups: list[list[int]] = []
    for row in scored.rows[is_peak].tolist():
        if groups and row - groups[-1][-1] <= 2 * REACH:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _find(contig: _Contig, rows: list[int]) -> list[_Event]:
    """Return the events of a group, each fitted on what the others leave."""
    events = sorted((contig.fit(row, ()) for row in rows), key=lambda event: -event.evidence)
    for _ in range(MAX_EVENTS_FOUND):
        events = _refit(contig, events)
        free = np.setdiff1d(contig.around([e.row for e in events], REACH), [e.row for e in events])
        if len(free) == 0:
            break
        has_evidence = contig.evidence(free, events, details=False).log_ratio > LEAST_FURTHER
        if not has_evidence.any():
            break
        gain = np.where(has_evidence, contig.gain(free, events), -np.inf)
        events.append(contig.fit(int(free[np.argmax(gain)]), events))
    return events


def _refit(contig: _Contig, events: list[_Event]) -> list[_Event]:
    """Fit every event given the others, strongest first; drop those with nothing left to explain."""
    for event in tuple(events):
        if len(events) == 1:
            break
        at = events.index(event)
        others = events[:at] + events[at + 1 :]
        again = contig.fit(event.row, others)
        events = others if again.evidence < LEAST_FURTHER else [*events[:at], again, *events[at + 1 :]]
    return events


def _neighbours(contig: _Contig, events: list[_Event]) -> Iterator[tuple[_Event, I64]]:
    """Return each event with the rows it is the nearest event of."""
    at = np.array([event.row for event in events])
    rows = contig.around(at.tolist(), REACH)
    nearest = np.abs(rows[:, None] - at).argmin(axis=1)
    for k, event in enumerate(events):
        yield event, rows[nearest == k]


def _consider(
    contig: _Contig, around: tuple[_Event, list[_Event], I64], scored_rows: I64, out: Untangled
) -> None:
    """Write the evidence of the rows next to an event: in its place, or in addition to it."""
    event, others, rows = around
    at = np.searchsorted(scored_rows, rows)
    if others:
        wide = contig.around(rows.tolist(), len(PLACES) // 2)
        gain = np.full(len(contig.tested), np.nan, np.float32)
        gain[wide] = contig.gain(wide, others)
        gain[[other.row for other in others]] = -np.inf
        out.gain[rows] = _places(gain, rows)
        instead = contig.evidence(rows, others, details=True)
        out.own[at] = instead.log_ratio
        for name in _MIXED:
            getattr(out.evidence, name)[at] = getattr(instead, name)
    beside = rows != event.row
    rows, at = rows[beside], at[beside]
    further = contig.evidence(rows, [event, *others], details=True)
    is_apart = np.abs(rows - event.row) > SMEAR
    out.own[at[is_apart]] = further.log_ratio[is_apart]
    place = place_posterior(out.gain[rows])
    odds = FURTHER_SHARE * np.exp(np.minimum(further.log_ratio, 50)) * (1 - place)
    instead_share = (place / np.maximum(place + odds, 1e-300))[:, None].astype(np.float32)
    for name in _MIXED:
        mixed = getattr(out.evidence, name)
        mixed[at] = instead_share * mixed[at] + (1 - instead_share) * getattr(further, name)


def place_posterior(gain: F32) -> npt.NDArray[np.float64]:
    """Return the probability that an event sits at the middle of `PLACES`, from the gains there."""
    log = SHARPNESS * np.nan_to_num(gain.astype(np.float64), nan=0.0, neginf=-np.inf)
    middle = log[:, len(PLACES) // 2]
    # a row beside an event is never itself an event's: its own gain is finite
    return np.asarray(np.exp(middle - np.logaddexp.reduce(log, axis=1)))
