"""The options that name input files, shared by the subcommands that open a run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from baleen.inputs import SampleFiles

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)
_CONDITIONS = {"native": "Native", "ivt": "Control"}
_TABLES = {
    "eventalign": "event table of f5c or nanopolish, in place of signal",
    "eventalign_summary": "summary that names the reads of that table, if it has their numbers alone",
}
_KINDS = {
    "bam": "aligned reads (sorted, indexed BAM)",
    "reads": "reads to be aligned first (FASTQ or unaligned BAM), in place of a BAM",
    "fastq": "reads; the BAM holds them too",
    "blow5": "signal: BLOW5 files or folders",
    "pod5": "signal: POD5 files or folders",
}


def input_options(function: F) -> F:
    """Add the options for sample files, the sample sheet, the reference and ``--index``."""
    index_help = "Index BAM files that have no index."
    ref_help = "Reference FASTA the BAMs were, or the reads are to be, aligned to."
    function = click.option("--index", "may_index", is_flag=True, help=index_help)(function)
    function = click.option("--ref", "reference", type=_FILE, required=True, help=ref_help)(function)
    sheet_help = (
        "Table of samples (sample condition bam signal fastq reads eventalign group) instead of the options "
        "above."
    )
    function = click.option("--samples", "sheet", type=_FILE, help=sheet_help)(function)
    for condition, label in reversed(_CONDITIONS.items()):
        for kind, text in reversed(_TABLES.items()):
            flag = f"--{condition}-{kind.replace('_', '-')}"
            function = click.option(flag, type=_FILE, help=f"{label} {text}.")(function)
        for kind, text in reversed(_KINDS.items()):
            flag, help_text = f"--{condition}-{kind}", f"{label} {text}; may be repeated."
            function = click.option(flag, type=_FILE, multiple=True, help=help_text)(function)
    return function


_PANEL_KINDS = ("bam", "fastq", "blow5", "pod5")


def control_options(function: F) -> F:
    """Add the options for files of control samples alone."""
    index_help = "Index BAM files that have no index."
    function = click.option("--index", "may_index", is_flag=True, help=index_help)(function)
    ref_help = "Reference FASTA the BAMs were made with."
    function = click.option("--ref", "reference", type=_FILE, required=True, help=ref_help)(function)
    sheet_help = "Table of samples, as for `baleen run`; its controls are taken."
    function = click.option("--samples", "sheet", type=_FILE, help=sheet_help)(function)
    for kind in reversed(_PANEL_KINDS):
        help_text = f"Control {_KINDS[kind]}; may be repeated."
        function = click.option(f"--ivt-{kind}", type=_FILE, multiple=True, help=help_text)(function)
    return function


def given_controls(given: Mapping[str, Any]) -> "tuple[SampleFiles, ...]":
    """Return the control samples that the options of `control_options` name.

    Raises
    ------
    UsageError
        If there is none, or files are given both ways.
    """
    from baleen.errors import UsageError
    from baleen.inputs import SampleFiles, read_sheet

    flags = [f"--ivt-{kind}" for kind in _PANEL_KINDS if given[f"ivt_{kind}"]]
    if given["sheet"] is not None and flags:
        message = f"--samples: excludes {flags[0]}"
        raise UsageError(message)
    if given["sheet"] is not None:
        found = tuple(sample for sample in read_sheet(given["sheet"]) if not sample.is_native)
    else:
        signal = given["ivt_blow5"] + given["ivt_pod5"]
        files = {"bam": given["ivt_bam"], "signal": signal, "fastq": given["ivt_fastq"]}
        found = (SampleFiles(name="ivt", is_native=False, **files),) if any(files.values()) else ()
    if not found:
        message = "no control sample is given"
        raise UsageError(message, hint="--ivt-bam FILE --ivt-blow5 FILE, or --samples SHEET")
    return found


def output_option(function: F) -> F:
    """Add ``-o``."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option("-o", "--output-dir", type=kind, required=True, help="Folder for the results.")(
        function
    )


def given_samples(given: Mapping[str, Any]) -> "tuple[SampleFiles, ...]":
    """Return the samples that these options name.

    Raises
    ------
    UsageError
        If files are given both ways.
    """
    from baleen.errors import UsageError
    from baleen.inputs import SampleFiles, read_sheet

    named = [f"{condition}_{kind}" for condition in _CONDITIONS for kind in (*_KINDS, *_TABLES)]
    if given["sheet"] is not None:
        both = [name for name in named if given[name]]
        if both:
            message = f"--samples: excludes --{both[0].replace('_', '-')}"
            raise UsageError(message)
        return read_sheet(given["sheet"])
    return tuple(
        SampleFiles(
            name=condition,
            is_native=condition == "native",
            bam=given[f"{condition}_bam"],
            signal=given[f"{condition}_blow5"] + given[f"{condition}_pod5"],
            fastq=given[f"{condition}_fastq"],
            reads=given[f"{condition}_reads"],
            eventalign=given[f"{condition}_eventalign"],
            eventalign_summary=given[f"{condition}_eventalign_summary"],
        )
        for condition in _CONDITIONS
        if any(given[f"{condition}_{kind}"] for kind in (*_KINDS, *_TABLES))
    )
