"""The files of each sample: from flags or from a sample sheet."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from baleen.errors import InputError, UsageError

COLUMNS = ("sample", "condition", "bam", "signal", "fastq", "reads")
NEEDED_COLUMNS = COLUMNS[:2]
CONDITIONS = {"native": True, "control": False, "ivt": False}
SIGNAL_SUFFIXES = (".pod5", ".blow5")
_MAX_SAMPLES = 255
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class SampleFiles:
    """The files of one sequenced library.

    Parameters
    ----------
    name
        Unique among the samples of a run.
    is_native
        Native RNA, or else the control.
    bam, signal, fastq
        Alignments, raw signal (files or folders), reads; several of each may be given.
    eventalign, eventalign_summary
        Event table to use instead of raw signal; what names its reads, where it has numbers alone.
    group
        Name of the native condition, where there are several; empty = the only one.
    panel
        Manifest of the control panel that holds the sample's placed signal.
    reads
        FASTQ or unaligned BAM in place of ``bam``: they are aligned before the run.
    """

    name: str
    is_native: bool
    bam: tuple[Path, ...]
    signal: tuple[Path, ...] = ()
    fastq: tuple[Path, ...] = ()
    eventalign: Path | None = None
    eventalign_summary: Path | None = None
    group: str = ""
    panel: Path | None = None
    reads: tuple[Path, ...] = ()

    @property
    def condition(self) -> str:
        """Name of the condition: control, native, or that of one of several native ones."""
        return self.group or ("native" if self.is_native else "control")


def read_sheet(path: Path) -> tuple[SampleFiles, ...]:
    """Read a sample sheet.

    Parameters
    ----------
    path
        Tab-separated, with a header line that names the columns ``sample condition bam signal
        fastq reads eventalign eventalign_summary group`` in any order (those that are not used may
        be left out). Several files in one cell are separated by commas; relative paths start at the
        sheet's folder.

    Raises
    ------
    InputError
        If the sheet is missing, lacks a column, or says something it cannot say.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    rows = csv.DictReader(text.splitlines(), delimiter="\t", strict=True)
    columns = rows.fieldnames or ()
    missing = [name for name in NEEDED_COLUMNS if name not in columns]
    if not {"bam", "reads"} & set(columns):
        missing.append("bam")
    if missing:
        hint = f"the first line must be: {' '.join(COLUMNS[:5])} (separated by tabs)"
        raise InputError(path, f"has no column {', '.join(missing)}", hint=hint)
    samples = []
    for line, row in enumerate(rows, start=2):
        condition = (row["condition"] or "").strip().lower()
        if condition not in CONDITIONS:
            problem = f"line {line}: condition {row['condition']!r} is not one of {', '.join(CONDITIONS)}"
            raise InputError(path, problem)
        samples.append(
            SampleFiles(
                name=(row["sample"] or "").strip(),
                is_native=CONDITIONS[condition],
                bam=_cell(path.parent, row.get("bam")),
                signal=_cell(path.parent, row.get("signal")),
                fastq=_cell(path.parent, row.get("fastq")),
                reads=_cell(path.parent, row.get("reads")),
                group=_group(path, line, row),
                eventalign=_one(path, line, row, "eventalign"),
                eventalign_summary=_one(path, line, row, "eventalign_summary"),
            )
        )
    return tuple(samples)


def _group(path: Path, line: int, row: Mapping[str, str | None]) -> str:
    """Return the native condition of a line; its name becomes that of a folder."""
    group = (row.get("group") or "").strip()
    is_native = CONDITIONS[(row["condition"] or "").strip().lower()]
    if group and not is_native:
        raise InputError(path, f"line {line}: group {group!r} of a control; controls serve all groups")
    if group and (_GROUP.fullmatch(group) is None or group in {"native", "control"}):
        hint = "letters, digits, and . _ - within; not native or control"
        raise InputError(path, f"line {line}: {group!r} cannot name a group", hint=hint)
    return group


def _cell(folder: Path, cell: str | None) -> tuple[Path, ...]:
    return tuple(folder / item.strip() for item in (cell or "").split(",") if item.strip())


def _one(path: Path, line: int, row: dict[str, str | None], column: str) -> Path | None:
    files = _cell(path.parent, row.get(column))
    if len(files) > 1:
        raise InputError(path, f"line {line}: {column} is one file; {len(files)} are given")
    return files[0] if files else None


def check_conditions(samples: Sequence[SampleFiles]) -> None:
    """Raise ``UsageError`` unless there are native and control samples."""
    for label, is_native in (("native", True), ("control", False)):
        if not any(sample.is_native == is_native for sample in samples):
            message = f"no {label} sample is given"
            raise UsageError(message, hint="--native-bam FILE --ivt-bam FILE, or --samples SHEET")


def resolve(samples: Sequence[SampleFiles], *, needs_signal: bool) -> tuple[SampleFiles, ...]:
    """Replace folders of signal by the files in them, and check that nothing is missing.

    Raises
    ------
    UsageError
        If two samples share a name, a sample has no BAM or signal, or some have signal and some
        event tables.
    InputError
        If a file does not exist, or a folder holds no signal.
    """
    names = [sample.name for sample in samples]
    if len(set(names)) < len(names) or not all(names) or len(names) > _MAX_SAMPLES:
        message = f"samples need different names, {_MAX_SAMPLES} at most; got {', '.join(names)}"
        raise UsageError(message, hint="--samples SHEET names them; without it they are native and ivt")
    resolved = []
    for sample in samples:
        if not sample.bam:
            message = f"sample {sample.name} has no BAM"
            raise UsageError(
                message, hint="give --native-reads, --ivt-reads for reads that are not aligned yet"
            )
        signal = tuple(_signal_files(sample.signal)) if needs_signal else ()
        _check_tables(sample, samples[0])
        if needs_signal and not signal and sample.eventalign is None and sample.panel is None:
            message = f"sample {sample.name} has no raw signal"
            hint = "--native-blow5, --native-pod5 (--ivt-...), or --no-signal to call from alignments alone"
            raise UsageError(message, hint=hint)
        tables = filter(None, [sample.eventalign, sample.eventalign_summary])
        _check_there(*sample.bam, *sample.fastq, *tables, *sample.reads)
        resolved.append(replace(sample, signal=signal))
    return tuple(resolved)


def input_files(samples: Iterable[SampleFiles], reference: Path) -> dict[str, Path]:
    """Return every input file by what it is for: sample, condition, kind and number.

    Parameters
    ----------
    samples
        Files of each sample, folders resolved.
    reference
        The FASTA.
    """
    found = {"reference": reference}
    for sample in samples:
        owner = f"{sample.condition} sample {sample.name}"
        tables = tuple(filter(None, [sample.eventalign, sample.eventalign_summary]))
        kinds = {"BAM": sample.bam, "signal": sample.signal, "FASTQ": sample.fastq, "eventalign": tables}
        kinds["reads"] = sample.reads
        kinds["panel"] = tuple(filter(None, [sample.panel]))
        for kind, paths in kinds.items():
            for number, path in enumerate(paths, start=1):
                found[f"{owner}, {kind} file {number}"] = path
    return found


def _check_tables(sample: SampleFiles, first: SampleFiles) -> None:
    """Raise ``UsageError`` where event tables and signal are given side by side."""
    if sample.eventalign is not None and sample.signal:
        message = f"sample {sample.name} has signal and an event table"
        raise UsageError(message, hint="give one of them; signal says more")
    if sample.eventalign is None and sample.eventalign_summary is not None:
        message = f"sample {sample.name} has a summary of events and no event table"
        raise UsageError(message, hint="--native-eventalign FILE (--ivt-eventalign FILE)")
    if (sample.eventalign is None) != (first.eventalign is None):
        message = f"of samples {first.name} and {sample.name} one has an event table and the other has not"
        hint = "levels of different aligners differ where nothing is modified: give tables for all, or signal"
        raise UsageError(message, hint=hint)


def _check_there(*paths: Path) -> None:
    for path in paths:
        if not path.is_file():
            raise InputError(path, "is not a file" if path.exists() else "does not exist")


def _signal_files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in dict.fromkeys(paths):
        if not path.is_dir():
            _check_there(path)
            yield path
            continue
        files = sorted(p for p in path.rglob("*") if p.suffix in SIGNAL_SUFFIXES and p.is_file())
        if not files:
            raise InputError(path, f"holds no {' or '.join(SIGNAL_SUFFIXES)} file")
        yield from files
