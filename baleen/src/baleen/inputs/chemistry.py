"""Which chemistry a sample was sequenced with: every hint in the files votes."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from baleen.errors import MismatchError
from krill.pore_model import SHIPPED, PoreModel

RNA002, RNA004, DNA = "rna002", "rna004", "DNA"

# Weight of each kind of hint. Early RNA004 files carry wrong kit names, so no single one decides.
_KIT, _FLOW_CELL, _RATE, _MODEL, _SPEED, _KMERS = 2, 2, 2, 3, 1, 2
_CONFLICT = 1 / 3  # share of the votes from which a minority stops the run

_KITS = {
    "sqk-rna001": RNA002,
    "sqk-rna002": RNA002,
    "sqk-rna004": RNA004,
    "sqk-rna004-xl": RNA004,
}
_FLOW_CELLS = {
    "flo-min106": RNA002,
    "flo-min107": RNA002,
    "flo-pro002": RNA002,
    "flo-flg001": RNA002,
    "flo-min004ra": RNA004,
    "flo-pro004ra": RNA004,
    "flo-flg004ra": RNA004,
}
# RNA002 runs were sampled at 3000 or 3012 Hz, RNA004 runs are at 4000 Hz.
_RATES = {3000: RNA002, 3012: RNA002, 4000: RNA004}
_MODELS = {"rna002": RNA002, "rna_r9": RNA002, "rna004": RNA004, "rna_rp4": RNA004}
_NEAR_RATE = 2e-3
_SAME_MODEL = 0.999  # models of the two chemistries are as like as .996, published ones of the same 1.000
# Bases per second through the pore: 70 and 130 nominally, less over adapter and poly-A.
_FASTEST_RNA002, _FASTEST = 90, 250


def nominal_rate(rate_hz: float) -> float:
    """Return the nominal sampling rate that a measured one is, if it is one."""
    nearest = min(_RATES, key=lambda known: abs(known - rate_hz))
    return float(nearest) if abs(nearest - rate_hz) < _NEAR_RATE * nearest else rate_hz


def checked_model(chemistry: str, path: str | None) -> PoreModel:
    """Return the pore model of a run, the shipped one unless ``--kmer-model`` names a file.

    Raises
    ------
    krill.FormatError
        If the file is no pore model.
    MismatchError
        If it holds the levels of another chemistry.
    """
    if path is None:
        return PoreModel.shipped(chemistry)
    model = PoreModel.load(path)
    likeness = {name: model.likeness(name) for name in SHIPPED}
    nearest = max(likeness, key=lambda name: likeness[name])
    if nearest != chemistry and likeness[nearest] > _SAME_MODEL:
        problem = f"holds the levels of {nearest}, but the reads are {chemistry}"
        hint = f"leave --kmer-model out: a model of {chemistry} comes with Baleen"
        raise MismatchError(path, problem, hint=hint)
    return model


@dataclass
class Votes:
    """What the files of one sample say of its chemistry: weight and source of each vote."""

    weights: Counter[str] = field(default_factory=Counter)
    sources: dict[str, str] = field(default_factory=dict)

    def add(self, chemistry: str | None, weight: int, source: str) -> None:
        """Count a vote, if the source says anything."""
        if chemistry is not None:
            self.weights[chemistry] += weight
            self.sources.setdefault(chemistry, source)

    def add_run(self, attributes: Mapping[str, str]) -> None:
        """Count what a signal file says of one run."""
        kit = attributes.get("sequencing_kit", "").lower()
        self.add(_KITS.get(kit), _KIT, f"kit {kit}")
        if kit and kit.startswith("sqk-") and not kit.startswith(("sqk-rna", "sqk-drb")):
            self.add(DNA, _KIT, f"kit {kit}")
        experiment = attributes.get("experiment_type", "").lower()
        if "dna" in experiment:
            self.add(DNA, _MODEL, f"experiment type {experiment}")
        cell = attributes.get("flow_cell_product_code", "").lower()
        self.add(_FLOW_CELLS.get(cell), _FLOW_CELL, f"flow cell {cell}")
        self.add_rate(attributes.get("sample_frequency", ""))
        self.add_model(attributes.get("basecall_config_filename", ""))

    def add_rate(self, rate: str | float) -> None:
        """Count a sampling rate."""
        try:
            rate_hz = round(float(rate))
        except (ValueError, OverflowError):
            return
        self.add(_RATES.get(rate_hz), _RATE, f"sampling rate {rate_hz} Hz")

    def add_kmer_size(self, kmer_size: int | None) -> None:
        """Count the k-mers of an event table: 9-mers are RNA004's, 5-mers either's."""
        self.add(RNA004 if kmer_size == 9 else None, _KMERS, "9-mers in the event table")

    def add_model(self, model: str) -> None:
        """Count the name of a basecaller model."""
        for start, chemistry in _MODELS.items():
            if model.lower().startswith(start):
                self.add(chemistry, _MODEL, f"basecaller model {model}")
        if model.lower().startswith("dna"):
            self.add(DNA, _MODEL, f"basecaller model {model}")

    def add_speed(self, samples_per_base: float, sampling_rate_hz: float) -> None:
        """Count the speed of the reads: only RNA004 passes more than 90 bases per second."""
        if math.isfinite(samples_per_base) and samples_per_base > 0:
            speed = sampling_rate_hz / samples_per_base
            if speed > _FASTEST_RNA002:
                chemistry = RNA004 if speed < _FASTEST else DNA
                self.add(chemistry, _SPEED, f"{speed:.0f} bases per second")

    def winner(self) -> str | None:
        """Return the chemistry with most votes, None without any vote."""
        return max(self.weights, key=lambda name: self.weights[name], default=None)

    def is_split(self) -> bool:
        """Say whether a minority is too large to be ignored."""
        total = self.weights.total()
        return total > 0 and 1 - max(self.weights.values()) / total >= _CONFLICT

    def __str__(self) -> str:
        parts = [f"{name} ({self.sources[name]})" for name, _ in self.weights.most_common()]
        return " against ".join(parts) or "nothing"


def decide(votes: Sequence[tuple[str, Votes]], pore: str | None) -> tuple[str | None, str | None]:
    """Return the chemistry of a run and, if it cannot be told, the reason.

    Parameters
    ----------
    votes
        Name and votes of each sample.
    pore
        What ``--pore`` says; it decides where the votes are split or absent, not against them.
    """
    found: dict[str, str] = {}
    for name, sample in votes:
        winner = sample.winner()
        if winner == DNA:
            return None, f"sample {name} is DNA, not direct RNA: {sample}"
        if sample.is_split() and pore is None:
            return None, f"the files of sample {name} disagree on the chemistry: {sample}"
        if winner is not None and not sample.is_split():
            found[name] = winner
    against = [name for name, winner in found.items() if pore is not None and winner != pore]
    if against:
        name = against[0]
        return None, f"--pore {pore} contradicts the files of sample {name}: {dict(votes)[name]}"
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} {chemistry}" for name, chemistry in found.items())
        return None, f"the samples are of different chemistry: {listed}"
    return pore or next(iter(found.values()), None), None
