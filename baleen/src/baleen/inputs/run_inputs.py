"""Open a run: check every file, meet the reads of BAM, FASTQ and signal, plan the contigs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam

from baleen.config import SAMPLE_CHANNELS, CallingConfig, Config
from baleen.errors import InputError, MismatchError
from baleen.files import cut_short_warnings
from baleen.inputs.chemistry import checked_model, decide
from baleen.inputs.contigs import Reference, chosen_contigs
from baleen.inputs.event_reads import check_kmer_sizes, meet_events
from baleen.inputs.event_table import unpack_tables
from baleen.inputs.funnel import LOW_SHARE, Funnel, build_funnel, printable
from baleen.inputs.matching import matching_warnings
from baleen.inputs.sample_reads import SampleReads
from baleen.inputs.samples import SampleFiles, check_conditions, input_files, resolve
from baleen.inputs.selection import Rows, measure_depths, select_reads
from baleen.inputs.tasks import ContigTask, ReadSource
from krill.errors import FormatError
from krill.reads.bam import BamFile, BamScan
from krill.reads.batch import ReadStatus

_SHOWN = 5
_RATE_TOLERANCE = 0.01  # 3000 and 3012 Hz are the same chemistry's nominal rates


@dataclass(frozen=True)
class RunInputs:
    """What a run works on, after every check.

    Parameters
    ----------
    samples
        Files of each sample, folders resolved.
    reference
        Contigs of the FASTA.
    tasks
        Contigs to call, in the order of the FASTA.
    chemistry, sampling_rate_hz
        ``rna002`` or ``rna004``; None if no signal is used and nothing tells.
    funnels
        One per sample.
    status_counts
        Reads per status and sample name; OK = handed to the calling.
    skipped_contigs
        Contigs with usable reads that are not called, with the reason.
    warnings
        What the user should know before the run starts.
    """

    samples: tuple[SampleFiles, ...]
    reference: Reference
    tasks: tuple[ContigTask, ...]
    chemistry: str | None
    sampling_rate_hz: float | None
    funnels: tuple[Funnel, ...]
    status_counts: dict[str, dict[ReadStatus, int]]
    skipped_contigs: dict[str, str]
    warnings: tuple[str, ...]
    table: Rows

    def write(self, folder: Path) -> ReadSource:
        """Write the reads table and the called contigs' sequences for the workers."""
        sequences = self.reference.sequences({task.contig for task in self.tasks})
        samples, table = unpack_tables(folder, self.samples, self.table)
        return ReadSource.write(folder, samples, table, sequences, self.tasks)

    def funnel_lines(self) -> list[str]:
        """Return the funnels as lines of text."""
        return [line for funnel in self.funnels for line in funnel.lines()]

    def contig_lines(self) -> list[str]:
        """Return the contigs with most work as lines of text."""
        tasks = sorted(self.tasks, key=lambda task: -task.length_bp * sum(task.n_reads))[:_SHOWN]
        lines = []
        for task in tasks:
            counts = ", ".join(f"{s.name} {n}" for s, n in zip(self.samples, task.n_reads, strict=True))
            lines.append(f"  {printable(task.contig)}: {task.length_bp} bases, reads: {counts}")
        if len(self.tasks) > len(tasks):
            lines.append(f"  ... and {len(self.tasks) - len(tasks)} with less work")
        return lines

    def files(self) -> dict[str, Path]:
        """Return every input file by what it is for: sample, condition, kind and number."""
        return input_files(self.samples, self.reference.path)

    def table_digest(self) -> str:
        """Return a digest of the reads table: which reads are used and where each record lies."""
        return hashlib.blake2b(self.table.view(np.uint8).data, digest_size=16).hexdigest()


def open_run(
    samples: Sequence[SampleFiles], reference: Path, config: Config, *, index_bams: bool = False
) -> RunInputs:
    """Check all inputs and plan the run; reads everything but the signal itself.

    Parameters
    ----------
    samples
        Native and control samples.
    reference
        FASTA the reads were aligned to.
    config
        Settings.
    index_bams
        Make the index of a BAM that has none.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    MismatchError
        If files contradict each other.
    """
    check_conditions(samples)
    met = _meet(samples, reference, config, index_bams=index_bams)
    names = list(met.reference.lengths_bp)
    lengths = np.array(list(met.reference.lengths_bp.values()), np.int64)
    depths = measure_depths(met.reads, lengths, config.reads)
    seen = np.flatnonzero((depths.native > 0) | (depths.control > 0))
    reasons = {i: depths.reason(i, config.reads) for i in seen.tolist()}
    why_none = depths.why_none(names, config.reads)
    return _planned(met, {names[i]: reason for i, reason in reasons.items()}, config, why_none)


def open_sample(
    sample: SampleFiles, reference: Path, config: Config, *, index_bams: bool = False
) -> RunInputs:
    """Check the files of one sample alone; every contig with a usable read is kept.

    Parameters and errors are those of `open_run`.
    """
    return open_samples([sample], reference, config, index_bams=index_bams)


def open_samples(
    samples: Sequence[SampleFiles], reference: Path, config: Config, *, index_bams: bool = False
) -> RunInputs:
    """Check the files of samples of one condition; every contig with a usable read is kept.

    Parameters and errors are those of `open_run`.
    """
    met = _meet(samples, reference, config, index_bams=index_bams)
    names = list(met.reference.lengths_bp)
    n_reads = np.sum([reads.counts(len(names))[0] for reads in met.reads], axis=0)
    return _planned(met, {names[i]: None for i in np.flatnonzero(n_reads).tolist()}, config)


@dataclass(frozen=True)
class _Met:
    """Reads of BAM, FASTQ and signal, met; nothing is chosen yet."""

    files: tuple[SampleFiles, ...]
    reference: Reference
    reads: list[SampleReads]
    chemistry: str | None
    sampling_rate_hz: float | None
    warnings: list[str]


def _meet(samples: Sequence[SampleFiles], reference: Path, config: Config, *, index_bams: bool) -> _Met:
    with _format_errors():
        files = resolve(samples, needs_signal=config.calling.signal)
        contigs = Reference.open(reference)
        chosen = chosen_contigs(config.reads.target, contigs)
        found = [_load(sample, contigs, config, index_bams=index_bams) for sample in files]
    _check_shared(found)
    chemistry, rate = _chemistry(found, config)
    if chemistry is not None and config.calling.signal:
        with _format_errors():
            check_kmer_sizes(found, chemistry, checked_model(chemistry, config.pileup.kmer_model))
    if chosen is not None:
        is_chosen = np.append([name in chosen for name in contigs.lengths_bp], False)
        for sample in found:
            sample.fail(ReadStatus.NOT_TARGET, ~is_chosen[sample.contig])
    warnings = matching_warnings(found, contigs)
    return _Met(files, contigs, found, chemistry, rate, warnings)


def _planned(
    met: _Met, reasons: Mapping[str, str | None], config: Config, why_none: str | None = None
) -> RunInputs:
    """Choose reads; ``reasons`` says of every contig with usable reads why it is skipped, if it is."""
    names = list(met.reference.lengths_bp)
    lengths = np.array(list(met.reference.lengths_bp.values()), np.int64)
    kept = {name for name, reason in reasons.items() if reason is None}
    table = select_reads(met.reads, np.array([name in kept for name in names], np.bool_), config.reads)
    funnels = {sample.files.name: build_funnel(sample) for sample in met.reads}
    return RunInputs(
        samples=met.files,
        reference=met.reference,
        tasks=tuple(_tasks(table, names, lengths, len(met.files))),
        chemistry=met.chemistry,
        sampling_rate_hz=met.sampling_rate_hz,
        funnels=tuple(funnel for funnel, _ in funnels.values()),
        status_counts={name: counts for name, (_, counts) in funnels.items()},
        skipped_contigs={name: reason for name, reason in reasons.items() if reason is not None},
        warnings=tuple(_warnings([funnel for funnel, _ in funnels.values()], reasons, why_none))
        + tuple(met.warnings)
        + tuple(cut_short_warnings(_text_files(met)))
        + tuple(_table_warnings(met, config.calling))
        + tuple(_twin_warnings(met.reads))
        + tuple(_basecaller_warnings(met.reads)),
        table=table,
    )


@contextmanager
def _format_errors() -> Iterator[None]:
    """Turn the engine's file errors into the pipeline's."""
    try:
        yield
    except FormatError as error:
        raise InputError(error.path, error.problem, hint=error.hint) from error


def _load(files: SampleFiles, reference: Reference, config: Config, *, index_bams: bool) -> SampleReads:
    scans, contig_of, models = [], [], list[str]()
    for path in files.bam:
        bam = BamFile(path)
        try:
            scans.append(_scan(bam, reference, index_bams=index_bams))
            contig_of.append(reference.numbers(bam.contigs))
            models += bam.basecall_models
        finally:
            bam.close()
    speeds = [scan.samples_per_base for scan in scans]
    reads = SampleReads(files, scans, contig_of, config.reads)
    scans.clear()  # frees the keys: the reads hold them sorted
    if files.fastq and config.reads.read_intersection:
        reads.intersect_fastq()
    if config.calling.signal and files.eventalign is not None:
        meet_events(reads, reference)
    elif config.calling.signal and files.signal:
        reads.intersect_signal()
    reads.basecall_models = tuple(sorted(set(models)))
    for model in models:
        reads.votes.add_model(model)
    if reads.sampling_rate_hz is not None:
        reads.votes.add_rate(reads.sampling_rate_hz)
        for speed in speeds:
            reads.votes.add_speed(speed, reads.sampling_rate_hz)
    return reads


def _scan(bam: BamFile, reference: Reference, *, index_bams: bool) -> BamScan:
    _check_order(bam, index_bams=index_bams)
    scan = bam.scan()
    if not scan.is_sorted:
        raise InputError(bam.path, "is not sorted, though its header says so", hint=_sort_hint(bam.path))
    reference.check_bam(bam.path, _contigs_with_reads(bam, scan))
    return scan


def _check_order(bam: BamFile, *, index_bams: bool) -> None:
    if bam.sort_order != "coordinate":
        raise InputError(bam.path, f"is not sorted ({bam.sort_order})", hint=_sort_hint(bam.path))
    if bam.has_index():
        return
    hint = f"samtools index {bam.path}"
    if not index_bams:
        raise InputError(bam.path, "has no index", hint=f"{hint} (or give --index)")
    try:
        pysam.index(str(bam.path))
    except (OSError, pysam.utils.SamtoolsError) as error:
        raise InputError(bam.path, f"cannot be indexed: {error}", hint=hint) from error


def _sort_hint(path: Path) -> str:
    fixed = path.with_suffix(".sorted.bam")
    return f"samtools sort -o {fixed} {path} && samtools index {fixed}"


def _contigs_with_reads(bam: BamFile, scan: BamScan) -> dict[str, int]:
    used = np.unique(scan.contig[scan.contig >= 0])
    return {bam.contigs[i]: bam.contig_lengths[i] for i in used}


def _check_shared(samples: Sequence[SampleReads]) -> None:
    """Raise if a sample's files have no read in common."""
    for sample in samples:
        funnel, _ = build_funnel(sample)
        if funnel.shared > 0:
            continue
        owners = [other.files.name for other in samples if other.has_any(sample.only_in_signal.examples)]
        source = "signal" if sample.files.eventalign is None else "event table"
        what = f"{source} and FASTQ" if sample.files.fastq else source
        problem = f"shares no read with the {what} of sample {sample.files.name}"
        if owners:
            hint = f"that {source} belongs to sample {owners[0]}: exchange the files"
        else:
            hint = f"is this the {source} of these reads? compare: samtools view {sample.files.bam[0]} | head"
        raise MismatchError(sample.files.bam[0], "\n".join([problem, *funnel.lines()]), hint=hint)


def _chemistry(samples: Sequence[SampleReads], config: Config) -> tuple[str | None, float | None]:
    """Return chemistry and sampling rate that all samples agree on."""
    first = samples[0].files
    path = (*first.signal, *first.bam)[0]
    votes = [(sample.files.name, sample.votes) for sample in samples]
    chemistry, problem = decide(votes, config.pileup.pore)
    if problem is not None:
        raise MismatchError(path, problem, hint="--pore rna002 or --pore rna004, if it is known")
    if chemistry is None and config.calling.signal:
        problem = "does not say which chemistry it was sequenced with"
        raise InputError(path, problem, hint="--pore rna002 or --pore rna004")
    rates = {s.files.name: s.sampling_rate_hz for s in samples if s.sampling_rate_hz is not None}
    if rates and max(rates.values()) > min(rates.values()) * (1 + _RATE_TOLERANCE):
        listed = ", ".join(f"{name} {rate:g} Hz" for name, rate in rates.items())
        raise MismatchError(path, f"the samples differ in sampling rate: {listed}")
    return chemistry, next(iter(rates.values()), None)


def _tasks(table: Rows, names: Sequence[str], lengths: np.ndarray, n_samples: int) -> Iterator[ContigTask]:
    contigs, first = np.unique(table["contig"], return_index=True)
    sequence_start = 0
    for contig, start, end in zip(contigs, first, np.append(first, len(table))[1:], strict=True):
        n_reads = np.bincount(table["sample"][start:end], minlength=n_samples)
        yield ContigTask(
            contig=names[contig],
            index=int(contig),
            length_bp=int(lengths[contig]),
            n_reads=tuple(map(int, n_reads)),
            first_row=int(start),
            last_row=int(end),
            sequence_start=sequence_start,
        )
        sequence_start += int(lengths[contig])


def _text_files(met: _Met) -> Iterator[Path]:
    """Go through the files that may be bgzip; a BAM without its last block is refused already."""
    yield met.reference.path
    for files in met.files:
        yield from files.fastq
        yield from filter(None, [files.eventalign, files.eventalign_summary])


def _twin_warnings(samples: Sequence[SampleReads]) -> Iterator[str]:
    """Say where two samples hold the same reads: a file was given twice, or a run was not split."""
    for i, sample in enumerate(samples):
        for other in samples[:i]:
            shared = other.first_shared(sample)
            if shared is not None:
                names = f"{other.files.name} and {sample.files.name}"
                yield f"{names} hold the same reads, such as {printable(shared)}; is a file given twice?"


def _basecaller_warnings(samples: Sequence[SampleReads]) -> Iterator[str]:
    """Say that samples were basecalled differently: their errors differ for that alone."""
    named = {sample.files.name: ", ".join(sample.basecall_models) for sample in samples}
    known = {name: models for name, models in named.items() if models}
    if len(set(known.values())) > 1:
        listed = "; ".join(f"{name}: {models}" for name, models in known.items())
        yield (
            f"the samples were basecalled with different models ({listed}), so their errors differ "
            "for that alone; basecall them with one model, or leave errors out: --channels level,shape"
        )


def _table_warnings(met: _Met, calling: CallingConfig) -> Iterator[str]:
    """Say what event tables cannot give."""
    tables = [reads for reads in met.reads if reads.files.eventalign is not None]
    if not tables or not calling.signal:
        return
    left_out = [name for name in calling.channels if name in SAMPLE_CHANNELS]
    if left_out:
        kept = ", ".join(calling.without_samples().channels)
        yield f"event tables hold no signal: channel {', '.join(left_out)} is left out; there remain {kept}"
    for reads in tables:
        if reads.kmer_size is None:
            yield f"{reads.files.eventalign}: without column reference_kmer, positions cannot be checked"


def _warnings(
    funnels: Sequence[Funnel], reasons: Mapping[str, str | None], why_none: str | None
) -> Iterator[str]:
    for funnel in funnels:
        if funnel.shared < LOW_SHARE:
            yield (
                f"{funnel.sample}: only {100 * funnel.shared:.0f} % of the aligned reads are in the "
                "signal or event table (and FASTQ); are the files of all runs given?"
            )
    if why_none is not None:
        yield f"no contig passes the filters: {why_none}"
    elif not reasons:
        lost = "; ".join(f"{one.sample}: {one.losses_text()}" for one in funnels)
        yield f"no contig passes the filters: none has a usable read ({lost})"
