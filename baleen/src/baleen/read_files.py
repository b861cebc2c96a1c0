"""Write reads the way sequencing delivers them: BLOW5 or POD5, FASTQ, sorted and indexed BAM."""

import array
import gzip
import logging
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
import pysam

from baleen.errors import OutputError
from krill import ReadBatch
from krill.errors import FormatError
from krill.reads.signal import open_signal

SignalFormat = Literal["blow5", "pod5"]
Alphabet = Literal["U", "T"]

_START = datetime(2024, 1, 1, tzinfo=UTC)  # a fixed time: equal seeds give equal files


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What the headers of a sample's files say of it.

    Parameters
    ----------
    sample, kit, flow_cell, basecall_model
        Names; the sample's is the read group too.
    sampling_rate_hz, digitisation, adc_min
        Of the digitiser: rate, number of values, least value.
    contigs
        Name and length of every reference sequence, in order.
    """

    sample: str
    kit: str
    flow_cell: str
    basecall_model: str
    sampling_rate_hz: int
    digitisation: int
    adc_min: int
    contigs: tuple[tuple[str, int], ...]


class _SignalWriter(Protocol):
    def write(self, reads: ReadBatch) -> None: ...

    def close(self) -> None: ...


class ReadFiles:
    """``reads.blow5`` or ``reads.pod5``, ``reads.fastq.gz`` and ``reads.bam`` of one sample.

    Parameters
    ----------
    folder
        Where the files go; it exists.
    origin
        For the headers.
    signal_format
        ``blow5`` or ``pod5``.
    alphabet
        Letter of the FASTQ for uracil; BAM has T always.
    """

    def __init__(
        self, folder: Path, origin: Origin, *, signal_format: SignalFormat, alphabet: Alphabet
    ) -> None:
        self._folder, self._origin = folder, origin
        self._signal_path, self._alphabet = folder / f"reads.{signal_format}", alphabet
        self._n_written = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            make = _Blow5Writer if self._signal_path.suffix == ".blow5" else _Pod5Writer
            self._signal: _SignalWriter = make(self._signal_path, self._origin)
            stack.callback(self._signal.close)
            plain = stack.enter_context((self._folder / "reads.fastq.gz").open("wb"))
            # no name and no time in the header: equal seeds give equal bytes
            self._fastq = stack.enter_context(gzip.GzipFile("", "wb", 4, plain, mtime=0))
            header = pysam.AlignmentHeader.from_dict(_bam_header(self._origin))
            self._bam = stack.enter_context(
                pysam.AlignmentFile(str(self._folder / "reads.bam"), "wb", header=header)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if kind is None:
            _check_signal(self._signal_path, self._n_written)
            pysam.index(str(self._folder / "reads.bam"))

    def write_contig(self, batches: Iterable[ReadBatch]) -> None:
        """Write all reads of one contig; contigs come in the order of the header."""
        records: list[pysam.AlignedSegment] = []
        for reads in batches:
            self._signal.write(reads)
            self._n_written += len(reads)
            self._fastq.write(_fastq(reads, self._alphabet).encode("ascii"))
            records += [_bam_record(reads, i, self._bam.header, self._origin) for i in range(len(reads))]
        for record in sorted(records, key=lambda record: record.reference_start):
            self._bam.write(record)


def _check_signal(path: Path, n_written: int) -> None:
    """Raise ``OutputError`` unless the reads are in the file: on a full disk its libraries raise nothing."""
    n_found = 0
    try:
        signal = open_signal(path)
        try:
            for block in signal.index():
                n_found += len(block.keys)
                if len(block.keys):
                    signal.read(*map(int, block.place[-1]))
        finally:
            signal.close()
    except FormatError as error:
        raise _lost(path, error.problem) from error
    if n_found != n_written:
        raise _lost(path, f"it holds {n_found} of {n_written} reads")


def _lost(path: Path, problem: str) -> OutputError:
    message = f"{path}: was not written whole ({problem}); is the disk full?"
    return OutputError(message, hint="free some space, then give the same command again")


class _Blow5Writer:
    def __init__(self, path: Path, origin: Origin) -> None:
        import pyslow5

        logging.getLogger("pyslow5").setLevel(logging.ERROR)  # it warns of every header left empty
        self._origin = origin
        self._file = pyslow5.Open(str(path), "w")
        header = self._file.get_empty_header()
        header.update(
            asic_id=origin.sample,
            experiment_type="rna",
            exp_start_time=_START.isoformat(),
            flow_cell_id="simulated",
            flow_cell_product_code=origin.flow_cell,
            run_id=origin.sample,
            sample_frequency=str(origin.sampling_rate_hz),
            sample_id=origin.sample,
            sequencing_kit=origin.kit,
        )
        self._file.write_header({name: value for name, value in header.items() if value is not None})

    def write(self, reads: ReadBatch) -> None:
        records: dict[str, dict[str, Any]] = {}
        for i, read_id in enumerate(reads.read_ids):
            signal = reads.signal[i]
            records[read_id] = {
                "read_id": read_id,
                "read_group": 0,
                "digitisation": float(self._origin.digitisation),
                "offset": float(reads.offset_adc[i]),
                "range": float(reads.scale_pa[i]) * self._origin.digitisation,
                "sampling_rate": float(reads.sampling_rate_hz),
                "len_raw_signal": len(signal),
                "signal": signal,
            }
        self._file.write_record_batch(records, threads=1)

    def close(self) -> None:
        self._file.close()


class _Pod5Writer:
    def __init__(self, path: Path, origin: Origin) -> None:
        import pod5

        self._file = pod5.Writer(path, software_name="baleen")
        self._n_written = 0
        self._run_info = pod5.RunInfo(
            acquisition_id=origin.sample,
            acquisition_start_time=_START,
            adc_max=origin.adc_min + origin.digitisation - 1,
            adc_min=origin.adc_min,
            context_tags={"experiment_type": "rna", "sample_frequency": str(origin.sampling_rate_hz)},
            experiment_name="simulated",
            flow_cell_id="simulated",
            flow_cell_product_code=origin.flow_cell,
            protocol_name="",
            protocol_run_id="",
            protocol_start_time=_START,
            sample_id=origin.sample,
            sample_rate=origin.sampling_rate_hz,
            sequencing_kit=origin.kit,
            sequencer_position="",
            sequencer_position_type="",
            software="baleen",
            system_name="",
            system_type="",
            tracking_id={"sample_id": origin.sample},
        )

    def write(self, reads: ReadBatch) -> None:
        import pod5

        first = self._n_written
        self._file.add_reads(
            [
                pod5.Read(
                    read_id=uuid.UUID(read_id),
                    pore=pod5.Pore(channel=1, well=1, pore_type=""),
                    calibration=pod5.Calibration(
                        offset=float(reads.offset_adc[i]), scale=float(reads.scale_pa[i])
                    ),
                    read_number=first + i,
                    start_sample=0,
                    median_before=200.0,
                    end_reason=pod5.EndReason(pod5.EndReasonEnum.SIGNAL_POSITIVE, forced=False),
                    run_info=self._run_info,
                    signal=reads.signal[i],
                )
                for i, read_id in enumerate(reads.read_ids)
            ]
        )
        self._n_written += len(reads)

    def close(self) -> None:
        self._file.close()


def _fastq(reads: ReadBatch, alphabet: Alphabet) -> str:
    return "".join(
        f"@{read_id}\n{_text(reads.sequence[i]).replace('T', alphabet)}\n+\n{_text(reads.quality[i] + 33)}\n"
        for i, read_id in enumerate(reads.read_ids)
    )


def _text(codes: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    return codes.tobytes().decode("ascii")


def _bam_header(origin: Origin) -> dict[str, Any]:
    model = f"basecall_model={origin.basecall_model}"
    return {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": name, "LN": length_bp} for name, length_bp in origin.contigs],
        "RG": [{"ID": origin.sample, "SM": origin.sample, "PL": "ONT", "DS": model}],
        "PG": [{"ID": "simulate", "PN": "baleen"}],
    }


def _bam_record(
    reads: ReadBatch, i: int, header: pysam.AlignmentHeader, origin: Origin
) -> pysam.AlignedSegment:
    record = pysam.AlignedSegment(header)
    record.query_name = reads.read_ids[i]
    record.flag = 16 if reads.is_reverse[i] else 0
    record.reference_id = header.get_tid(reads.contig)
    record.reference_start = int(reads.ref_start[i])
    record.mapping_quality = int(reads.mapq[i])
    record.cigartuples = [(int(code) & 15, int(code) >> 4) for code in reads.cigar[i]]
    record.query_sequence = _text(reads.sequence[i])
    record.query_qualities = array.array("B", reads.quality[i].tobytes())
    record.set_tag("RG", origin.sample)
    if reads.move_stride[i]:
        record.set_tag("ns", len(reads.signal[i]), "i")
        record.set_tag("ts", int(reads.trimmed_samples[i]), "i")
        moves = np.concatenate(([reads.move_stride[i]], reads.moves[i])).astype(np.int8)
        record.set_tag("mv", array.array("b", moves.tobytes()))
    return record
