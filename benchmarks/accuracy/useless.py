"""Channels without information, added to a simulated set: what they cost."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from baleen.data import ErrorPileup
from benchmarks.accuracy import sets
from benchmarks.accuracy.inputs import SEED, Contig, load

FIGURES = ("W2 AUPRC, statistic", "EX AUPRC, score")
NOISE = ("noise_a", "noise_b")


def losses(folder: Path) -> dict[str, float]:
    """Return what is lost of the level's figures on the small RNA002 set, by added channel.

    Pure noise takes part as a scorer's value per read and position. The errors of two controls are
    real ones: reads of one IVT sample, half of them called native, in place of the simulated reads' own.
    """
    contigs = sets.simulated_contigs(folder, folder / "sim" / "rna002_small" / "native", "rna002")
    truth = sets.true_sites(folder / "sim" / "rna002_small", contigs)
    added = {
        "two noise channels": (_with_noise(contigs), ("level", *NOISE)),
        "errors of two controls": (_with_errors(contigs, _control_errors(folder)), ("level", "errors")),
    }
    alone = _figures(contigs, ("level",), truth)
    out = {}
    for name, (more, channels) in added.items():
        figures = _figures(more, channels, truth)
        out |= {f"{name}: {figure} lost": alone[figure] - figures[figure] for figure in FIGURES}
    return out


def _figures(contigs: Sequence[Contig], channels: tuple[str, ...], truth: sets.Sites) -> dict[str, float]:
    called = sets.call(contigs, sets.config_of("rna002", channels=channels))
    return sets.site_figures(called, truth)[0]


def _with_noise(contigs: Sequence[Contig]) -> list[Contig]:
    rng = np.random.default_rng(SEED)
    out = []
    for contig in contigs:
        if contig.signal is None:
            msg = f"{contig.name}: has no signal"
            raise ValueError(msg)
        scores = {name: rng.normal(size=len(contig.signal.read)).astype(np.float32) for name in NOISE}
        out.append(dataclasses.replace(contig, signal=dataclasses.replace(contig.signal, scores=scores)))
    return out


def _control_errors(folder: Path) -> dict[str, ErrorPileup]:
    data = folder / "real" / "ecoli_errors"
    files = [(data / f"{name}_0.0.bam", None) for name in ("native", "control")]
    return {contig.name: contig.errors for contig in load(files[0], files[1], data / "ref.fa")}


def _with_errors(contigs: Sequence[Contig], donors: dict[str, ErrorPileup]) -> list[Contig]:
    return [dataclasses.replace(c, errors=_transplant(c.errors, donors[c.name])) for c in contigs]


def _transplant(mine: ErrorPileup, other: ErrorPileup) -> ErrorPileup:
    """Give each read the errors of a donor read of the same label, as far as there are any."""
    recipient = np.full(len(other.reads), -1, np.int32)
    for label in (True, False):
        theirs = np.flatnonzero(other.reads.is_native == label)
        ours = np.flatnonzero(mine.reads.is_native == label)
        n = min(len(theirs), len(ours))
        recipient[theirs[:n]] = ours[:n]
    keep: npt.NDArray[np.bool_] = (recipient[other.read] >= 0) & (other.position < len(mine.sequence))
    return dataclasses.replace(
        mine,
        position=other.position[keep],
        read=recipient[other.read[keep]],
        errors=other.errors[keep],
        quality=other.quality[keep],
    )
