"""The reference: its contigs, whether the BAM files agree with it, which contigs are asked for."""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baleen.data import I32, U8
from baleen.errors import InputError, MismatchError, UsageError

_GZIP_START = b"\x1f\x8b"
_BASES = np.zeros(256, np.uint8)
for _code in b"ACGTRYSWKMBDHVN":
    for _given in (_code, ord(chr(_code).lower())):
        _BASES[_given] = _code if _code in b"ACGT" else ord("N")
_BASES[list(b"Uu")] = ord("T")
_GENOME = re.compile(r"^(chr)?([0-9]{1,2}|[XYM]|MT|[IVX]+)$|^NC_")
_SHOWN = 5


@dataclass(frozen=True)
class Reference:
    """Names and lengths of a FASTA file's contigs, in file order.

    Parameters
    ----------
    path
        The file, plain or gzipped.
    lengths_bp
        Length of each contig by name.
    """

    path: Path
    lengths_bp: Mapping[str, int]

    @classmethod
    def open(cls, path: Path) -> "Reference":
        """Go through a FASTA file once.

        Raises
        ------
        InputError
            If the file is missing, damaged, not FASTA, or names a contig twice.
        """
        lengths: dict[str, int] = {}
        for name, sequence in read_fasta(path):
            if name in lengths:
                raise InputError(path, f"names contig {name!r} twice", hint=f"seqkit rmdup -n {path}")
            lengths[name] = len(sequence)
        if not lengths:
            hint = f"a FASTA file begins with '>'; see: head -c 100 {path}"
            raise InputError(path, "holds no contig", hint=hint)
        return cls(path, lengths)

    def numbers(self, names: Sequence[str]) -> I32:
        """Return the place of each name among the contigs, -1 where it is none of them."""
        number_of = {name: i for i, name in enumerate(self.lengths_bp)}
        return np.array([number_of.get(name, -1) for name in names], np.int32)

    def check_bam(self, bam: Path, contigs: Mapping[str, int]) -> None:
        """Raise ``MismatchError`` unless these contigs of a BAM are in the FASTA, equally long."""
        absent = [name for name in contigs if name not in self.lengths_bp]
        other = [
            f"{name} ({length} in the BAM, {self.lengths_bp[name]} in the FASTA)"
            for name, length in contigs.items()
            if self.lengths_bp.get(name, length) != length
        ]
        if not absent and not other:
            return
        shown = [f"{name} (not in the FASTA)" for name in absent[:_SHOWN]] + other
        problem = (
            f"does not fit {self.path}: {len(absent) + len(other)} of {len(contigs)} contigs with reads "
            f"differ: {', '.join(shown[:_SHOWN])}{self._kinds(absent)}"
        )
        hint = f"align to it: minimap2 -ax map-ont -uf -k14 {self.path} READS.fastq | samtools sort -o {bam}"
        raise MismatchError(bam, problem, hint=hint)

    def _kinds(self, absent: Sequence[str]) -> str:
        bam, fasta = _kind(absent), _kind(list(self.lengths_bp))
        return (
            ""
            if not absent or bam == fasta
            else f"; the BAM looks aligned to a {bam}, the FASTA is a {fasta}"
        )

    def sequences(self, names: set[str]) -> dict[str, U8]:
        """Return the sequences of these contigs: upper-case ASCII, U as T, ambiguous bases as N."""
        return {
            name: _BASES[np.frombuffer(sequence, np.uint8)]
            for name, sequence in read_fasta(self.path)
            if name in names
        }


def _kind(names: Sequence[str]) -> str:
    return "genome" if sum(bool(_GENOME.match(name)) for name in names) * 2 > len(names) else "transcriptome"


def read_fasta(path: Path) -> Iterator[tuple[str, bytes]]:
    """Return name and bases of each contig of a FASTA file, plain or gzipped."""
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(len(_GZIP_START)) == _GZIP_START
            raw.seek(0)
            yield from _parse(path, gzip.GzipFile(fileobj=raw) if is_gzip else raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, f"is cut short or damaged: {error}", hint=f"gzip -t {path}") from error
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}") from error


def _parse(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    name: str | None = None
    parts: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith(b">"):
            if name is not None:
                yield name, b"".join(parts)
            fields = line[1:].split(maxsplit=1)
            if not fields:
                raise InputError(path, f"line {number}: a contig without a name")
            name, parts = fields[0].decode("utf-8", "surrogateescape"), []
            continue
        bases = line.strip()
        if not bases:
            continue
        if name is None or not _BASES[np.frombuffer(bases, np.uint8)].all():
            problem = f"is not FASTA: line {number} is {bases[:30]!r}"
            raise InputError(path, problem, hint=f"file {path}")
        parts.append(bases)
    if name is not None:
        yield name, b"".join(parts)


def chosen_contigs(target: Sequence[str], reference: Reference) -> set[str] | None:
    """Return the contigs that ``--target`` asks for, None = all.

    Parameters
    ----------
    target
        Names, or files with one name (or the first column of a BED) per line.

    Raises
    ------
    UsageError
        If a name is neither a contig of the reference nor a file.
    InputError
        If a file is no text or names nothing.
    """
    if not target:
        return None
    chosen: set[str] = set()
    for item in target:
        if item in reference.lengths_bp:
            chosen.add(item)
        elif Path(item).is_file():
            chosen |= _listed(Path(item))
        else:
            message = f"--target: {item!r} is neither a contig of {reference.path} nor a file"
            raise UsageError(message, hint=f"grep '>' {reference.path}")
    unknown = sorted(chosen - set(reference.lengths_bp))
    if unknown:
        message = f"--target: {len(unknown)} names are not in {reference.path}: {', '.join(unknown[:_SHOWN])}"
        raise UsageError(message)
    return chosen


def _listed(path: Path) -> set[str]:
    """Return the first column of a file of names.

    Raises
    ------
    InputError
        If it is no text, or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"--target: cannot be read as a list of contigs: {error}"
        raise InputError(path, problem, hint="a file with a name on each line, or a BED file") from error
    names = {line.split("\t")[0].strip() for line in lines if line.strip()}
    if not names:
        raise InputError(path, "--target: names no contig")
    return names
