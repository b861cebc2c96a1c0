"""Pore models: the current expected for each k-mer."""

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from krill.errors import FormatError
from krill.pore_model_file import (
    LEAST_LIKENESS,
    STANDARDISED_BELOW,
    LevelTable,
    find_register,
    read_table,
    reverse_kmers,
)

SHIPPED = ("rna002", "rna004")

PA_OF_STANDARDISED = {"rna002": (18.515392, 92.076195), "rna004": (17.55, 84.02)}
"""Picoampere per standard deviation and at zero of ONT's standardised tables."""


@dataclass(frozen=True)
class PoreModel:
    """Expected current of every k-mer.

    Parameters
    ----------
    name
        Chemistry or file the levels come from.
    kmer_size
        Bases per k-mer.
    center
        Index of the base under test in the k-mer: an event of the k-mer that starts
        at reference index ``s`` is reported at position ``s + center``.
    level_mean, level_stdv
        Picoampere, float32, shape ``(4 ** kmer_size,)``; the index is the k-mer, 5' to 3',
        read as a base-4 number (A 0, C 1, G 2, T 3; first base most significant).
    """

    name: str
    kmer_size: int
    center: int
    level_mean: npt.NDArray[np.float32]
    level_stdv: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        for field in ("level_mean", "level_stdv"):
            levels = np.ascontiguousarray(getattr(self, field), dtype=np.float32)
            object.__setattr__(self, field, levels)
            if levels.shape != (4**self.kmer_size,):
                msg = (
                    f"{field} of a {self.kmer_size}-mer model needs {4**self.kmer_size} levels, "
                    f"not {levels.shape}"
                )
                raise ValueError(msg)
            if not np.isfinite(levels).all():
                n_bad = int(np.sum(~np.isfinite(levels)))
                msg = f"{field} of pore model {self.name} holds {n_bad} levels that are not finite"
                raise ValueError(msg)
        if not 0 <= self.center < self.kmer_size:
            msg = f"center {self.center} lies outside a {self.kmer_size}-mer"
            raise ValueError(msg)

    @cached_property
    def noise_pa(self) -> float:
        """Typical standard deviation of a sample around its k-mer's level, picoampere."""
        return float(np.median(self.level_stdv))

    @classmethod
    def shipped(cls, name: str) -> Self:
        """Return a model that comes with the engine: ``rna002`` (5-mer) or ``rna004`` (9-mer)."""
        if name not in SHIPPED:
            msg = f"no pore model {name!r} is shipped; there are {', '.join(SHIPPED)}"
            raise ValueError(msg)
        with (files("krill") / "models" / f"{name}.npz").open("rb") as handle:
            table = np.load(handle)
            unit, zero = float(table["pa_per_unit"]), float(table["pa_at_zero"])
            return cls(
                name=name,
                kmer_size=int(table["kmer_size"]),
                center=int(table["center"]),
                level_mean=table["level"].astype(np.float32) * np.float32(unit) + np.float32(zero),
                level_stdv=table["stdv"].astype(np.float32) * np.float32(unit),
            )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model from a file: npz, CSV (xPore), ``.model`` (f5c, nanopolish), ONT levels.

        Direction of the k-mers and place of the base under test are found by comparison with the
        shipped models; a table written 3' to 5' is turned.

        Raises
        ------
        FormatError
            If the file is no pore model, or one of DNA or of a pore that is not known.
        """
        path = Path(path)
        table = read_table(path)
        found = []
        for name in SHIPPED:
            known = cls.shipped(name)
            reference = LevelTable(known.kmer_size, known.level_mean.astype(np.float64), None)
            found.append((find_register(table, reference, known.center), known))
        register, known = max(found, key=lambda pair: pair[0].likeness)
        if register.likeness < LEAST_LIKENESS:
            problem = f"its levels are not those of RNA in a known pore (likeness {register.likeness:.2f})"
            raise FormatError(path, problem, hint="a direct RNA model, k-mers in A C G T or U")
        level, stdv = table.level, table.stdv
        if register.is_reversed:
            level = reverse_kmers(level, table.kmer_size)
            stdv = None if stdv is None else reverse_kmers(stdv, table.kmer_size)
        unit, zero = PA_OF_STANDARDISED[known.name] if level.std() < STANDARDISED_BELOW else (1.0, 0.0)
        spread = np.full(len(level), known.noise_pa) if stdv is None else stdv * unit
        return cls(
            name=path.stem,
            kmer_size=table.kmer_size,
            center=register.center,
            level_mean=(level * unit + zero).astype(np.float32),
            level_stdv=spread.astype(np.float32),
        )

    def likeness(self, name: str) -> float:
        """Return how like a shipped model's the effects of bases on the level are; 1 = the same."""
        known = type(self).shipped(name)
        table, reference = (
            LevelTable(model.kmer_size, model.level_mean.astype(np.float64), None) for model in (self, known)
        )
        return find_register(table, reference, known.center).likeness

    def kmer_codes(self, sequence: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the code of every k-mer of an ASCII sequence, -1 where a base is ambiguous.

        Parameters
        ----------
        sequence
            Upper-case ASCII bases, U or T, uint8, shape ``(n,)``.

        Returns
        -------
        int64, shape ``(max(0, n - kmer_size + 1),)``.
        """
        digit = np.full(256, -1, np.int64)
        for code, bases in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
            digit[list(bases)] = code
        digits = digit[sequence]
        n = max(0, len(sequence) - self.kmer_size + 1)
        codes = np.zeros(n, np.int64)
        valid = np.ones(n, bool)
        for i in range(self.kmer_size):
            codes = codes * 4 + digits[i : i + n]
            valid &= digits[i : i + n] >= 0
        return np.where(valid, codes, -1)
