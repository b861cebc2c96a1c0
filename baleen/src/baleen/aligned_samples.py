"""Align the samples that come as reads, so that a run sees BAM files alone."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from baleen import __version__
from baleen.console import LOG
from baleen.engines import AlignRequest, align_reads
from baleen.errors import InputError, OutputError, ResumeError, UsageError
from baleen.files import complete_file, named_output_errors
from baleen.inputs import SampleFiles
from baleen.inputs.samples import resolve
from baleen.manifest import file_digest
from krill.errors import FormatError
from krill.map import MINIMAP2_VERSION, AlignOptions
from krill.pump import PumpSettings

FOLDER_NAME = "aligned"
PRESET = "rna-transcripts"
"""RNA is sequenced as it is, so it lies forward on its transcript."""


def needs_aligning(samples: Sequence[SampleFiles]) -> bool:
    """Say whether a sample comes as reads."""
    return any(sample.reads for sample in samples)


def align_samples(
    samples: Sequence[SampleFiles], reference: Path, folder: Path, *, needs_signal: bool, threads: int
) -> tuple[SampleFiles, ...]:
    """Align the reads of samples without a BAM; return the samples with BAM files.

    A BAM that lies in the folder, whole, is not made again: beside each stands what it was made from.

    Parameters
    ----------
    samples, reference
        Files of the run.
    folder
        Where the BAM files are made and kept.
    needs_signal
        Whether the run would use signal: samples are checked before the work begins.
    threads
        Cores to use; 0 = all. The files are the same bytes for any number.

    Raises
    ------
    UsageError
        If a sample is given both ways, or lacks something.
    InputError
        If a file of reads or the reference is missing or damaged.
    ResumeError
        If the folder holds alignments of other reads.
    OutputError
        If a BAM cannot be written.
    """
    for sample in samples:
        if sample.reads and sample.bam:
            message = f"sample {sample.name} has both reads and a BAM; which of them is meant?"
            raise UsageError(message, hint="reads are for samples that are not aligned yet")
    resolve(
        [replace(sample, bam=sample.bam or sample.reads) for sample in samples], needs_signal=needs_signal
    )
    if not needs_aligning(samples):
        return tuple(samples)
    origin = {
        "baleen": __version__,
        "minimap2": MINIMAP2_VERSION,
        "preset": PRESET,
        "reference": _digest(reference),
    }
    found = []
    for number, sample in enumerate(samples, start=1):
        stem = f"{'native' if sample.is_native else 'control'}-{number}"
        bams = [folder / f"{stem}.{i}.bam" for i in range(1, len(sample.reads) + 1)]
        for path, bam in zip(sample.reads, bams, strict=True):
            made_from = {**origin, "reads": _digest(path)}
            if _is_whole(bam, path, made_from):
                LOG.info("%s: aligned before, in %s", sample.name, bam)
            else:
                _align((path, reference, bam), sample.name, made_from, threads)
        found.append(replace(sample, bam=tuple(bams)) if sample.reads else sample)
    return tuple(found)


@contextmanager
def aligned_in_passing(
    samples: Sequence[SampleFiles], reference: Path, *, needs_signal: bool
) -> Iterator[tuple[SampleFiles, ...]]:
    """Align into a folder for temporary files (``TMPDIR``) that is removed: for those who only look."""
    if not needs_aligning(samples):
        yield tuple(samples)
        return
    with tempfile.TemporaryDirectory(prefix="baleen-aligned-") as name:
        yield align_samples(samples, reference, Path(name), needs_signal=needs_signal, threads=0)


def _digest(path: Path) -> dict[str, Any]:
    try:
        return file_digest(path)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}") from error


def _record(bam: Path) -> Path:
    return bam.with_name(bam.name + ".json")


def _is_whole(bam: Path, reads: Path, made_from: dict[str, Any]) -> bool:
    """Say whether the BAM is there as it was made, from these reads."""
    record = _record(bam)
    if not record.exists():
        return False
    try:
        made = json.loads(record.read_text())
        before, content = made["from"], made["bam"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{record}: is not what a run of this version wrote ({error!r})"
        raise ResumeError(message, hint="--force starts afresh") from error
    changed = [name for name in made_from if before.get(name) != made_from[name]]
    if changed:
        message = f"{bam}: was made from something else than {reads} ({', '.join(changed)} differ)"
        raise ResumeError(message, hint="give the files of then, another --output-dir, or --force")
    is_there = bam.exists() and bam.with_name(bam.name + ".bai").exists()
    return is_there and file_digest(bam) == content


def _align(paths: tuple[Path, Path, Path], sample: str, made_from: dict[str, Any], threads: int) -> None:
    reads, reference, bam = paths
    with named_output_errors(bam.parent):
        bam.parent.mkdir(parents=True, exist_ok=True)
        for left_over in bam.parent.glob(f"{bam.name}*"):
            left_over.unlink()  # of a run that was killed
    LOG.info("%s: aligning %s", sample, reads)
    # What the header says must not depend on where the files lie or on the number of threads.
    options = AlignOptions(preset=PRESET, command_line=f"baleen align READS REF -o BAM --preset {PRESET}")
    request = AlignRequest(
        reads=(reads,),
        reference=reference,
        output=bam,
        options=options,
        pump=PumpSettings(threads=threads),
    )
    try:
        report = align_reads(request)
    except FormatError as error:
        raise InputError(error.path, error.problem, hint=error.hint) from error
    with complete_file(_record(bam)) as part:
        part.write_text(json.dumps({"from": made_from, "bam": file_digest(bam)}, indent=1) + "\n")
    share = 100 * report.n_mapped / max(1, report.n_reads)
    LOG.info("%s: %d of %d reads aligned (%.1f %%)", sample, report.n_mapped, report.n_reads, share)


def remove_alignments(folder: Path) -> None:
    """Remove what an earlier run aligned.

    Raises
    ------
    OutputError
        If it cannot be removed.
    """
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        message = f"{folder}: cannot be removed: {error.strerror or error}"
        raise OutputError(message) from error
