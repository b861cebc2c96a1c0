"""What each stage of the calling adds: `python -m benchmarks.accuracy.ablation`.

One stage at a time is changed on the simulated sets, the level alone; with under 70 sites differences
below .03 decide nothing. Writes JSON to `benchmarks/results`.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from baleen.calling import footprint, mixture, neighbours, null, signal
from benchmarks import machine
from benchmarks.accuracy import sets

FIGURES = (
    "W2 AUPRC, statistic",
    "EX AUPRC, statistic",
    "EX AUPRC, score",
    "read AUROC, pooled",
    "read AUROC, within s = .5",
    "mod_ratio, r",
    "mod_ratio, mean abs error",
)


class Change(NamedTuple):
    """A step that is changed: attributes to replace, settings to use."""

    name: str
    replaced: tuple[tuple[Any, str, Any], ...] = ()
    settings: tuple[tuple[str, Any], ...] = (("channels", ("level",)),)


_NO_TREND = replace(null.TREND, gap=null.TREND.reach)
_PLAIN_TREND = replace(null.TREND, gap=4, cut=np.inf, slope=1.0, difference=np.inf)
_NO_SHRINKAGE = replace(null.MODERATION, prior=1e-6, kind_prior=1e-6)
_UNMODIFIED = replace(mixture.GRID, second_prior=(1.0, *(0.0 for _ in mixture.GRID.shares[1:])))

CHANGES = (
    Change("default, level"),
    Change("peak of the footprint alone", ((footprint, "DEFAULT", (0.0, 0.0, 0.0, 1.0, 0.0)),)),
    Change("flat footprint over three positions", ((footprint, "DEFAULT", (0.0, 0.0, 1.0, 1.0, 1.0)),)),
    Change("without the reads' local trend", ((null, "TREND", _NO_TREND),)),
    Change("trend of all positions alike", ((null, "TREND", replace(null.TREND, difference=np.inf)),)),
    Change("trend a plain mean beyond 4 positions", ((null, "TREND", _PLAIN_TREND),)),
    Change("without shrinkage", ((null, "MODERATION", _NO_SHRINKAGE),)),
    Change("controls taken as unmodified", ((mixture, "GRID", _UNMODIFIED),)),
    Change("a shift is the same in all reads", ((mixture, "GRID", replace(mixture.GRID, shift_spread=0.0)),)),
    Change("positions of 2 reads not tested", ((signal, "MIN_READS", 3),)),
    Change("neighbours not untangled", ((neighbours, "LEAST_EVIDENCE", np.inf),)),
    Change("with shape", settings=(("channels", ("level", "shape")),)),
    Change("with shape and dwell", settings=(("channels", ("level", "shape", "dwell")),)),
    Change("all channels but dwell: the default of a run", settings=()),
)


def measure(chemistry: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Measure every change on one chemistry."""
    folder = machine.ROOT.parent / "shared" / "data"
    native = folder / "sim" / f"{chemistry}_small" / "native"
    contigs = sets.simulated_contigs(folder, native, chemistry)
    for change in CHANGES:
        with ExitStack() as stack:
            for module, name, value in change.replaced:
                stack.enter_context(patch.object(module, name, value))
            figures = sets.simulated(folder, chemistry, contigs, **dict(change.settings)).figures
        yield change.name, {name: figures[name] for name in FIGURES}


def main() -> None:
    """Measure, print, write."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for chemistry in ("rna002", "rna004"):
        for name, figures in measure(chemistry):
            results.setdefault(name, {})[chemistry] = figures
            print(f"{chemistry} {name}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True)
    path = machine.result_path("ablation")
    path.write_text(json.dumps({"machine": machine.describe(), "changes": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
