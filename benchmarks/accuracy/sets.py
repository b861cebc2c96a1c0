"""The sets, their truth, and what is measured on each."""

import csv
import gzip
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baleen import calling
from baleen.calling import ContigCalls, RunModel
from baleen.config import CallingConfig
from baleen.data import SiteCalls
from baleen.distances import distances
from benchmarks.accuracy import baselines, metrics
from benchmarks.accuracy.inputs import SEED, Contig, load

Sites = Mapping[str, npt.NDArray[np.int64]]

N_SPLITS = 10

LEAST_TOLD = 0.3
"""Probability from which it is measured over all positions: nearly all lie below."""


@dataclass
class Measured:
    """Figures of one set, and the series its images are drawn from."""

    figures: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)


@dataclass
class Called:
    """Everything that came out of calling a set."""

    contigs: Sequence[Contig]
    calls: list[ContigCalls]
    sites: list[SiteCalls]
    model: RunModel
    cpu_ms_per_position: float

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column over all contigs."""
        return np.concatenate([sites[name] for sites in self.sites])


def call(contigs: Sequence[Contig], config: CallingConfig, *, with_signal: bool = True) -> Called:
    """Score, learn, call and finish, as a run does."""
    measured = [
        distances(c.signal) if with_signal and c.signal and "shape" in config.channels else None
        for c in contigs
    ]
    started = time.process_time()
    evidence = [
        calling.score_contig(c.signal if with_signal else None, d, c.errors, config, SEED)
        for c, d in zip(contigs, measured, strict=True)
    ]
    model = calling.fit_run([calling.summarise(one) for one in evidence], config)
    calls = [calling.call_contig(one, model, config) for one in evidence]
    sites = calling.finish_sites([one.sites for one in calls], [one.split_p for one in calls])
    spent = time.process_time() - started
    return Called(contigs, calls, sites, model, spent / max(sum(map(len, sites)), 1) * 1e3)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a table with a header."""
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def site_figures(called: Called, truth: Sites) -> tuple[dict[str, float], dict[str, Any]]:
    """Return AUPRC and AUROC of our columns and of the simple tests, and curves."""
    columns: dict[str, list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = defaultdict(list)
    for contig, sites in zip(called.contigs, called.sites, strict=True):
        for name in ("statistic", "score"):
            columns[name].append((sites["position"], sites[name]))
        if contig.signal is not None:
            for name, scores in baselines.scores(contig.signal).items():
                columns[name].append((contig.signal.position, scores))
    figures, curves = {}, {}
    for name, parts in columns.items():
        for convention in ("EX", "W2"):
            count = metrics.exact if convention == "EX" else metrics.windows
            counted = [
                count(len(c.errors.sequence), truth.get(c.name, np.zeros(0, np.int64)), position, score)
                for c, (position, score) in zip(called.contigs, parts, strict=True)
            ]
            label, score = (np.concatenate(part) for part in zip(*counted, strict=True))
            figures[f"{convention} AUPRC, {name}"] = metrics.average_precision(label, score)
            figures[f"{convention} AUROC, {name}"] = metrics.auroc(label, score)
            curves[f"{convention}, {name}"] = metrics.precision_recall(label, score)
    return figures, curves


def null_figures(called: Called) -> dict[str, float]:
    """Return the share of tested positions below usual thresholds."""
    p, padj = called.column("pvalue"), called.column("padj")
    p, padj = p[~np.isnan(p)], padj[~np.isnan(padj)]
    shares = {f"share p < {cut:g}": float((p < cut).mean()) for cut in (0.05, 0.01, 0.001)}
    return {**shares, "share padj < .05": float((padj < 0.05).mean()), "calls": int((padj < 0.05).sum())}


def read_figures(
    called: Called, is_modified: Callable[[str, str, int], bool | None], sites: Sites
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return per-read figures at the given sites, from the truth of each read."""
    labels, probabilities, ratios, shares, covered, within = [], [], [], [], [], []
    for calls, finished in zip(called.calls, called.sites, strict=True):
        reads = calls.reads
        native = reads.reads.is_native[reads.read]
        contig = str(finished["contig"][0]) if len(finished) else ""
        for site in sites.get(contig, np.zeros(0, np.int64)):
            rows = np.flatnonzero((reads.position == site) & native)
            truth = [is_modified(contig, reads.reads.read_ids[r], int(site)) for r in reads.read[rows]]
            known = np.array([one is not None for one in truth], bool)
            label = np.array([bool(one) for one in truth], bool)[known]
            p = reads.p_mod[rows][known].astype(np.float64)
            if not len(label):
                continue
            labels.append(label)
            probabilities.append(p)
            within.append((float(label.mean()), len(label), metrics.auroc(label, p)))
            row = int(np.searchsorted(finished["position"], site))
            if not np.isnan(finished["mod_ratio"][row]):
                ratios.append(float(finished["mod_ratio"][row]))
                shares.append(float(label.mean()))
                covered.append(finished["ci_low"][row] <= label.mean() <= finished["ci_high"][row])
    label, p = np.concatenate(labels), np.concatenate(probabilities)
    defined = [a for _, n, a in within if n >= 10 and not np.isnan(a)]
    figures = {
        "read AUROC, pooled": metrics.auroc(label, p),
        "read AUROC, mean over sites": float(np.mean(defined)) if defined else float("nan"),
        "read probabilities, calibration error": metrics.calibration_error(label, p),
        "mod_ratio, mean abs error": float(np.abs(np.subtract(ratios, shares)).mean()),
        "mod_ratio, interval coverage": float(np.mean(covered)),
    }
    return figures, {"reads": (label, p), "shares": (shares, ratios)}


def simulated(
    folder: Path, chemistry: str, contigs: Sequence[Contig] | None = None, **settings: Any
) -> Measured:
    """Measure a simulated set with modifications, read from the folder unless its contigs are given."""
    small = folder / "sim" / f"{chemistry}_small"
    contigs = contigs or simulated_contigs(folder, small / "native", chemistry)
    called = call(contigs, config_of(chemistry, **settings))
    truth = true_sites(small, called.contigs)
    table = _modified(small)
    figures, curves = site_figures(called, truth)
    reads = {
        (r["contig"], r["read_id"], int(r["pos0"])): r["modified"] == "1"
        for r in rows_of(small / "truth_reads.tsv")
    }
    of_reads, series = read_figures(called, lambda *key: reads.get(key), truth)
    halves = {
        c: np.array([int(r["pos0"]) for r in table if r["contig"] == c and r["stoich"] == "0.5"])
        for c in truth
    }
    of_half, _ = read_figures(called, lambda *key: reads.get(key), halves)
    wanted = {(r["contig"], int(r["pos0"])): float(r["stoich"]) for r in table}
    got = [(wanted[key], ratio) for key, ratio in ratios_at(called, wanted).items()]
    share, ratio = np.array(got).T
    figures |= of_reads
    figures["read AUROC, within s = .5"] = of_half["read AUROC, mean over sites"]
    figures["true sites without mod_ratio"] = len(wanted) - len(got)
    figures["mod_ratio, r"] = float(np.corrcoef(share, ratio)[0, 1])
    figures["mod_ratio, mean abs error"] = float(np.abs(share - ratio).mean())
    label, p = everywhere(called, reads)
    told = p >= LEAST_TOLD
    figures["p_mod at all positions, calibration error"] = metrics.calibration_error(label[told], p[told])
    figures["CPU ms per position"] = called.cpu_ms_per_position
    series |= {"curves": curves, "shares": (share, ratio), "everywhere": (label, p)}
    return Measured(figures, series)


def everywhere(
    called: Called, is_modified: Mapping[tuple[str, str, int], bool]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return of every native read and position whether it is modified within reach, and ``p_mod``."""
    labels, probabilities = [np.zeros(0, bool)], [np.zeros(0)]
    for contig, calls in zip(called.contigs, called.calls, strict=True):
        reads = calls.reads
        row = {name: i for i, name in enumerate(reads.reads.read_ids)}
        near = np.zeros((len(row), len(contig.errors.sequence) + 2 * metrics.NEAR), bool)
        for (name, read_id, position), yes in is_modified.items():
            if yes and name == contig.name and read_id in row:
                near[row[read_id], position : position + 2 * metrics.NEAR + 1] = True
        native = reads.reads.is_native[reads.read]
        labels.append(near[reads.read[native], reads.position[native] + metrics.NEAR])
        probabilities.append(reads.p_mod[native].astype(np.float64))
    return np.concatenate(labels), np.concatenate(probabilities)


def _modified(folder: Path) -> list[dict[str, str]]:
    return [row for row in rows_of(folder / "truth_sites.tsv") if float(row["stoich"]) > 0]


def true_sites(folder: Path, contigs: Sequence[Contig]) -> Sites:
    """Return the modified positions of a simulated set."""
    table = _modified(folder)
    return {
        c.name: np.array(sorted(int(r["pos0"]) for r in table if r["contig"] == c.name), np.int64)
        for c in contigs
    }


def ratios_at(called: Called, sites: Mapping[tuple[str, int], float]) -> dict[tuple[str, int], float]:
    """Return mod_ratio at the given positions; those that were not tested are left out."""
    found = {}
    for contig, finished in zip(called.contigs, called.sites, strict=True):
        for name, position in sites:
            if name == contig.name:
                row = np.flatnonzero(finished["position"] == position)
                if len(row) and not np.isnan(finished["mod_ratio"][row[0]]):
                    found[name, position] = float(finished["mod_ratio"][row[0]])
    return found


def simulated_null(folder: Path, chemistry: str) -> Measured:
    """Measure two control samples against each other."""
    native = folder / "sim" / f"{chemistry}_null" / "native"
    called = call(simulated_contigs(folder, native, chemistry), config_of(chemistry))
    p = called.column("pvalue")
    return Measured(null_figures(called), {"p": p[~np.isnan(p)]})


def simulated_contigs(folder: Path, native: Path, chemistry: str) -> list[Contig]:
    """Read a simulated native sample and the control of its chemistry."""
    small = folder / "sim" / f"{chemistry}_small"
    files = [(one / "reads.bam", one / "reads.blow5") for one in (native, small / "ivt")]
    return list(load(files[0], files[1], small / "ref.fa"))


def config_of(chemistry: str, **settings: Any) -> CallingConfig:
    """Return the default settings for a chemistry."""
    return CallingConfig(**settings).for_chemistry(chemistry)


def errors_alone(folder: Path, mixture: str) -> Measured:
    """Measure a mixture of native reads into controls, from basecall errors alone."""
    data = folder / "real" / "ecoli_errors"
    contigs = list(
        load((data / f"native_{mixture}.bam", None), (data / f"control_{mixture}.bam", None), data / "ref.fa")
    )
    called = call(contigs, config_of("rna002", signal=False, channels=("errors",)))
    known: dict[str, set[int]] = defaultdict(set)
    for row in rows_of(data / "known_modifications.tsv"):
        known[row["contig"]].add(int(row["position"]) - 1)
    truth = {name: np.array(sorted(positions)) for name, positions in known.items()}
    figures, curves = site_figures(called, truth)
    figures |= null_figures(called)
    hit = far = 0
    for sites in called.sites:
        wanted = truth[str(sites["contig"][0])]
        called_at = sites["position"][np.nan_to_num(sites["padj"], nan=1.0) < 0.05]
        distance = np.abs(wanted[:, None] - called_at[None])
        if distance.size:
            hit += int((distance.min(axis=1) <= metrics.NEAR).sum())
            far += int((distance.min(axis=0) > 7).sum())
    figures |= {"known sites hit": hit, "calls > 7 nt from any site": far}
    series: dict[str, Any] = {"curves": curves, "p": called.column("pvalue")}
    origin = {r["read_id"]: r["origin"] == "native" for r in rows_of(data / "read_origin.tsv.gz")}
    if mixture not in ("0.0", "1.0"):
        of_reads, more = read_figures(called, lambda _, read, __: origin.get(read), truth)
        figures |= of_reads
        series |= more
    if mixture != "0.0":
        modified = {
            (contig.name, read, int(position)): True
            for contig, calls in zip(called.contigs, called.calls, strict=True)
            for read in calls.reads.reads.read_ids
            if mixture == "1.0" or origin.get(read)
            for position in truth[contig.name]
        }
        label, p = everywhere(called, modified)
        told = p >= LEAST_TOLD
        figures["p_mod at all positions, calibration error"] = metrics.calibration_error(label[told], p[told])
    return Measured(figures, series)


def ecoli_signal(folder: Path) -> Measured:
    """Measure ten native against ten control reads: an AUC with a bootstrap interval."""
    data = folder / "real" / "ecoli_rrna"
    contigs = list(
        load(
            (data / "native.bam", data / "native.blow5"),
            (data / "ivt.bam", data / "ivt.blow5"),
            data / "ref.fa",
        )
    )
    called = call(contigs, config_of("rna002", channels=("level", "shape")))
    known = [
        int(r["position"]) - 1 + 200
        for r in rows_of(data / "known_modifications.tsv")
        if "16S" in r["contig"]
    ]
    counted = []
    for contig, sites in zip(called.contigs, called.sites, strict=True):
        tested = sites["position"][~np.isnan(sites["pvalue"])]
        truth = np.array(sorted({site for site in known if len(tested) and np.abs(tested - site).min() <= 2}))
        if len(truth):
            counted.append(
                metrics.windows(len(contig.errors.sequence), truth, sites["position"], sites["statistic"])
            )
    label, score = (np.concatenate(part) for part in zip(*counted, strict=True))
    label, score = label[score > metrics.LOWEST], score[score > metrics.LOWEST]
    rng = np.random.default_rng(SEED)
    draws = []
    for _ in range(1000):
        rows = rng.integers(0, len(label), len(label))
        draws.append(metrics.auroc(label[rows], score[rows]))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    figures = {"W2 AUROC": metrics.auroc(label, score), "low": float(low), "high": float(high)}
    return Measured({**figures, "sites": int(label.sum())})


def trna(folder: Path) -> Measured:
    """Measure where the best site of each tRNA lies, and how controls split in two compare."""
    data = folder / "real" / "trna_psi55"
    contigs = list(
        load(
            (data / "native.bam", data / "native.blow5"),
            (data / "control.bam", data / "control.blow5"),
            data / "ref.fa",
        )
    )
    config = config_of("rna004")
    called = call(contigs, config)
    figures: dict[str, Any] = {}
    for row in rows_of(data / "known_differences.tsv"):
        sites = next(s for s in called.sites if str(s["contig"][0]) == row["contig"])
        best = int(sites["position"][np.nanargmax(sites["statistic"])])
        true = int(row["position"]) - 1
        near = np.abs(sites["position"] - true) <= 1
        figures[f"{row['contig']}: best minus true"] = best - true
        figures[f"{row['contig']}: padj within 1"] = float(np.nanmin(sites["padj"][near]))
    shares = [null_figures(call(_split(contigs, seed), config))["share p < 0.05"] for seed in range(N_SPLITS)]
    figures["control splits: mean share p < .05"] = float(np.mean(shares))
    figures["control splits: sd"] = float(np.std(shares))
    return Measured(figures)


def _split(contigs: Sequence[Contig], seed: int) -> list[Contig]:
    """Call a random half of the controls native; leave the natives out."""
    rng = np.random.default_rng(seed)
    out = []
    for contig in contigs:
        control = ~contig.errors.reads.is_native
        chosen = rng.permutation(np.flatnonzero(control))
        is_native = np.zeros(len(control), bool)
        is_native[chosen[: len(chosen) // 2]] = True
        out.append(contig.relabelled(is_native, control))
    return out


def measure(folder: Path) -> dict[str, Measured]:
    """Measure every set under the data folder."""
    results: dict[str, Measured] = {}
    for chemistry in ("rna002", "rna004"):
        results[f"sim/{chemistry}_small"] = simulated(folder, chemistry)
        results[f"sim/{chemistry}_null"] = simulated_null(folder, chemistry)
    for mixture in ("0.0", "0.5", "1.0"):
        results[f"real/ecoli_errors {mixture}"] = errors_alone(folder, mixture)
    results["real/ecoli_rrna"] = ecoli_signal(folder)
    results["real/trna_psi55"] = trna(folder)
    return results
