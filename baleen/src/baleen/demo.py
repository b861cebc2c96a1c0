"""The demonstration: simulate, run, hold the calls against the truth, draw a site."""

import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pysam

import krill
from baleen.calling import SIGNIFICANT
from baleen.config import Config, ReadsConfig
from baleen.data import SignalPileup
from baleen.inputs import SampleFiles, open_run, read_contig, read_reference
from baleen.outputs.site_table import read_site_table
from baleen.pileup import build_pileup, index_reads, place_batch
from baleen.pipeline import RunRequest, run
from baleen.simulate import SimulationConfig
from baleen.simulated_pair import CONDITIONS, PairFiles, shipped_contigs, write_pair
from baleen.site_picture import SitePicture, draw_site

_CONTIG_BP = 500
_FLANK_BP = 7
_NEAR_BP = 2  # a call this close to a site is counted as the site found
DEMO_SIMULATION = SimulationConfig(
    sites=5, stoichiometry=(0.25, 0.5, 0.75, 1.0), shift_min_pa=4.0, full_length=0.8
)
"""What the demonstration simulates."""


@dataclass(frozen=True)
class TrueSite:
    """A simulated site and the event called for it, if there is one.

    Parameters
    ----------
    contig, position, base, shift_pa
        What was simulated.
    share
        Modified share of the native reads over it.
    called
        Row of the site table; None = not found.
    """

    contig: str
    position: int
    base: str
    shift_pa: float
    share: float
    called: "CalledSite | None"


@dataclass(frozen=True)
class CalledSite:
    """An event of the site table."""

    contig: str
    position: int
    mod_ratio: float
    ci_low: float
    ci_high: float
    event_padj: float

    def line(self) -> str:
        """Return the share, its interval and the rate as columns of text."""
        share = f"{self.mod_ratio:.2f} ({self.ci_low:.2f}-{self.ci_high:.2f})"
        return f"{share:<20} {self.event_padj:>10.0e}"


@dataclass(frozen=True)
class Demo:
    """What the demonstration made."""

    sites: tuple[TrueSite, ...]
    others: tuple[CalledSite, ...]
    files: tuple[tuple[str, Path], ...]

    def table(self) -> list[str]:
        """Return found against truth as lines of text."""
        lines = [f"{'contig':<9} {'position':>8} base  {'true share':>10}  {'called share':<20} event_padj"]
        for site in self.sites:
            line = f"{site.contig:<9} {site.position:>8} {site.base:<4}  {site.share:>10.2f}  "
            call = site.called
            if call is None:
                lines.append(f"{line}not found")
                continue
            shift = call.position - site.position
            lines.append(line + call.line() + (f"  {shift:+d} base" if shift else ""))
        lines += [
            f"{call.contig:<9} {call.position:>8} {'':<4}  {'no site':>10}  {call.line()}"
            for call in self.others
        ]
        n_found = sum(site.called is not None for site in self.sites)
        events = "event" if len(self.others) == 1 else "events"
        lines.append(
            f"found {n_found} of {len(self.sites)} sites; {len(self.others)} {events} called elsewhere "
            f"(positions are 0-based; called = event_padj < 0.05 within {_NEAR_BP} bases)"
        )
        return lines


def run_demo(
    folder: Path, *, force: bool, simulation: SimulationConfig = DEMO_SIMULATION, contig_bp: int = _CONTIG_BP
) -> Demo:
    """Simulate a small pair, call it and draw one site.

    Parameters
    ----------
    folder
        Where everything goes.
    force
        Replace an earlier demonstration there.
    simulation, contig_bp
        Reads, and how much of each shipped contig is used.

    Raises
    ------
    BaleenError
        If the folder holds files and ``force`` is not set, or cannot be written.
    """
    contigs = [replace(one, sequence=one.sequence[:contig_bp]) for one in shipped_contigs()]
    pair = write_pair(folder / "reads", contigs, simulation, force=force)
    results = folder / "results"
    samples = tuple(
        SampleFiles(name, name == "native", bam=(pair.bam(name),), signal=(pair.signal(name),))
        for name in CONDITIONS
    )
    run(
        RunRequest(
            samples=samples,
            reference=pair.reference,
            output_dir=results,
            config=Config(),
            is_forced=force,
        )
    )
    sites, others = found_and_truth(pair, results / "site_results.tsv")
    picture = folder / "site.png"
    shown = most_telling(sites)
    pileup = contig_pileup(samples, pair.reference, shown.contig)
    draw_site(picture, pileup, _picture(shown, pair, results / "read_results.bam"))
    return Demo(
        sites=sites,
        others=others,
        files=(
            ("sites", results / "site_results.tsv"),
            ("reads", results / "read_results.bam"),
            ("run", results / "run.json"),
            ("truth", pair.truth_sites),
            ("picture", picture),
        ),
    )


def found_and_truth(
    pair: PairFiles, table: Path, limit: float = SIGNIFICANT
) -> tuple[tuple[TrueSite, ...], tuple[CalledSite, ...]]:
    """Return every simulated site with the event called for it, and the events that are none's.

    An event is called where its ``event_padj`` is below ``limit``.
    """
    events = list(_events(table, limit))
    sites = []
    with pair.truth_sites.open(newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            position = int(row["pos0"])
            near = [e for e in events if e.contig == row["contig"] and abs(e.position - position) <= _NEAR_BP]
            sites.append(
                TrueSite(
                    contig=row["contig"],
                    position=position,
                    base=row["base"].replace("T", "U"),
                    shift_pa=float(row["shift_pa"]),
                    share=int(row["n_modified"]) / max(int(row["n_native"]), 1),
                    called=min(near, key=lambda e: e.event_padj, default=None),
                )
            )
    taken = [site.called for site in sites]
    return tuple(sites), tuple(event for event in events if event not in taken)


def most_telling(sites: tuple[TrueSite, ...]) -> TrueSite:
    """Return the site to draw: the surest one found among those where native reads are of both kinds.

    If there is none such, the surest one found; if none was found, the one of the largest shift.
    """
    found = [site for site in sites if site.called is not None]
    mixed = [site for site in found if 0.4 <= site.share <= 0.85]
    return min(
        mixed or found or sites,
        key=lambda site: (site.called.event_padj if site.called else 1.0, -abs(site.shift_pa)),
    )


def contig_pileup(samples: tuple[SampleFiles, ...], reference: Path, contig: str) -> SignalPileup:
    """Place the reads of one contig anew, as the run did."""
    config = Config(reads=ReadsConfig(target=(contig,)))
    inputs = open_run(samples, reference, config)
    model = krill.PoreModel.shipped(inputs.chemistry or DEMO_SIMULATION.pore)
    placed, batches = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = inputs.write(Path(folder))
        task = inputs.tasks[0]
        sequence = read_reference(task, source)
        for sample, batch in read_contig(task, source, config):
            alignments = krill.align(batch, sequence, model)
            placed.append(place_batch(batch, alignments, config.pileup.padding))
            batches.append((batch.read_ids, sample, samples[sample].is_native))
    reads = index_reads(batches, tuple(sample.name for sample in samples), config.reads.seed)
    return build_pileup(contig, sequence, placed, reads, [len(ids) for ids, _, _ in batches])


def read_probabilities(bam: Path, contig: str, position: int) -> dict[str, float]:
    """Return each read's probability at a position, from the mod-BAM."""
    probabilities = {}
    with pysam.AlignmentFile(str(bam)) as handle:
        for record in handle.fetch(contig, position, position + 1):
            query = {r: q for q, r in record.get_aligned_pairs(matches_only=True)}.get(position)
            for calls in (record.modified_bases or {}).values():
                for place, value in calls:
                    if place == query and record.query_name is not None:
                        probabilities[record.query_name] = (value + 0.5) / 256
    return probabilities


def _picture(site: TrueSite, pair: PairFiles, bam: Path) -> SitePicture:
    position = site.position if site.called is None else site.called.position
    with pair.truth_reads.open(newline="") as handle:
        modified = frozenset(
            row["read_id"]
            for row in csv.DictReader(handle, delimiter="\t")
            if (row["contig"], int(row["pos0"]), row["modified"]) == (site.contig, site.position, "1")
        )
    told = "not called"
    if site.called is not None:
        call = site.called
        interval = f"{100 * call.ci_low:.0f}-{100 * call.ci_high:.0f} %"
        told = f"called {100 * call.mod_ratio:.0f} % ({interval}), event_padj {call.event_padj:.0e}"
    return SitePicture(
        title=f"{site.contig}, position {position}: {100 * site.share:.0f} % of the reads modified; {told}",
        subtitle="Current of all reads, bases stretched to one width",
        position=position,
        flank_bp=_FLANK_BP,
        p_mod=read_probabilities(bam, site.contig, position),
        modified=modified,
    )


def _events(table: Path, limit: float) -> Iterator[CalledSite]:
    columns = read_site_table(table)
    for i in np.flatnonzero(columns["event_padj"] < limit):
        yield CalledSite(
            contig=str(columns["contig"][i]),
            position=int(columns["position"][i]),
            mod_ratio=float(columns["mod_ratio"][i]),
            ci_low=float(columns["ci_low"][i]),
            ci_high=float(columns["ci_high"][i]),
            event_padj=float(columns["event_padj"][i]),
        )
