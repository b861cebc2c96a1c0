"""A control that was placed once: what its folder holds, and how a run finds its reads there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from baleen.config import Config
from baleen.data import U8
from baleen.errors import InputError, MismatchError, UsageError
from baleen.files import complete_file
from baleen.inputs import SampleFiles
from baleen.manifest import file_digest, setting_parameters
from baleen.outputs.slices import Arrays, Slice, slice_path
from baleen.pileup import PlacedReads, choose_placed

MANIFEST_NAME, PLACED = "panel.json", "placed.npz"
VERSION = 1

READS_SETTINGS = ("min_mapq", "primary_only", "read_intersection", "subsample_n", "seed")
"""Settings of the reads that a run must share with its panel; of the pileup it must share all."""


def panel_settings(config: Config) -> dict[str, Any]:
    """Return the settings that a panel's content depends on; the chemistry is compared by itself."""
    parameters = setting_parameters(config)
    reads, pileup = parameters["settings"]["reads"], dict(parameters["settings"]["pileup"])
    pileup.pop("pore")
    pileup["kmer_model"] = parameters["file_settings"]["kmer_model"]
    return {**{name: reads[name] for name in READS_SETTINGS}, **pileup}


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest, last of all: a folder without it is no panel."""
    with complete_file(folder / MANIFEST_NAME) as part:
        part.write_text(json.dumps({"panel_version": VERSION, **facts}, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest.

    Raises
    ------
    InputError
        If the folder is no panel, or one of another version.
    """
    path = folder / MANIFEST_NAME
    hint = "baleen panel build makes one"
    if not path.exists():
        raise InputError(folder, f"is no control panel: it has no {MANIFEST_NAME}", hint=hint)
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(folder, f"is no control panel: {error}", hint=hint) from error
    if manifest.get("panel_version") != VERSION:
        version = manifest.get("panel_version")
        raise InputError(path, f"is of version {version}, this program reads version {VERSION}", hint=hint)
    return manifest


def panel_samples(folder: Path, reference: Path, config: Config) -> tuple[SampleFiles, ...]:
    """Return the control samples of a panel, after holding it against the run.

    Raises
    ------
    InputError
        If the folder is no panel.
    MismatchError
        If it was made with another reference or other settings.
    UsageError
        If contigs are chosen by what a panel does not know.
    """
    manifest = read_manifest(folder)
    if not reference.is_file():
        raise InputError(reference, "does not exist")
    found = file_digest(reference)
    then = manifest["reference"]
    if (found["bytes"], found["digest"]) != (then["bytes"], then["digest"]):
        raise MismatchError(folder, f"was made with another reference than {reference}")
    before, now = manifest["settings"], panel_settings(config)
    differing = [
        f"{name}: {before.get(name)} then, {now[name]} now" for name in now if before.get(name) != now[name]
    ]
    if differing:
        problem = "was made with other settings:\n  " + "\n  ".join(differing)
        raise MismatchError(folder, problem, hint="give the settings of then, or build the panel again")
    limit = config.reads.subsample_n
    if limit and (config.reads.depth_mode != "read_count" or config.reads.min_depth > limit):
        message = (
            f"--control-panel: it knows {limit} reads per contig, too few for these --min-depth, --depth-mode"
        )
        raise UsageError(message, hint="build it with --no-subsample")
    return tuple(
        SampleFiles(
            name=sample["name"],
            is_native=False,
            bam=tuple(folder / name for name in sample["bam"]),
            panel=folder / MANIFEST_NAME,
        )
        for sample in manifest["samples"]
    )


def check_chemistry(samples: Sequence[SampleFiles], chemistry: str | None) -> None:
    """Raise `MismatchError` if a panel's chemistry is not the run's; None = no signal is used."""
    for sample in samples:
        if sample.panel is None or chemistry is None:
            continue
        other = read_manifest(sample.panel.parent)["chemistry"]
        if other != chemistry:
            raise MismatchError(sample.panel.parent, f"is {other}, the native samples are {chemistry}")


def table_arrays(placed: PlacedReads, read_ids: Sequence[str], status: U8) -> Arrays:
    """Return the arrays of one sample's reads of a contig."""
    columns = {field.name: getattr(placed, field.name) for field in fields(PlacedReads)}
    return {**columns, "read_ids": np.array(read_ids, np.str_), "status": status}


def placed_reads(manifest: Path, sample: str, contig: str, read_ids: Sequence[str]) -> tuple[PlacedReads, U8]:
    """Return some reads of a contig as they were placed, in this order, and the status of each.

    Raises
    ------
    InputError
        If the panel lacks one of them.
    """
    placed, status, number = _contig(manifest, sample, contig)
    missing = [read_id for read_id in read_ids if read_id not in number]
    if missing:
        raise InputError(manifest.parent, f"lacks read {missing[0]} of {contig}", hint="build it again")
    rows = np.array([number[read_id] for read_id in read_ids], np.int64)
    return choose_placed(placed, rows), status[rows]


@lru_cache(maxsize=4)
def _contig(manifest: Path, sample: str, contig: str) -> tuple[PlacedReads, U8, dict[str, int]]:
    facts = read_manifest(manifest.parent)
    number = next(i for i, one in enumerate(facts["samples"]) if one["name"] == sample)
    index, task = facts["contigs"][contig]
    piece = Slice(slice_path(manifest.parent, index, PLACED))
    arrays = piece.table(f"{task:06d}.{number}")
    piece.close()
    placed = PlacedReads(**{field.name: arrays[field.name] for field in fields(PlacedReads)})
    ids = {read_id: row for row, read_id in enumerate(arrays["read_ids"].tolist())}
    return placed, arrays["status"], ids
