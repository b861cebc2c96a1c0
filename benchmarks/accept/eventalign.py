"""Figures of event alignment: placement on simulated and real reads, modified bases' levels, speed."""

from collections.abc import Iterator

import numpy as np

import krill
from benchmarks.accept.rows import Row
from benchmarks.eventalign.agreement import WITHIN, move_agreement, wrongly_placed
from benchmarks.eventalign.data import Truth, load_batches, load_reference, load_truth, with_jittered_moves
from benchmarks.eventalign.measure import Placed, Score, from_f5c, from_krill, score
from benchmarks.eventalign.sites import at_true_boundaries, only, site_auc
from benchmarks.eventalign.speed import measure
from benchmarks.machine import SHARED_DATA
from krill import PoreModel, ReadStatus

_MUST = {
    # right without moves, goal; mean error, goal; right with moves, goal; gain of AUC over f5c
    "rna002": ((0.82, 0.85), (10, 7.5), (0.89, 0.93), 0.037),
    "rna004": ((0.84, 0.87), (6, 4.6), (0.89, 0.92), 0.029),
}
_LONG_GAIN = 0.047
"""By how much the AUC of positions with at least ``_LONG`` samples is to exceed f5c's."""
_LONG = 4
_REAL = (
    # folder, BAM, BLOW5, chemistry, least agreement with the moves (RNA002: nanopolish's)
    ("sequin_f5c", "mapped", "reads", "rna002", None),
    ("ecoli_rrna", "native", "native", "rna002", 0.494),
    ("ecoli_rrna", "ivt", "ivt", "rna002", 0.448),
    ("trna_psi55", "native", "native", "rna004", 0.5),
    ("trna_psi55", "control", "control", "rna004", 0.5),
)
_SPEED = {"avx2": 12, "avx512": 16}


def rows() -> Iterator[Row]:
    """Yield the figures, simulated sets first."""
    for chemistry in _MUST:
        yield from _simulated(chemistry)
    yield _threads_agree()
    yield from _speed()
    yield from _real()


class _Set:
    """A simulated set: batches, truth, reference, model."""

    def __init__(self, chemistry: str) -> None:
        self.folder = SHARED_DATA / "sim" / f"{chemistry}_small"
        native = self.folder / "native"
        self.batches = load_batches(native / "reads.bam", native / "reads.blow5")
        self.truth: dict[str, Truth] = load_truth(native / "truth_align.tsv.gz")
        self.reference = load_reference(self.folder / "ref.fa")
        self.model = PoreModel.shipped(chemistry)

    def place(self, *, moves: bool) -> dict[str, Placed | None]:
        rng = np.random.default_rng(1)
        found: dict[str, Placed | None] = {}
        for contig, batch in self.batches.items():
            reads = with_jittered_moves(batch, self.truth, rng) if moves else batch
            aligned = krill.align(reads, self.reference[contig], self.model)
            found.update(from_krill(reads, aligned, self.model.center))
        return found

    def score(self, found: dict[str, Placed | None]) -> Score:
        reads = [
            (read_id, (int(batch.ref_start[i]), int(batch.ref_end[i])), found.get(read_id))
            for batch in self.batches.values()
            for i, read_id in enumerate(batch.read_ids)
        ]
        return score(reads, self.truth, self.model.kmer_size)


def _simulated(chemistry: str) -> Iterator[Row]:
    right, error, right_moves, gain = _MUST[chemistry]
    data = _Set(chemistry)
    placed = data.place(moves=False)
    ours = data.score(placed)
    f5c_events = from_f5c(SHARED_DATA / "oracle" / f"f5c.{chemistry}_small.native.tsv.gz")
    f5c = data.score(dict(f5c_events))
    yield Row.at_least(
        f"{chemistry}: samples right (f5c {f5c.samples_right:.3f})", ours.samples_right, *right
    )
    yield Row.at_least(f"{chemistry}: positions placed (f5c {f5c.placed:.3f})", ours.placed, 1.0, 1.0)
    yield Row.at_most(f"{chemistry}: mean boundary error (f5c {f5c.mean_error:.1f})", ours.mean_error, *error)
    yield Row.at_most(f"{chemistry}: reads derailed", ours.derailed, 0.01, 0)
    yield Row.at_most(f"{chemistry}: reads failed", ours.failed, 0.01, 0)
    with_moves = data.score(data.place(moves=True))
    yield Row.at_least(f"{chemistry}: samples right with moves", with_moves.samples_right, *right_moves)
    yield from _sites(data, placed, dict(f5c_events), gain)


def _sites(data: _Set, ours: dict[str, Placed | None], f5c: dict[str, Placed], gain: float) -> Iterator[Row]:
    """Yield the AUC of a modified site's level: all positions, those f5c places, and the longer ones."""

    def auc(found: dict[str, Placed | None]) -> float:
        return site_auc(data.folder, found, data.model.center)

    theirs, chemistry = auc(dict(f5c)), data.model.name
    truth: dict[str, Placed | None] = {}
    for contig, batch in data.batches.items():
        scaled = krill.align(batch, data.reference[contig], data.model)
        truth.update(at_true_boundaries(batch, scaled, data.truth, data.model.kmer_size))
    named = f"(f5c {theirs:.3f} + {gain}; true boundaries {auc(truth):.3f})"
    yield Row.at_least(f"{chemistry}: modified-site AUC {named}", auc(ours), theirs + gain)
    nowhere = np.zeros(0, np.int64)
    shared = only(
        ours, lambda read_id, read: np.isin(read.kmer, f5c[read_id].kmer if read_id in f5c else nowhere)
    )
    yield Row.at_least(f"{chemistry}: the same, where f5c places the site", auc(shared), theirs + gain)
    longer = only(ours, lambda _, read: read.end - read.start >= _LONG)
    figure = f"{chemistry}: the same, {_LONG} samples or more (f5c + {_LONG_GAIN})"
    yield Row.at_least(figure, auc(longer), theirs + _LONG_GAIN)


def _threads_agree() -> Row:
    data = _Set("rna004")
    contig, batch = next(iter(data.batches.items()))
    one, eight = (krill.align(batch, data.reference[contig], data.model, threads=n) for n in (1, 8))
    same = all(
        np.array_equal(getattr(one, n), getattr(eight, n), equal_nan=True) for n in vars(one) if n != "status"
    )
    return Row.holds("1 against 8 threads", "bit-identical", ok=same, got="identical" if same else "differ")


def _speed() -> Iterator[Row]:
    data = _Set("rna004")
    contig, batch = next(iter(data.batches.items()))
    for isa, must in _SPEED.items():
        try:
            speed = measure(batch, data.reference[contig], data.model, isa)
        except ValueError as error:
            yield Row.not_measurable(f"Msamples/s per core, {isa}", f">= {must}", str(error))
            continue
        yield Row.at_least(f"Msamples/s per core, standard, {isa}", speed.msamples_per_s, must, 25)


def _real() -> Iterator[Row]:
    for folder, bam, signal, chemistry, agreement in _REAL:
        path, model = SHARED_DATA / "real" / folder, PoreModel.shipped(chemistry)
        reference, n, ok, wrong = load_reference(path / "ref.fa"), 0, 0, 0
        shares: dict[int, list[float]] = {}
        for contig, batch in load_batches(path / f"{bam}.bam", path / f"{signal}.blow5").items():
            found = krill.align(batch, reference[contig], model)
            n += len(batch)
            ok += int(np.sum(found.status == ReadStatus.OK))
            wrong += wrongly_placed(batch, reference[contig], model)
            for register, of_reads in move_agreement(batch, reference[contig], model).items():
                shares.setdefault(register, []).extend(of_reads)
        yield Row.at_least(f"{folder} {bam}: share of {n} real reads placed", ok / n, 0.9, 1)
        yield Row.at_most(f"{folder} {bam}: the same on the reversed reference", wrong / n, 0.02, 0)
        means = [np.mean(of_reads) for of_reads in shares.values() if of_reads]
        if agreement is not None:
            figure = f"{folder} {bam}: boundaries within {WITHIN} samples of the moves, placed without"
            yield Row.at_least(figure, float(max(means)), agreement)
