"""What a run made: counts and files, and whether the files are still there as they were written."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baleen.manifest import RUN_NAME, file_digest
from baleen.outputs.merge import SiteCounts

SITES_NAME, READS_NAME = "site_results.tsv", "read_results.bam"
SAMPLES_NAME, CONTRASTS_NAME, CONDITIONS_NAME = "sample_sites.tsv", "contrasts.tsv", "conditions"
MODS_NAME, MOD_READS_NAME, NAMED_NAME = "basecaller_mods.tsv", "basecaller_reads.tsv", "named_events.tsv"
FILE_NAMES = (
    SITES_NAME,
    READS_NAME,
    f"{READS_NAME}.bai",
    SAMPLES_NAME,
    CONTRASTS_NAME,
    MODS_NAME,
    MOD_READS_NAME,
    NAMED_NAME,
)
"""Files of results, in the output folder and in that of each condition; not every run makes all."""


@dataclass(frozen=True)
class RunSummary:
    """What a run made.

    Parameters
    ----------
    output_dir
        Folder of the results.
    n_contigs
        Contigs called.
    sites
        Rows of the site table, significant ones, events.
    read_status
        Reads per status: every read once.
    failed
        Contigs that failed, with the reason.
    """

    output_dir: Path
    n_contigs: int
    sites: SiteCounts
    read_status: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return what to tell the user."""
        return [
            f"{self.n_contigs} contigs, {self.sites.n_sites} positions; "
            f"{self.sites.n_peaks} events at event_padj < 0.05, "
            f"{self.sites.n_significant} positions at padj < 0.05",
            "reads: " + ", ".join(f"{n} {name}" for name, n in self.read_status.items()),
            f"sites: {self.output_dir / SITES_NAME}",
            *([f"reads: {self.output_dir / READS_NAME}"] if (self.output_dir / READS_NAME).exists() else []),
            f"run:   {self.output_dir / RUN_NAME}",
        ]


_LIKELY = {
    "poor_fit": "is the reference the one, --pore the kit, and the signal that of these reads?",
    "bad_signal": "signals are flat, saturated or not calibrated; were the files converted well?",
    "too_short": "alignments are too short to be placed",
    "too_few_samples": "signals have fewer samples than bases; are the reads trimmed or the files cut?",
}
"""What the commonest loss of reads while they are placed comes from."""


def unused_warning(read_status: Mapping[str, int]) -> str | None:
    """Say that no read came to the calling, and what most of them ended as; None if one did.

    Parameters
    ----------
    read_status
        Reads per status.
    """
    if read_status.get("ok") or not read_status:
        return None
    listed = ", ".join(f"{n} {name}" for name, n in read_status.items())
    most = max(read_status, key=lambda name: read_status[name])
    return f"no read could be used and nothing was called or placed: {listed}" + (
        f"; {_LIKELY[most]}" if most in _LIKELY else ""
    )


def result_files(output_dir: Path) -> Iterator[Path]:
    """Go through the files of results in a folder and in those of its conditions."""
    for folder in (output_dir, *sorted((output_dir / CONDITIONS_NAME).glob("*"))):
        yield from (folder / name for name in FILE_NAMES if (folder / name).is_file())


def result_digests(output_dir: Path) -> dict[str, Any]:
    """Return size and digest of each file of results, by its path in the folder."""
    return {str(path.relative_to(output_dir)): file_digest(path) for path in result_files(output_dir)}


def read_whole_run(output_dir: Path) -> dict[str, Any] | None:
    """Return ``run.json`` of a folder if it is that of a run in which no contig failed.

    None if there is none: whoever goes on with the folder says what is wrong with it.
    """
    try:
        run: dict[str, Any] = json.loads((output_dir / RUN_NAME).read_text())
        is_whole = not run["failed"] and bool(run["results"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return run if is_whole else None


def changed_results(output_dir: Path, run: Mapping[str, Any]) -> list[str]:
    """Return the files of results that are gone or no longer as the run wrote them."""
    now = result_digests(output_dir)
    return [name for name, digest in run["results"].items() if now.get(name) != digest]


def summary_of(output_dir: Path, run: Mapping[str, Any]) -> RunSummary:
    """Return the summary that stands in ``run.json``."""
    return RunSummary(output_dir, run["n_contigs"], SiteCounts(**run["sites"]), run["read_status"])
