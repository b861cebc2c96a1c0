"""Acceptance of the calling: accuracy on every set, calibration, cost."""

import time
from collections.abc import Iterator, Mapping

import numpy as np

from baleen import calling
from baleen.config import CallingConfig
from baleen.data import ReadIndex, SignalPileup
from benchmarks import machine
from benchmarks.accept.rows import Row
from benchmarks.accuracy import false_events, metrics, sets, simulated_null, smoothing, useless
from benchmarks.accuracy.sets import Measured

DATA = machine.ROOT.parent / "shared" / "data"

SIMULATED = {
    # figure: must and goal for RNA002, for RNA004
    "W2 AUPRC, statistic": ((0.70, 0.78), (0.79, 0.86)),
    "W2 AUROC, statistic": ((0.89, 0.92), (0.92, 0.95)),
    "EX AUPRC, score": ((0.46, 0.56), (0.52, 0.62)),
    "read AUROC, pooled": ((0.82, 0.86), (0.85, 0.90)),
    "read AUROC, within s = .5": ((0.72, 0.80), (0.78, 0.84)),
    "mod_ratio, r": ((0.68, 0.85), (0.78, 0.85)),
}
EVENT_SEEDS = range(1, 25)
FALSE_EVENTS = {0.05: (0.1, 0.05), 0.2: (0.25, 0.2)}
MAX_RATIO_ERROR = {"rna002": 0.16, "rna004": 0.14}


def rows() -> Iterator[Row]:
    """Measure every figure of the calling."""
    if not DATA.is_dir():
        yield Row.not_measurable("all figures", "", f"needs the data folder {DATA.parent.name}/{DATA.name}")
        return
    results = sets.measure(DATA)
    for column, chemistry in enumerate(("rna002", "rna004")):
        figures = results[f"sim/{chemistry}_small"].figures
        for name, bounds in SIMULATED.items():
            yield Row.at_least(f"{chemistry}_small {name}", figures[name], *bounds[column])
        name = "mod_ratio, mean abs error"
        yield Row.at_most(f"{chemistry}_small {name}", figures[name], MAX_RATIO_ERROR[chemistry], 0.10)
        yield from _null(f"{chemistry}_null", results[f"sim/{chemistry}_null"])
    yield from _mixtures(results)
    yield from _real(results)
    yield from _reliability(results)
    yield from _nulls()
    for name, lost in useless.losses(DATA).items():
        yield Row.at_most(f"rna002_small with {name}", lost, 0.01, 0.001)
    yield from _depths()
    yield from _events()
    yield from _smoothing()
    yield Row.at_most("CPU ms per position at 300 + 300 reads", cost_ms(), 3)


def _reliability(results: Mapping[str, Measured]) -> Iterator[Row]:
    for chemistry in ("rna002", "rna004"):
        measured = results[f"sim/{chemistry}_small"]
        error = measured.figures["read probabilities, calibration error"]
        mean, share, size = metrics.reliability(*measured.series["reads"])
        bins = ", ".join(f"{m:.2f}: {s:.2f} ({n})" for m, s, n in zip(mean, share, size, strict=True) if n)
        figure = f"{chemistry}_small reads at true sites: calibration error; p_mod: share modified (reads)"
        yield Row(figure, "reported", "", f"{error:.3f}; {bins}", None, error)
        figure = "p_mod at all positions, calibration error"
        yield Row.at_most(f"{chemistry}_small {figure} from .3 on", measured.figures[figure], 0.10, 0.06)


def _nulls() -> Iterator[Row]:
    for n_native, n_control in (*((depth, depth) for depth in simulated_null.DEPTHS), (30, 300), (300, 30)):
        shares = simulated_null.shares(n_native, n_control)
        name = f"simulated null, {n_native} + {n_control} reads:"
        yield Row.within(f"{name} share p < .05", shares["p < .05"], 0.035, 0.06, ".045 to .055")
        yield Row.at_most(f"{name} share padj < .05", shares["padj < .05"], 0.001, 0)


def _depths() -> Iterator[Row]:
    for depth, share in simulated_null.shares_by_depth().items():
        name = f"simulated null, contigs of 25 to 300 reads: share p < .5 at {depth}"
        yield Row.within(name, share, 0.43, 0.57, ".47 to .53")


def _events() -> Iterator[Row]:
    counted = false_events.count(EVENT_SEEDS)
    for limit, (must, goal) in FALSE_EVENTS.items():
        one = counted[limit]
        seen = f"{one.false_share:.3f}: {one.beside} 3 to 6 bases from a site, {one.far} farther, "
        seen += f"beside {one.found} sites found"
        name = f"{len(EVENT_SEEDS)} simulated pairs like the demonstration's: false at event_padj < {limit}"
        ok = one.false_share <= must
        yield Row(name, f"<= {must}", f"<= {goal}", seen, ok, one.false_share)


def _smoothing() -> Iterator[Row]:
    helps = []
    for chemistry in ("rna002", "rna004"):
        measured = smoothing.figures(DATA, chemistry)
        plain = measured.pop("none")
        helps += [
            min(after >= before for after, before in zip(f, plain, strict=True)) for f in measured.values()
        ]
        seen = "; ".join(f"{n}: {a:.3f}, {p:.3f}" for n, (a, p) in {"none": plain, **measured}.items())
        figure = f"{chemistry}_small smoothing: read AUROC, precision of read calls at the exact position"
        yield Row(figure, "reported", "", seen, None, plain[0])
    yield Row.holds(
        "smoothing is on by default only if it never hurts",
        "off, or never hurts",
        ok=CallingConfig().hmm <= all(helps),
        got=f"default {'on' if CallingConfig().hmm else 'off'}, helps in {sum(helps)} of {len(helps)}",
    )


def _null(name: str, measured: Measured) -> Iterator[Row]:
    figures = measured.figures
    yield Row.within(f"{name} share p < .05", figures["share p < 0.05"], 0.035, 0.06, ".045 to .055")
    yield Row.at_most(f"{name} share padj < .05", figures["share padj < .05"], 0.001, 0)


def _mixtures(results: Mapping[str, Measured]) -> Iterator[Row]:
    full, half, none = (results[f"real/ecoli_errors {s}"].figures for s in ("1.0", "0.5", "0.0"))
    yield Row.at_least("errors alone, s = 1: EX AUPRC", full["EX AUPRC, statistic"], 0.48, 0.55)
    yield Row.at_least("errors alone, s = 1: W2 AUPRC", full["W2 AUPRC, statistic"], 0.92, 0.95)
    yield Row.at_least("errors alone, s = .5: EX AUPRC", half["EX AUPRC, statistic"], 0.37, 0.45)
    yield Row.at_least("errors alone, s = .5: W2 AUPRC", half["W2 AUPRC, statistic"], 0.87, 0.90)
    yield Row.at_least("errors alone, s = .5: known sites hit", half["known sites hit"], 25, 30)
    far = half["calls > 7 nt from any site"]
    yield Row.at_most("errors alone, s = .5: calls > 7 nt from any site", far, 2, 0)
    name = "read AUROC, mean over sites"
    yield Row.at_least("errors alone, s = .5: read AUROC, mean over sites", half[name], 0.86, 0.90)
    name = "mod_ratio, mean abs error"
    yield Row.at_most("errors alone, s = .5: mod_ratio, mean abs error", half[name], 0.10, 0.07)
    name = "p_mod at all positions, calibration error"
    for share, figures in (("1", full), (".5", half)):
        # sites that nobody knows of count as errors of ours
        yield Row.at_most(f"errors alone, s = {share}: {name} from .3 on", figures[name], 0.20, 0.10)
    yield Row.at_most("errors alone, s = 0: calls", none["calls"], 0)
    yield Row.within(
        "errors alone, s = 0: share p < .05", none["share p < 0.05"], 0.035, 0.06, ".045 to .055"
    )


def _real(results: Mapping[str, Measured]) -> Iterator[Row]:
    ecoli = results["real/ecoli_rrna"].figures
    seen = f"{ecoli['W2 AUROC']:.3f} ({ecoli['low']:.2f} to {ecoli['high']:.2f}), {ecoli['sites']} sites"
    yield Row("E. coli 10 + 10 reads, signal: W2 AUROC", "reported", ">= 0.85", seen, None, ecoli["W2 AUROC"])
    trna = results["real/trna_psi55"].figures
    offsets = [value for name, value in trna.items() if name.endswith("best minus true")]
    adjusted = [value for name, value in trna.items() if name.endswith("padj within 1")]
    yield Row.holds(
        "tRNA psi55: best site within 1, padj < .05",
        "3 of 3",
        ok=all(abs(offset) <= 1 for offset in offsets) and max(adjusted) < 0.05,
        got=f"offsets {offsets}, padj {', '.join(f'{p:.1e}' for p in adjusted)}",
    )
    name = "control splits: mean share p < .05"
    yield Row.within("tRNA " + name, trna[name], 0.04, 0.06, ".045 to .055")


def cost_ms(n_reads: int = 300, n_positions: int = 300) -> float:
    """Return CPU milliseconds per position of scoring and calling, signal and relabellings."""
    rng = np.random.default_rng(1)
    n = 2 * n_reads
    m = n_positions * n
    is_native = np.arange(n) < n_reads
    zeros = np.zeros(m, np.int64)
    level = rng.normal(90, 12, n_positions)[:, None] + rng.normal(0, 2.5, (n_positions, n))
    pileup = SignalPileup(
        contig="cost",
        sequence=rng.choice(np.frombuffer(b"ACGT", np.uint8), n_positions),
        position=np.arange(n_positions, dtype=np.int32),
        window_offsets=np.arange(0, m + 1, n, dtype=np.int64),
        read=np.tile(np.arange(n, dtype=np.int32), n_positions),
        level_pa=level.astype(np.float32).ravel(),
        level_stdv_pa=np.ones(m, np.float32),
        confidence=np.ones(m, np.float32),
        dwell_samples=np.full(m, 30, np.int32),
        signal=np.zeros(1, np.float32),
        base_start=zeros,
        base_end=zeros,
        window_start=zeros,
        window_end=zeros,
        reads=ReadIndex(
            tuple(str(i) for i in range(n)),
            is_native,
            (~is_native).astype(np.uint8),
            np.zeros(n, np.uint8),
            ("native", "control"),
        ),
    )
    config = CallingConfig(channels=("level",))
    started = time.process_time()
    evidence = calling.score_contig(pileup, None, None, config, 1)
    calls = calling.call_contig(evidence, calling.fit_run([calling.summarise(evidence)], config), config)
    calling.finish_sites([calls.sites])
    return (time.process_time() - started) / n_positions * 1e3
