"""The pump from Python: the same reads whatever the strategy, the lock and the sink."""

import gzip
import os
import threading
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krill.errors import FormatError
from krill.pump import PumpSettings, check, copy, pad, unpad

STRATEGIES = ["O", "D", "B", "K", "A"]
LOCKS = ["os", "ttas", "ticket", "mcs", "mcs-park", "cohort"]
SINKS = ["single", "striped:2", "slices", "ordered"]


def fastq(n_reads: int) -> bytes:
    return b"".join(
        b"@r%d x\n%s\n+\n%s\n" % (i, b"ACGU" * (i % 9), b"@+I!" * (i % 9)) for i in range(n_reads)
    )


def records(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return sorted(b"\n".join(lines[i : i + 4]) for i in range(0, len(lines) - 1, 4))


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("parsing", STRATEGIES)
def test_every_strategy_lock_and_sink_gives_the_same_reads(tmp_path: Path, parsing: str, lock: str) -> None:
    text = fastq(500)
    source, target = tmp_path / "reads.fq", tmp_path / "copy.fq"
    source.write_bytes(text)
    for sink in SINKS:
        way = PumpSettings(threads=3, parsing=parsing, lock=lock, output=sink, batch_bytes=2000)
        report = copy([source], target, way)
        assert (500, records(text)) == (report.n_reads, records(target.read_bytes()))
        if sink == "ordered":
            assert text == target.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.fq", "reads.fq"]


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), max_size=30),
    block=st.integers(1, 300),
    threads=st.integers(1, 3),
    ends=st.booleans(),
)
def test_compressed_text_gives_the_reads_of_plain_text(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], block: int, threads: int, ends: bool
) -> None:
    folder = tmp_path_factory.mktemp("pump")
    text = b"".join(b"@%d\n%s\n+\n%s\n" % (i, b"A" * n, b"@" * n) for i, n in enumerate(lengths))
    source, target = folder / "reads.fq.gz", folder / "copy.fq"
    source.write_bytes(gzip.compress(text if ends or not text else text[:-1]))
    copy([source], target, PumpSettings(threads=threads, output="ordered", batch_bytes=block))
    assert text == target.read_bytes()


@pytest.mark.parametrize("n_zeros", [1, 17, 18, 300_000])
@pytest.mark.parametrize("parsing", ["K", "B"])
def test_zeros_behind_compressed_reads_are_padding(tmp_path: Path, n_zeros: int, parsing: str) -> None:
    text, source, target = fastq(3000), tmp_path / "reads.fq.gz", tmp_path / "copy.fq"
    settings = PumpSettings(threads=2, output="ordered", parsing=parsing)
    for packed in [gzip.compress(text), blocked(text, tmp_path)]:
        source.write_bytes(packed + bytes(n_zeros))
        copy([source], target, settings)
        assert text == target.read_bytes()
        source.write_bytes(packed + bytes(n_zeros) + b"@read")
        with pytest.raises(FormatError, match=r"reads\.fq\.gz"):
            copy([source], target, settings)


def test_plain_gzip_behind_bgzip_comes_with_the_command_that_mends_it(tmp_path: Path) -> None:
    source = tmp_path / "reads.fq.gz"
    first = blocked(fastq(10), tmp_path)
    source.write_bytes(first + gzip.compress(fastq(10)))
    problem = rf"is bgzip up to byte {len(first)} and plain gzip from there on\nhint: gzip -dc .*reads.fq.gz"
    with pytest.raises(FormatError, match=problem):
        copy([source], None, PumpSettings(threads=1))


def blocked(text: bytes, folder: Path) -> bytes:
    """Compress as bgzip does."""
    with pysam.BGZFile(str(folder / "blocked.gz"), "wb") as file:
        file.write(text)
    return (folder / "blocked.gz").read_bytes()


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    text, pipe, target = fastq(300), tmp_path / "pipe", tmp_path / "copy.fq"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(text,))
    writer.start()
    copy([pipe], target, PumpSettings(threads=2, output="ordered", batch_bytes=999))
    writer.join()
    assert text == target.read_bytes()


def test_damage_names_the_file_and_the_place(tmp_path: Path) -> None:
    source = tmp_path / "reads.fq"
    source.write_bytes(b"@a\nACGT\n+\nIIII\n@b\nACGT\n+\nII")
    for parsing in STRATEGIES:
        with pytest.raises(FormatError, match=r"reads\.fq: record at byte 15 has 4 bases but 2 qualities"):
            copy([source], None, PumpSettings(threads=1, parsing=parsing))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.fq"):
        copy([tmp_path / "none.fq"], None, PumpSettings(threads=1))


def test_a_setting_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='--lock: "spin" is not one of auto, os, ttas'):
        copy([tmp_path / "none.fq"], None, PumpSettings(lock="spin"))


def mate(number: int) -> bytes:
    reads = (b"@r%d/%d\n%s\n+\n%s\n" % (i, number, b"A" * (i % 50), b"I" * (i % 50)) for i in range(99))
    return b"".join(reads)


def test_padding_can_be_checked_and_taken_out(tmp_path: Path) -> None:
    mates = [tmp_path / "1.fq", tmp_path / "2.fq"]
    for number, path in enumerate(mates, 1):
        path.write_bytes(mate(number))
    padded = [tmp_path / "p1.fq", tmp_path / "p2.fq"]
    layout = pad(mates, padded, 512)
    assert (layout.block_bytes, layout.n_reads) == (512, 99)
    assert padded[0].stat().st_size // 512 == padded[1].stat().st_size // 512
    assert layout == check(padded[0]) == check(padded[1])
    unpadded = [tmp_path / "u1.fq", tmp_path / "u2.fq"]
    assert unpad(padded, unpadded) == 99
    assert [m.read_bytes() for m in mates] == [u.read_bytes() for u in unpadded]


def test_a_padded_file_that_was_changed_is_found(tmp_path: Path) -> None:
    source, padded = tmp_path / "reads.fq", tmp_path / "padded.fq"
    source.write_bytes(fastq(200))
    pad([source], [padded], 400)
    padded.write_bytes(padded.read_bytes().replace(b"  ", b" ", 1) + b"\n")
    with pytest.raises(FormatError, match=r"padded\.fq: record at byte 399"):
        check(padded)
