"""Read pore models that others have written, and find out which way round they are."""

import csv
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from krill.errors import FormatError

F64 = npt.NDArray[np.float64]

LEVEL_COLUMNS = ("level_mean", "model_mean", "level_mean_pa", "level_pa", "level")
STDV_COLUMNS = ("level_stdv", "model_stdv", "level_stdv_pa", "stdv_pa", "stdv")
KMER_COLUMNS = ("kmer", "model_kmer")

LEAST_LIKENESS = 0.8
"""Below this, the effects of bases on the current are not those of RNA in a known pore."""

STANDARDISED_BELOW = 5.0
"""A table whose levels spread less than this (picoampere) is in standard deviations."""


@dataclass(frozen=True)
class LevelTable:
    """Levels as a file has them: index = k-mer as a base-4 number; ``stdv`` is None if not given."""

    kmer_size: int
    level: F64
    stdv: F64 | None


@dataclass(frozen=True)
class Register:
    """How a table lies against a known one: turned or not, and where the base under test is."""

    likeness: float
    is_reversed: bool
    center: int


def read_table(path: Path) -> LevelTable:
    """Read a table of any known format: npz, CSV, f5c or nanopolish ``.model``, ONT levels.

    Raises
    ------
    FormatError
        If the file is none of these or lacks k-mers.
    """
    if path.suffix == ".npz":
        return _read_npz(path)
    try:
        rows = list(_rows(path))
    except (OSError, UnicodeDecodeError) as error:
        hint = "give a table of k-mers and levels: .model, CSV, ONT levels, npz"
        reason = "not text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise FormatError(path, f"cannot be read: {reason}", hint=hint) from error
    sizes = {len(kmer) for kmer, _, _ in rows}
    if len(sizes) != 1:
        problem = "no k-mers in it" if not rows else f"k-mers of different lengths: {sorted(sizes)}"
        raise FormatError(path, problem)
    k = sizes.pop()
    level, stdv = np.full(4**k, np.nan), np.full(4**k, np.nan)
    for kmer, mean, spread in rows:
        code = _kmer_code(kmer)
        level[code], stdv[code] = mean, spread
    if np.isnan(level).any():
        raise FormatError(path, f"{np.isnan(level).sum()} of {4**k} {k}-mers are missing")
    return LevelTable(k, level, None if np.isnan(stdv).any() else stdv)


def _read_npz(path: Path) -> LevelTable:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            columns = {name.lower(): np.asarray(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(path, f"not an npz file ({error})") from error
    level = next((columns[name] for name in LEVEL_COLUMNS if name in columns), None)
    if level is None:
        raise FormatError(
            path, f"no level column: needs {' or '.join(LEVEL_COLUMNS)}, has {', '.join(columns)}"
        )
    k = round(np.log2(max(level.size, 1)) / 2)
    if level.ndim != 1 or level.size != 4**k:
        raise FormatError(path, f"{level.size} levels are not 4 to the power of a k-mer size")
    unit, zero = (
        float(columns.get(name, default)) for name, default in (("pa_per_unit", 1), ("pa_at_zero", 0))
    )
    stdv = next((columns[name] for name in STDV_COLUMNS if name in columns), None)
    spread = None if stdv is None else np.broadcast_to(stdv.astype(np.float64) * unit, level.shape)
    return LevelTable(k, level.astype(np.float64) * unit + zero, spread)


def _rows(path: Path) -> Iterator[tuple[str, float, float]]:
    """Yield k-mer, level and standard deviation (NaN if there is none) of a text table."""
    columns = (0, 1, -1)
    with path.open(newline="", encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = next(csv.reader([line])) if "," in line else line.split()
            if not re.fullmatch("[ACGTUacgtu]+", fields[0]):
                columns = _columns(path, fields)
                continue
            try:
                spread = float(fields[columns[2]]) if columns[2] >= 0 else np.nan
                yield fields[columns[0]], float(fields[columns[1]]), spread
            except (IndexError, ValueError) as error:
                raise FormatError(
                    path, f"line {number} is no k-mer with its level: {line.strip()!r}"
                ) from error


def _columns(path: Path, header: list[str]) -> tuple[int, int, int]:
    names = [name.strip().lower() for name in header]

    def find(candidates: tuple[str, ...]) -> int:
        return next((names.index(name) for name in candidates if name in names), -1)

    kmer, level, stdv = find(KMER_COLUMNS), find(LEVEL_COLUMNS), find(STDV_COLUMNS)
    if kmer != 0 or level < 0:
        hint = "columns kmer, level_mean and, if known, level_stdv"
        raise FormatError(path, f"not a pore model: its columns are {', '.join(names[:8])}", hint=hint)
    return kmer, level, stdv


def _kmer_code(kmer: str) -> int:
    code = 0
    for base in kmer.upper().replace("U", "T"):
        code = code * 4 + "ACGT".index(base)
    return code


def reverse_kmers(level: F64, kmer_size: int) -> F64:
    """Return the table with every k-mer read backwards."""
    axes = level.reshape((4,) * kmer_size)
    return np.ascontiguousarray(axes.transpose()).reshape(-1)


def find_register(table: LevelTable, known: LevelTable, known_center: int) -> Register:
    """Return the direction and center of a table by its likeness to a known one.

    Notes
    -----
    Compared are the main effects (mean level given one base at one index), shifted against each
    other: tables of the same pore agree up to a shift and, where k-mers were written 3' to 5', a turn.
    """
    reference = _main_effects(known.level, known.kmer_size)
    best = Register(-1.0, is_reversed=False, center=0)
    for is_reversed in (False, True):
        level = reverse_kmers(table.level, table.kmer_size) if is_reversed else table.level
        effects = _main_effects(level, table.kmer_size)
        for shift in range(-table.kmer_size, known.kmer_size + 1):
            center = known_center - shift
            likeness = _likeness(effects, reference, shift)
            if 0 <= center < table.kmer_size and likeness > best.likeness:
                best = Register(likeness, is_reversed, center)
    return best


def _main_effects(level: F64, kmer_size: int) -> F64:
    """Mean level for each base at each index less the overall mean, shape ``(kmer_size, 4)``."""
    axes = level.reshape((4,) * kmer_size)
    others = [tuple(j for j in range(kmer_size) if j != i) for i in range(kmer_size)]
    effects: F64 = np.stack([axes.mean(axis=axis) for axis in others]) - level.mean()
    return effects


def _likeness(effects: F64, reference: F64, shift: int) -> float:
    """Cosine between effects whose index ``i`` is put on the reference's index ``i + shift``."""
    overlap = range(max(0, -shift), min(len(effects), len(reference) - shift))
    product = sum(float(effects[i] @ reference[i + shift]) for i in overlap)
    scale = float(np.linalg.norm(effects) * np.linalg.norm(reference))
    return product / scale if scale > 0 else 0.0
