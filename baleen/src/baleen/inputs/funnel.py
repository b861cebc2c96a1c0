"""Where a sample's reads went, for people: counts and three example ids of each loss."""

from dataclasses import dataclass

import numpy as np

from baleen.inputs.sample_reads import Extra, SampleReads
from krill.reads.batch import ReadStatus

INTERSECTION = (ReadStatus.NOT_IN_FASTQ, ReadStatus.NO_SIGNAL)
LOW_SHARE = 0.5

_REASONS = {
    ReadStatus.UNMAPPED: "unmapped",
    ReadStatus.NOT_PRIMARY: "no primary alignment",
    ReadStatus.REVERSE_STRAND: "on the reverse strand",
    ReadStatus.LOW_MAPQ: "below --min-mapq",
    ReadStatus.NO_SEQUENCE: "without bases in the BAM",
    ReadStatus.NOT_IN_FASTQ: "not in the FASTQ",
    ReadStatus.NO_SIGNAL: "without signal",
    ReadStatus.NOT_TARGET: "not on a --target contig",
    ReadStatus.CONTIG_SKIPPED: "on contigs that are skipped",
    ReadStatus.NOT_SAMPLED: "beyond --subsample-n",
}

_TABLE_REASONS = {ReadStatus.NO_SIGNAL: "not in the event table"}


@dataclass(frozen=True)
class Loss:
    """Reads that ended in one status, or that the BAM does not hold: count and examples."""

    reason: str
    n_reads: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Funnel:
    """The way of one sample's reads.

    Parameters
    ----------
    sample
        Its name.
    n_reads
        Distinct reads in its BAM files.
    losses
        In the order of the checks; only those that lost reads.
    n_used
        Reads that go on to the calling.
    beside
        Reads in FASTQ or signal that the BAM does not hold; they are not among ``n_reads``.
    shared
        Share of the well-aligned reads that are also in the FASTQ (where given) and the signal.
    """

    sample: str
    n_reads: int
    losses: tuple[Loss, ...]
    n_used: int
    beside: tuple[Loss, ...]
    shared: float

    def lines(self) -> list[str]:
        """Return the funnel as lines of text."""
        found = [f"{self.sample}: {self.n_reads} reads in the BAM"]
        found += [_line("- ", loss) for loss in self.losses]
        found.append(f"  = {self.n_used} used")
        found += [_line("(", loss) + ")" for loss in self.beside]
        return found

    def losses_text(self) -> str:
        """Return how many reads were lost for what, in a few words."""
        return ", ".join(f"{loss.n_reads} {loss.reason}" for loss in self.losses) or "no reads"


def _line(sign: str, loss: Loss) -> str:
    return f"  {sign}{loss.n_reads} {loss.reason}, as {', '.join(map(printable, loss.examples))}"


def printable(name: str) -> str:
    """Return a name of bounded length without control characters."""
    clean = "".join(c if c.isprintable() else "?" for c in name)
    return clean if len(clean) <= 60 else clean[:57] + "..."


def build_funnel(reads: SampleReads) -> tuple[Funnel, dict[ReadStatus, int]]:
    """Return the funnel of a sample and the number of reads in each status."""
    status = reads.read_status()
    numbers = np.bincount(status, minlength=max(ReadStatus) + 1)
    counts = {item: int(numbers[item]) for item in ReadStatus if numbers[item]}
    reasons = {**_REASONS, **({} if reads.files.eventalign is None else _TABLE_REASONS)}
    losses = tuple(
        Loss(reason, counts[item], reads.examples(status, item))
        for item, reason in reasons.items()
        if item in counts
    )
    lost = sum(counts.get(item, 0) for item in INTERSECTION)
    before = _REASONS_BEFORE_INTERSECTION
    candidates = len(status) - sum(counts.get(item, 0) for item in before)
    funnel = Funnel(
        sample=reads.files.name,
        n_reads=len(status),
        losses=losses,
        n_used=counts.get(ReadStatus.OK, 0),
        beside=tuple(_beside(reads)),
        shared=1 - lost / candidates if candidates else 1.0,
    )
    return funnel, counts


_REASONS_BEFORE_INTERSECTION = tuple(_REASONS)[: tuple(_REASONS).index(INTERSECTION[0])]


def _beside(reads: SampleReads) -> list[Loss]:
    source = "signal" if reads.files.eventalign is None else "event table"
    found: list[tuple[str, Extra]] = [
        ("in the FASTQ alone", reads.only_in_fastq),
        (f"in the {source} alone", reads.only_in_signal),
        (f"twice in the {source}", reads.twice_in_signal),
    ]
    return [Loss(reason, extra.n_reads, tuple(extra.examples)) for reason, extra in found if extra.n_reads]
