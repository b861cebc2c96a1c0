"""Truncated and bit-flipped files end in an error or give the whole content: no crash, no hang, no half."""

import gzip
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECONDS = 20
READ = Path(__file__).with_name("damaged_reader.py")
FILES = {
    "blow5": "real/formats/test.blow5",
    "pod5": "real/formats/test.pod5",
    "bam": "real/ecoli_rrna/ivt.bam",
    "fastq": "real/formats/reads.fastq",
    "fastq.gz": "real/formats/reads.fastq",
}
FUZZ = settings(
    max_examples=int(os.environ.get("BALEEN_FUZZ_EXAMPLES", "40")),
    deadline=None,
    derandomize="BALEEN_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Reader:
    """A process that reads files, so that a crash of it is seen and not shared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(READ)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self, data: bytes, suffix: str) -> dict[str, Any]:
        path = self.folder / f"spoilt.{suffix}"
        path.write_bytes(data)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{path}\n")
        stdin.flush()
        ready, _, _ = select.select([stdout], [], [], SECONDS)
        assert ready, "the reader hangs"
        line = stdout.readline()
        assert line, f"the reader died with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    found = Reader(tmp_path_factory.mktemp("spoilt"))
    yield found
    found.close()


def whole(shared_data: Path, suffix: str) -> bytes:
    data = (shared_data / FILES[suffix]).read_bytes()
    return gzip.compress(data, mtime=0) if suffix.endswith(".gz") else data


def check(answer: dict[str, Any], expected: dict[str, Any], suffix: str) -> None:
    if "error" in answer:
        assert f"spoilt.{suffix}" in answer["error"]
    else:
        assert answer == expected


@pytest.mark.parametrize("suffix", ["blow5", "pod5", "bam", "fastq.gz"])
@FUZZ
@given(share=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_an_error(shared_data, reader, suffix, share) -> None:
    data = whole(shared_data, suffix)
    answer = reader.read(data[: int(share * len(data))], suffix)
    # A gzip file cut to nothing is an empty FASTQ file; nothing else passes.
    assert "error" in answer or (suffix == "fastq.gz" and answer["n"] == 0)


@FUZZ
@given(share=st.floats(0, 1))
def test_a_truncated_plain_fastq_is_an_error_or_ends_with_a_whole_read(shared_data, reader, share) -> None:
    data = whole(shared_data, "fastq")
    kept = data[: int(share * len(data))]
    answer = reader.read(kept, "fastq")
    assert "error" in answer or answer["n"] == (kept.count(b"\n") + 1) // 4


@pytest.mark.parametrize("suffix", ["blow5", "pod5", "bam", "fastq.gz"])
@FUZZ
@given(data=st.data())
def test_flipped_bits_are_an_error_or_do_no_harm(shared_data, reader, suffix, data) -> None:
    content = bytearray(whole(shared_data, suffix))
    expected = reader.read(bytes(content), suffix)
    # Structure lies at both ends of these files; most flips go there.
    near_start = st.integers(0, min(4000, len(content) - 1))
    near_end = near_start.map(lambda distance: len(content) - 1 - distance)
    place = st.one_of(near_start, near_end, st.integers(0, len(content) - 1))
    for at, bit in data.draw(st.lists(st.tuples(place, st.integers(0, 7)), min_size=1, max_size=4)):
        content[at] ^= 1 << bit
    check(reader.read(bytes(content), suffix), expected, suffix)
