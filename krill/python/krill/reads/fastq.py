"""Read names from FASTQ files, plain or gzipped; the format is checked record by record."""

import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from krill.errors import FormatError
from krill.reads.keys import Keys, read_keys

_GZIP_START = b"\x1f\x8b"
_BLOCK_READS = 65536


def fastq_keys(path: Path) -> Iterator[tuple[Keys, dict[bytes, str]]]:
    """Return the keys of a file's reads in blocks, and the names of those that were hashed.

    Raises
    ------
    FormatError
        If the file is missing, cut short, or not FASTQ.
    """
    names = _names(path)
    while block := list(islice(names, _BLOCK_READS)):
        yield read_keys(block)


def _names(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(len(_GZIP_START)) == _GZIP_START
            raw.seek(0)
            yield from _parse(path, gzip.GzipFile(fileobj=raw) if is_gzip else raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(path, f"is cut short or damaged: {error}", hint=f"gzip -t {path}") from error
    except OSError as error:
        raise FormatError(path, f"cannot be read: {error.strerror or error}") from error


def _parse(path: Path, lines: BinaryIO | gzip.GzipFile) -> Iterator[str]:
    number = 0
    while header := lines.readline():
        sequence, plus, quality = lines.readline(), lines.readline(), lines.readline()
        whole = header[:1] == b"@" and plus[:1] == b"+" and quality
        if not whole or len(sequence.rstrip()) != len(quality.rstrip()):
            problem = f"is cut short or not FASTQ at line {number + 1} (four lines per read are read)"
            raise FormatError(path, problem, hint=f"copy the file again, or: seqkit sanitize {path}")
        fields = header[1:].split(maxsplit=1)
        if not fields:
            raise FormatError(path, f"has a read without a name at line {number + 1}")
        yield fields[0].decode("utf-8", "surrogateescape")
        number += 4
