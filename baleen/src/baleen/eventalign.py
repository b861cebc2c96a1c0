"""Place the signal of one sample on the reference and write it as an event table."""

import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import krill
from baleen.config import Config, PileupConfig
from baleen.console import LOG, Progress
from baleen.crew import Clock, crew_of
from baleen.data import U8
from baleen.errors import OutputError
from baleen.event_rows import HEADER, format_rows
from baleen.executors import usable_cores
from baleen.files import complete_file
from baleen.inputs import ReadSource, RunInputs, SampleFiles, open_sample, read_contig, read_reference
from baleen.pileup import status_counts, total_status
from baleen.scoring import pore_model
from baleen.termination import ended_by_signals
from krill import PoreModel, ReadBatch

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_LEVEL = 6


@dataclass(frozen=True, kw_only=True)
class EventalignRequest:
    """What the user asked for.

    Parameters
    ----------
    sample, reference
        Input files.
    output
        The table; compressed if its name ends in ``.gz``.
    config
        Settings.
    may_index
        Make missing BAM indices.
    """

    sample: SampleFiles
    reference: Path
    output: Path
    config: Config
    may_index: bool = False


@dataclass(frozen=True)
class EventalignSummary:
    """What was written: rows, and reads per status, every read of the BAM once."""

    n_rows: int
    read_status: dict[str, int]


@dataclass(frozen=True)
class _Rows:
    """The finished lines of a batch."""

    text: bytes
    n_rows: int
    status: U8


def write_events(request: EventalignRequest) -> EventalignSummary:
    """Write the event table: whole, or not at all.

    Reads go through memory in batches, contig by contig; batches and their order depend on the
    inputs alone, so the bytes are the same for any number of threads.

    Raises
    ------
    BaleenError
        Of the kind whose exit code says what went wrong.
    """
    output, config = request.output, request.config
    if not output.parent.is_dir():
        message = f"{output}: its folder does not exist"
        raise OutputError(message, hint=f"mkdir -p {output.parent}")
    inputs = open_sample(request.sample, request.reference, config, index_bams=request.may_index)
    for line in inputs.funnel_lines():
        LOG.info("%s", line)
    for warning in inputs.warnings:
        LOG.warning("warning: %s", warning)
    n_rows = 0
    statuses = []
    with (
        ended_by_signals(),
        complete_file(output, is_resumable=False) as part,
        tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder,
        part.open("wb") as table,
    ):
        source = inputs.write(Path(folder))
        pack = _gzip if output.suffix == ".gz" else bytes
        table.write(pack(HEADER))
        for rows in _all_rows(inputs, source, config, pack):
            table.write(rows.text)
            n_rows += rows.n_rows
            statuses.append(rows.status)
    counts = inputs.status_counts[request.sample.name]
    before = {status.name.lower(): n for status, n in counts.items()}
    return EventalignSummary(n_rows, total_status(before, status_counts(statuses)))


def _all_rows(
    inputs: RunInputs, source: ReadSource, config: Config, pack: Callable[[bytes], bytes]
) -> Iterator[_Rows]:
    """Return the lines of every contig, batch by batch, placed side by side on all threads."""
    if inputs.chemistry is None:
        message = "event alignment needs a chemistry"
        raise ValueError(message)
    model = pore_model(inputs.chemistry, config.pileup.kmer_model)
    clock = Clock(crew_of(config.run.threads or usable_cores()))
    work = sum(task.length_bp * sum(task.n_reads) for task in inputs.tasks)
    with Progress("eventalign", work) as progress:
        for task in inputs.tasks:
            place = partial(_rows, config.pileup, model, read_reference(task, source), pack)
            yield from clock.each(place, read_contig(task, source, config), "eventalign")
            progress.advance(task.length_bp * sum(task.n_reads))


def _rows(
    config: PileupConfig,
    model: PoreModel,
    reference: U8,
    pack: Callable[[bytes], bytes],
    numbered: tuple[int, ReadBatch],
) -> _Rows:
    _, batch = numbered
    alignments = krill.align(batch, reference, model, mode=config.align_mode, moves=config.moves)
    text = pack(format_rows(batch, alignments, reference, model))
    return _Rows(text, len(alignments.position), alignments.status)


def _gzip(text: bytes) -> bytes:
    """Return a gzip member: members one after another are a gzip file, so each is packed where it is made."""
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(text) + packer.flush()
