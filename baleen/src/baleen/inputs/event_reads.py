"""Meet a sample's alignments with its event table."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from baleen.data import U8
from baleen.errors import InputError, MismatchError, UsageError
from baleen.event_levels import kmer_center, kmers_differ
from baleen.inputs.chemistry import nominal_rate
from baleen.inputs.contigs import Reference
from baleen.inputs.event_table import EventRuns, EventTable, read_summary
from baleen.inputs.sample_reads import SampleReads
from krill import PoreModel
from krill.reads.keys import read_keys


def meet_events(reads: SampleReads, reference: Reference) -> None:
    """Find the rows of each alignment and drop alignments that have none.

    Raises
    ------
    InputError
        If the table is damaged or its rows are not together read by read.
    MismatchError
        If it is of another reference.
    """
    path = reads.files.eventalign
    if path is None:
        message = f"sample {reads.files.name} has no event table"
        raise ValueError(message)
    names = list(reference.lengths_bp)
    number_of = {name: i for i, name in enumerate(names)}
    used = {names[i] for i in np.unique(reads.contig[reads.contig >= 0])}
    check = partial(_check_runs, path, reference, reference.sequences(used))
    table = EventTable(path)
    try:
        name_of = _names_of_numbers(reads, table)
        reads.begin_events(len(names))
        for runs in table.runs():
            check(runs)
            keys, hashed = read_keys(_read_names(runs, name_of, reads))
            contig = np.array([number_of[name] for name in runs.contigs], np.int64)
            reads.place_events(keys, contig, runs.place, hashed)
            if runs.kmer is not None:
                reads.kmer_size = runs.kmer.shape[1]
        if table.sampling_rate_hz is not None:
            reads.sampling_rate_hz = nominal_rate(table.sampling_rate_hz)
    finally:
        table.close()
    if reads.twice_in_signal.n_reads > len(reads.keys):
        problem = "does not have the rows of a read together"
        hint = "sort by contig and read alone, keeping the order of lines: sort -s -k1,1 -k4,4"
        raise InputError(path, problem, hint=hint)
    reads.votes.add_kmer_size(reads.kmer_size)
    reads.drop_without_signal()


def _names_of_numbers(reads: SampleReads, table: EventTable) -> dict[str, str] | None:
    if "read_name" in table.columns:
        return None
    if reads.files.eventalign_summary is None:
        flag = "--native-eventalign-summary" if reads.files.is_native else "--ivt-eventalign-summary"
        hint = f"{flag} FILE, what eventalign --summary FILE wrote; or make the table with --print-read-names"
        raise InputError(table.path, "names reads by number (read_index) alone", hint=hint)
    return read_summary(reads.files.eventalign_summary)


def _read_names(runs: EventRuns, name_of: dict[str, str] | None, reads: SampleReads) -> Sequence[str]:
    if name_of is None:
        return runs.reads
    for number, line in zip(runs.reads, runs.line.tolist(), strict=True):
        if number not in name_of:
            problem = f"has no read_index {number}, which line {line} of {reads.files.eventalign} names"
            raise MismatchError(
                reads.files.eventalign_summary or "", problem, hint="give the summary of that run"
            )
    return [name_of[number] for number in runs.reads]


def _check_runs(path: object, reference: Reference, sequences: dict[str, U8], runs: EventRuns) -> None:
    """Raise ``MismatchError`` unless contigs and the first k-mer of each run are the reference's."""
    hint = "give the FASTA that the table was made with"
    for i, contig in enumerate(runs.contigs):
        if contig not in reference.lengths_bp:
            problem = f"line {runs.line[i]}: contig {contig} is not in {reference.path}"
            raise MismatchError(str(path), problem, hint=hint)
    if runs.kmer is None:
        return
    contigs = np.array(runs.contigs)
    for contig in dict.fromkeys(runs.contigs):
        if contig not in sequences:
            continue  # no alignment there: none of these rows is used
        rows = np.flatnonzero(contigs == contig)
        differs = kmers_differ(runs.position[rows], runs.kmer[rows], sequences[contig])
        if differs.any():
            row = rows[np.flatnonzero(differs)[0]]
            kmer, start = runs.kmer[row].tobytes().decode("ascii", "replace"), int(runs.position[row])
            there = sequences[contig][start : start + len(kmer)].tobytes().decode() or "ends"
            problem = (
                f"line {runs.line[row]}: k-mer {kmer} at {contig} {start}, where {reference.path} has {there}"
            )
            raise MismatchError(str(path), problem, hint=hint)


def check_kmer_sizes(samples: Sequence[SampleReads], chemistry: str, model: PoreModel) -> None:
    """Raise ``UsageError`` if it is not known which base of a table's k-mers is the one under test."""
    for sample in samples:
        if kmer_center(sample.kmer_size, model, chemistry) is None:
            size, path = sample.kmer_size, sample.files.eventalign
            message = f"{path}: has {size}-mers, which are not those of {model.name}"
            raise UsageError(message, hint="--kmer-model FILE, the model that the table was made with")
