"""A tiny run's input files: two contigs, native and control, written in milliseconds."""

import functools
import struct
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pysam
import pytest

from baleen.inputs import SampleFiles

N_READS = 20
LENGTH_BP = 60
RNA004_HEADER = {
    "experiment_type": "rna",
    "flow_cell_product_code": "FLO-PRO004RA",
    "sample_frequency": "4000",
    "sequencing_kit": "sqk-rna004",
}


def svb_zd(samples: np.ndarray) -> bytes:
    """Compress samples as BLOW5 files do."""
    differences = np.diff(np.asarray(samples, np.int64), prepend=0)
    codes = np.where(differences >= 0, 2 * differences, -2 * differences - 1)
    lengths = [max(1, (int(code).bit_length() + 7) // 8) for code in codes]
    keys = bytearray((len(codes) + 3) // 4)
    for i, length in enumerate(lengths):
        keys[i // 4] |= (length - 1) << 2 * (i % 4)
    data = b"".join(int(code).to_bytes(length, "little") for code, length in zip(codes, lengths, strict=True))
    return struct.pack("<I", len(codes)) + bytes(keys) + data


def blow5_record(
    name: str,
    samples: np.ndarray,
    *,
    rate: float = 4000.0,
    digitisation: float = 2048.0,
    compressed: bool = True,
) -> bytes:
    """Return the bytes of one record, before the compression of records."""
    stored = svb_zd(samples) if compressed else samples.astype("<i2").tobytes()
    encoded = name.encode()
    n = len(stored) if compressed else len(samples)
    numbers = struct.pack("<I4dQ", 0, digitisation, -259.0, 299.4, rate, n)
    return struct.pack("<H", len(encoded)) + encoded + numbers + stored


def write_blow5(
    path: Path,
    records: list[bytes],
    header: dict[str, str] | None = None,
    *,
    methods: tuple[int, int] = (1, 1),
) -> Path:
    """Write a BLOW5 file of zlib-compressed records; ``methods`` is what its header claims."""
    text = "".join(f"@{key}\t{value}\n" for key, value in (header or RNA004_HEADER).items())
    text += "#char*\tuint32_t\tdouble\tdouble\tdouble\tdouble\tuint64_t\tint16_t*\n"
    text += "#read_id\tread_group\tdigitisation\toffset\trange\tsampling_rate\tlen_raw_signal\traw_signal\n"
    head = struct.pack("<6s3BBIB49sI", b"BLOW5\1", 0, 2, 0, methods[0], 1, methods[1], b"", len(text))
    pack = {0: bytes, 1: zlib.compress, 2: functools.partial(pa.compress, codec="zstd", asbytes=True)}
    packed = [pack[methods[0]](record) for record in records]
    body = b"".join(struct.pack("<Q", len(record)) + record for record in packed)
    path.write_bytes(head + text.encode() + body + b"5WOLB")
    return path


@dataclass
class TinyRun:
    """Paths of a run's files; tests spoil one of them and see what is said."""

    folder: Path
    reference: Path = field(init=False)
    contigs: dict[str, str] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(1)
        self.reference = self.folder / "ref.fa"
        for contig in ("tx1", "tx2"):
            self.contigs[contig] = "".join(rng.choice(list("ACGT"), LENGTH_BP))
        self.write_reference()
        for condition in ("native", "ivt"):
            self.names[condition] = [
                str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(2 * N_READS)
            ]
            self.write_bam(condition)
            self.write_signal(condition)
            self.write_fastq(condition)

    def path(self, condition: str, suffix: str) -> Path:
        """Return the path of one of the files."""
        return self.folder / f"{condition}.{suffix}"

    def write_reference(self) -> None:
        self.reference.write_text("".join(f">{name} x\n{seq}\n" for name, seq in self.contigs.items()))

    def write_bam(
        self,
        condition: str,
        *,
        contigs: dict[str, str] | None = None,
        order: str = "coordinate",
        index: bool = True,
        names: list[str] | None = None,
        flag: int = 0,
        tags: dict[str, object] | None = None,
    ) -> Path:
        """Write the reads' alignments: reads i of contig 0, then N_READS reads of contig 1."""
        path = self.path(condition, "bam")
        contigs = contigs or self.contigs
        header = {
            "HD": {"VN": "1.6", "SO": order},
            "SQ": [{"SN": name, "LN": len(seq)} for name, seq in contigs.items()],
        }
        with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
            for i, name in enumerate(names or self.names[condition]):
                record = pysam.AlignedSegment(bam.header)
                record.query_name, record.flag = name, flag
                record.reference_id, record.reference_start = min(i // N_READS, len(contigs) - 1), 0
                record.mapping_quality = 60
                sequence = list(contigs.values())[record.reference_id]
                record.query_sequence = sequence
                record.cigartuples = [(0, len(sequence))]
                for tag, value in (tags or {}).items():
                    record.set_tag(tag, value)
                bam.write(record)
        path.with_suffix(".bam.bai").unlink(missing_ok=True)
        if index:
            pysam.index(str(path))
        return path

    def write_signal(
        self,
        condition: str,
        *,
        header: dict[str, str] | None = None,
        names: list[str] | None = None,
        methods: tuple[int, int] = (1, 1),
        signals: dict[str, np.ndarray] | None = None,
        **kwargs: float,
    ) -> Path:
        """Write a BLOW5 file: these signals, or 600 samples of noise per read."""
        rng = np.random.default_rng(2)
        names = list(signals or names or self.names[condition])
        rows = signals or {name: rng.normal(700, 60, 600) for name in names}
        records = [
            blow5_record(name, rows[name].astype(np.int16), compressed=methods[1] == 1, **kwargs)
            for name in names
        ]
        return write_blow5(self.path(condition, "blow5"), records, header, methods=methods)

    def write_fastq(self, condition: str, names: list[str] | None = None) -> Path:
        """Write the reads in the U alphabet."""
        path = self.path(condition, "fastq")
        path.write_text("".join(f"@{name} x\nACGU\n+\nIIII\n" for name in names or self.names[condition]))
        return path

    def samples(self, *, fastq: bool = False) -> tuple[SampleFiles, ...]:
        """Return both samples."""
        return tuple(
            SampleFiles(
                name=condition,
                is_native=condition == "native",
                bam=(self.path(condition, "bam"),),
                signal=(self.path(condition, "blow5"),),
                fastq=(self.path(condition, "fastq"),) if fastq else (),
            )
            for condition in ("native", "ivt")
        )

    def arguments(self) -> list[str]:
        """Return the options that name these files."""
        found = ["--ref", str(self.reference)]
        for condition in ("native", "ivt"):
            for kind in ("bam", "blow5"):
                found += [f"--{condition}-{kind}", str(self.path(condition, kind))]
        return found

    def check(self, *more: str) -> "subprocess.CompletedProcess[str]":
        """Run ``baleen check`` on these files in a process of its own."""
        command = [sys.executable, "-m", "baleen", "check", *self.arguments(), *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def tiny_run(tmp_path: Path) -> TinyRun:
    """Input files of a tiny run."""
    folder = tmp_path / "in"
    folder.mkdir()
    return TinyRun(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 96 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a small filesystem here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
