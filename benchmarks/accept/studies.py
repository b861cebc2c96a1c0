"""Acceptance of studies: replicates, conditions, re-calling, training, scorers, panels, basecaller calls."""

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baleen import calling
from baleen.config import CallingConfig
from baleen.data import ReadIndex, SignalPileup
from baleen.outputs.site_table import read_site_table
from benchmarks import machine
from benchmarks.accept.rows import Row
from krill import PoreModel

CONFIG = CallingConfig(channels=("level",), permutations=2)
FOOTPRINT = {-2: 0.15, -1: 0.4, 0: 0.8, 1: 1.0, 2: 0.2}
NOISE_PA, SHIFT_PA = 2.5, 6.0
SITES = tuple(range(60, 461, 50))


class Libraries(NamedTuple):
    """Simulated libraries: which are native, reads each, and what they differ by.

    ``batch_sd`` is the spread of each library's own offset of every position, in standard
    deviations of a read; ``native_only`` leaves the controls without; ``share`` of native reads
    is modified at `SITES`.
    """

    batch_sd: float = 0.0
    native_only: bool = False
    share: float = 0.0
    is_native: tuple[bool, ...] = (True, True, False, False)
    reads: int = 15
    contigs: int = 6
    length_bp: int = 500


class Found(NamedTuple):
    """What a run finds: shares of p-values and significant positions far from sites, sites, events."""

    p05: float
    far: int
    sites: int
    events: int


def rows() -> Iterator[Row]:
    """Measure every figure."""
    yield from _replicates()
    yield from _contrasts()
    with tempfile.TemporaryDirectory() as place:
        yield from _runs(Path(place))
    yield from _basecaller_mods()
    yield from _tests()


def _replicates() -> Iterator[Row]:
    for batch_sd in (0.0, 0.3, 1.0, 3.0):
        evidence = score(Libraries(batch_sd=batch_sd))
        blind, got = call(evidence, as_replicates=False), call(evidence)
        name = f"replicates, batch shift of {batch_sd:g} sd"
        seen = f"{blind.p05:.3f}, {blind.far} positions"
        yield Row(f"{name}: reads alone, share p < .05, padj < .05", "reported", "", seen, None, blind)
        yield Row.at_most(f"{name}: share p < .05", got.p05, 0.06, 0.055)
        yield Row.at_most(f"{name}: positions padj < .05", got.far, 0)
        yield Row.at_most(f"{name}: events", got.events, 0)
    native = call(score(Libraries(batch_sd=1.0, native_only=True)))
    yield Row.at_most("replicates, shift in natives alone: share p < .05", native.p05, 0.07, 0.055)
    yield Row.at_most("replicates, shift in natives alone: events", native.events, 0)
    evidence = score(Libraries(share=0.5))
    blind, got = call(evidence, as_replicates=False), call(evidence)
    lost = blind.sites - got.sites
    yield Row.at_most(f"replicates, no shift: sites lost of {blind.sites} (s = .5)", lost, 1, 0)


def _contrasts() -> Iterator[Row]:
    """Two native conditions that share every site: their contrasts must be uniform."""
    groups = ("a", "b", "control", "control")
    evidence = score(Libraries(share=0.5, contigs=8), groups)
    model = calling.fit_run(map(calling.summarise, evidence), CONFIG)
    p = np.concatenate(
        [
            calling.call_contrasts(one, calling.call_contig(one, model, CONFIG), model, ("a", "b"))["pvalue"]
            for one in evidence
        ]
    )
    name = f"contrasts of equal conditions ({len(p)} positions, 72 sites): share p < .05"
    yield Row.within(name, float(np.mean(p < 0.05)), 0.03, 0.07, ".045 to .055")


def _baleen(*arguments: str | Path) -> float:
    """Run a subcommand; return its seconds."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "baleen", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def _runs(place: Path) -> Iterator[Row]:
    """Aggregate, panel and training on one simulated pair."""
    pair = place / "pair"
    options = [
        "--contigs",
        "6",
        "--contig-length",
        "600",
        "--reads",
        "60",
        "--seed",
        "11",
        "--pore",
        "rna004",
    ]
    _baleen("simulate", "-o", pair, *options, "--no-moves")
    native, control = (
        [f"--{one}-bam", pair / one / "reads.bam", f"--{one}-blow5", pair / one / "reads.blow5"]
        for one in ("native", "ivt")
    )
    common = ["--ref", pair / "ref.fa"]
    run_s = _baleen("run", *native, *control, *common, "-o", place / "run", "--keep-intermediate")
    again_s = _baleen("aggregate", place / "run", "-o", place / "again")
    yield Row.at_most(f"aggregate, seconds (the run took {run_s:.0f})", again_s, 15, 5)
    yield _same_bytes("aggregate without changes: rows of the site table", place / "run", place / "again", 5)
    _baleen("panel", "build", *control, *common, "-o", place / "panel")
    panel = ["--control-panel", place / "panel"]
    _baleen("run", *native, *panel, *common, "-o", place / "on_panel", "--keep-intermediate")
    yield _same_bytes("run on a control panel: bytes of the site table", place / "run", place / "on_panel", 0)
    yield from _training(pair, place)


def _same_bytes(figure: str, one: Path, other: Path, n_skipped: int) -> Row:
    lines = [(path / "site_results.tsv").read_bytes().splitlines()[n_skipped:] for path in (one, other)]
    same = lines[0] == lines[1]
    return Row.holds(
        figure, "the same", ok=same, got=f"{len(lines[0])} lines, {'the same' if same else 'not'}"
    )


def _training(pair: Path, place: Path) -> Iterator[Row]:
    """Train on the truth of a simulated pair; parts of contigs are held out."""
    with (pair / "truth_sites.tsv").open() as handle:
        sites = sorted((row["contig"], int(row["pos0"])) for row in csv.DictReader(handle, delimiter="\t"))
    rows = [
        (contig, position + away, label) for contig, position in sites for away, label in ((0, 1), (7, 0))
    ]
    text = "".join(f"{contig}\t{position}\t{label}\n" for contig, position, label in rows)
    (place / "sites.tsv").write_text("contig\tposition\tlabel\n" + text)
    text = (pair / "truth_reads.tsv").read_text().replace("pos0\tmodified", "position\tlabel")
    (place / "reads.tsv").write_text(text)
    for labels in ("sites", "reads"):
        _baleen("train", place / "run", "--labels", place / f"{labels}.tsv", "-o", place / f"{labels}.json")
        found = json.loads((place / f"{labels}.json").read_text())["provenance"]["cross_validation"]
        before, after = found["default"], found["trained"]
        name = f"training on {labels}, AUROC of labels held out minus that of the default"
        yield Row.at_least(f"{name} ({before['auroc']:.4f})", after["auroc"] - before["auroc"], -0.002, 0)
        if "log_loss" in before:
            name = f"training on {labels}, log loss held out over that of the default"
            yield Row.at_most(
                f"{name} ({before['log_loss']:.3f})", after["log_loss"] / before["log_loss"], 1, 0.9
            )


def _tests() -> Iterator[Row]:
    """Run the tests that hold the rest, the guide's scorer among them."""
    for name in ("replicates", "studies", "training", "scorers", "basecaller_mods", "panel"):
        path = machine.ROOT / f"tests/pipeline/test_{name}.py"
        command = [sys.executable, "-m", "pytest", "-q", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=machine.ROOT)
        last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "nothing"
        yield Row.holds(f"tests of {name}", "pass", ok=done.returncode == 0, got=last)


def _basecaller_mods() -> Iterator[Row]:
    """Pseudouridine 55 of three tRNAs, by the basecaller's own calls."""
    name = "tRNA, --basecaller-mods: three best rows are psi55"
    folder = machine.ROOT.parent / "shared/data/real/trna_psi55"
    if not folder.is_dir():
        yield Row.not_measurable(name, "3 of 3", "needs the data folder")
        return
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "baleen", "run", "--basecaller-mods", "--no-read-bam"]
        for condition, stem in (("native", "native"), ("ivt", "control")):
            command += [f"--{condition}-bam", str(folder / f"{stem}.bam")]
            command += [f"--{condition}-blow5", str(folder / f"{stem}.blow5")]
        command += ["--ref", str(folder / "ref.fa"), "-o", f"{place}/out"]
        subprocess.run(command, check=True, capture_output=True)
        table = read_site_table(Path(place) / "out/basecaller_mods.tsv")
        events = read_site_table(Path(place) / "out/named_events.tsv")
    best = np.argsort(table["pvalue"], kind="stable")[:3]
    found = sorted(zip(table["mod_name"][best].tolist(), table["position"][best].tolist(), strict=True))
    expected = [("pseudouridine", 78), ("pseudouridine", 78), ("pseudouridine", 79)]
    padj = ", ".join(f"{table['padj'][i]:.0e}" for i in best)
    seen = f"{len(table['position'])} rows; {found}, padj {padj}"
    yield Row.holds(name, "3 of 3", ok=found == expected, got=seen)
    named = int(np.sum(events["mod_name"] == "pseudouridine"))
    yield Row.at_least("tRNA: events that Baleen finds, named pseudouridine", named, 3)


def score(libraries: Libraries, groups: tuple[str, ...] = ()) -> list[calling.Evidence]:
    """Score every contig; ``groups`` names the condition of each library."""
    pileups = (_pileup(number, libraries, groups) for number in range(libraries.contigs))
    return [calling.score_contig(pileup, None, None, CONFIG, 1) for pileup in pileups]


def call(evidence: list[calling.Evidence], *, as_replicates: bool = True) -> Found:
    """Call a run; without ``as_replicates`` as if every read were a library."""
    priors = calling.fit_priors(map(calling.spread_counts, evidence)) if as_replicates else ()
    model = calling.fit_run([calling.summarise(one, priors) for one in evidence], CONFIG, priors)
    sites = calling.finish_sites([calling.call_contig(one, model, CONFIG).sites for one in evidence])
    position = np.concatenate([one["position"] for one in sites])
    p, padj = (np.concatenate([one[name] for one in sites]) for name in ("pvalue", "padj"))
    far = (np.abs(position[:, None] - np.array(SITES)) > 2).all(axis=1)
    hits = [
        (one["padj"][np.abs(one["position"] - site) <= 1] < 0.05).any() for one in sites for site in SITES
    ]
    events = int(sum(one["is_peak"].sum() for one in sites))
    return Found(float(np.mean(p[far] < 0.05)), int(np.sum(padj[far] < 0.05)), int(sum(hits)), events)


def _pileup(number: int, libraries: Libraries, groups: tuple[str, ...]) -> SignalPileup:
    rng = np.random.default_rng([0, number])
    sequence = rng.choice(np.frombuffer(b"ACGT", np.uint8), libraries.length_bp)
    is_native = np.array(libraries.is_native)
    sample = np.repeat(np.arange(len(is_native)), libraries.reads)
    n, p = len(sample), libraries.length_bp - 4
    model = PoreModel.shipped("rna002")
    level = model.level_mean[model.kmer_codes(sequence)][:, None] + rng.normal(0, NOISE_PA, (p, n))
    batch = rng.normal(0, libraries.batch_sd * NOISE_PA, (p, len(is_native)))
    level += (batch * (is_native | (not libraries.native_only)))[:, sample]
    for site in SITES:
        is_modified = is_native[sample] & (rng.random(n) < libraries.share)
        for offset, weight in FOOTPRINT.items():
            level[site - 2 + offset, is_modified] += SHIFT_PA * weight
    windows = np.arange(p * n, dtype=np.int64)
    ones = np.ones(p * n, np.float32)
    return SignalPileup(
        contig=f"contig-{number}",
        sequence=sequence,
        position=np.arange(2, libraries.length_bp - 2, dtype=np.int32),
        window_offsets=np.arange(0, p * n + 1, n, dtype=np.int64),
        read=np.tile(np.arange(n, dtype=np.int32), p),
        level_pa=level.astype(np.float32).ravel(),
        level_stdv_pa=ones,
        confidence=ones,
        dwell_samples=np.full(p * n, 30, np.int32),
        signal=np.zeros(p * n, np.float32),
        base_start=windows,
        base_end=windows + 1,
        window_start=windows,
        window_end=windows + 1,
        reads=ReadIndex(
            read_ids=tuple(str(i) for i in range(n)),
            is_native=is_native[sample],
            sample=sample.astype(np.uint8),
            fold=np.zeros(n, np.uint8),
            sample_names=tuple(f"s{i}" for i in range(len(is_native))),
            sample_groups=groups,
        ),
    )
