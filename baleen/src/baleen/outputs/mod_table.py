"""The basecaller's own modification calls as tables: every position tested, and Baleen's events by name."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling import SIGNIFICANT, Inflation, Spread, SpreadPrior, fit_priors
from baleen.columns import EVENT_NAME_COLUMNS, MOD_COLUMNS, MOD_READ_COLUMNS
from baleen.outputs.adjusting import Adjustment
from baleen.outputs.site_table import write_site_table
from baleen.outputs.slices import slice_tables

NAMES = {
    "a": "m6A",
    "m": "m5C",
    "17596": "inosine",
    "17802": "pseudouridine",
    "19227": "2'-O-methyluridine",
    "19228": "2'-O-methylcytidine",
    "19229": "2'-O-methylguanosine",
    "69426": "2'-O-methyladenosine",
}
"""Names of modification codes: SAMtags, ChEBI."""

NAME_REACH = 1
"""An event has the name of a modification this many positions away."""

Table = Mapping[str, npt.NDArray[Any]]


class FoundMods(NamedTuple):
    """Rows that were tested, and the significant ones, contig by contig."""

    n_tested: int
    significant: list[Table]


class _Best(NamedTuple):
    """The modification that names an event."""

    padj: float
    position: int
    code: str


def merge_mods(path: Path, slices: Sequence[Path], comments: Sequence[str]) -> FoundMods:
    """Write the table of the basecaller's calls; return what it finds.

    Parameters
    ----------
    path
        The table.
    slices
        Slices that hold `ModTest` fields, in the order of the reference.
    comments
        Facts that hold for the whole table.
    """
    priors = fit_priors((_spread(table).counts(),) for table in slice_tables(slices))
    prior = priors[0] if priors else None
    p_values = (_finish(table, prior)["pvalue"] for table in slice_tables(slices))
    adjust = Adjustment.over(p_values, path.parent)
    significant: list[Table] = []

    def finished() -> Iterator[Table]:
        for table in slice_tables(slices):
            one = _finish(table, prior)
            one["padj"] = adjust(one["pvalue"])
            is_found = np.nan_to_num(one["padj"], nan=1.0) < SIGNIFICANT
            significant.append({name: column[is_found] for name, column in one.items()})
            yield one

    write_site_table(path, [column.name for column in MOD_COLUMNS], finished(), comments)
    return FoundMods(adjust.n_tested, significant)


def write_mod_reads(
    path: Path, slices: Sequence[Path], mods: Sequence[Table], comments: Sequence[str]
) -> None:
    """Write the reads at significant rows with probabilities corrected by the control.

    Parameters
    ----------
    path
        The table.
    slices
        Slices of reads, whose tables go with those of `merge_mods`.
    mods
        Its significant rows.

    Notes
    -----
    What the basecaller says of unmodified bases there, the control's mean ``c``, is what says
    nothing: a probability ``p`` is worth the ratio ``r = p (1 - c) / ((1 - p) c)``. With the
    corrected share ``s`` the read is modified with probability ``s r / (1 - s + s r)``.
    """

    def contigs() -> Iterator[Table]:
        for reads, found in zip(slice_tables(slices), mods, strict=True):
            places = zip(found["position"].tolist(), found["mod_code"].tolist(), strict=True)
            number = {key: row for row, key in enumerate(places)}
            codes = [code.decode() for code in reads["mod_code"].tolist()]
            keys = zip(reads["position"].tolist(), codes, strict=True)
            row = np.array([number.get(key, -1) for key in keys], np.int64)
            kept, at = {name: column[row >= 0] for name, column in reads.items()}, row[row >= 0]
            share, control = (
                np.clip(found[name][at], 0.005, 0.995) for name in ("mod_ratio", "control_probability")
            )
            p = np.clip(kept["probability"].astype(np.float64), 1 / 512, 1 - 1 / 512)
            log_odds = special.logit(share) + special.logit(p) - special.logit(control)
            yield {**kept, "corrected_probability": special.expit(log_odds)}

    write_site_table(path, [column.name for column in MOD_READ_COLUMNS], contigs(), comments)


def _spread(table: Table) -> Spread:
    names = ("freedom", "dispersion", "weight", "contrast_weight")
    return Spread(*(table[f"spread_{name}"] for name in names))


def _finish(table: Table, prior: SpreadPrior | None) -> dict[str, npt.NDArray[Any]]:
    """Return the table's columns, but for what the whole run decides."""
    n = len(table["position"])
    inflation = prior.inflation(_spread(table)) if prior is not None else Inflation.none(n)
    z = inflation.temper(table["z"], two_sided=False)
    native, control = table["native"], table["control"]
    scale = np.maximum(1 - control, 1e-3)
    corrected = (native - control) / scale
    reach = special.stdtrit(np.minimum(inflation.freedom, 1e6), 0.975)
    reach = reach * np.sqrt(table["variance"] * inflation.factor) / scale
    return {
        "contig": table["contig"],
        "position": table["position"],
        "mod_code": table["mod_code"],
        "mod_name": np.array([NAMES.get(code, code) for code in table["mod_code"].tolist()], np.str_),
        "n_native": table["n_native"],
        "n_ivt": table["n_control"],
        "native_probability": native,
        "control_probability": control,
        "mod_ratio": np.clip(corrected, 0, 1),
        "ci_low": np.clip(corrected - reach, 0, 1),
        "ci_high": np.clip(corrected + reach, 0, 1),
        "pvalue": special.ndtr(-z),
    }


def write_named_events(path: Path, sites: Path, mods: Sequence[Table], comments: Sequence[str]) -> int:
    """Write Baleen's events with the basecaller's names for them; return how many have one.

    Parameters
    ----------
    path
        The table.
    sites
        Baleen's table of sites.
    mods
        Significant rows from `merge_mods`.
    """
    best: dict[tuple[str, int], _Best] = {}
    for one in mods:
        for contig, position, code, padj in zip(
            *(one[name].tolist() for name in ("contig", "position", "mod_code", "padj")), strict=True
        ):
            for near in range(position - NAME_REACH, position + NAME_REACH + 1):
                found = _Best(padj, position, code)
                best[contig, near] = min(best.get((contig, near), found), found)
    rows = [(event, best.get((event["contig"], int(event["position"])))) for event in _events(sites)]
    cells: dict[str, list[Any]] = {
        "contig": [event["contig"] for event, _ in rows],
        "position": [int(event["position"]) for event, _ in rows],
        "mod_ratio": [float(event["mod_ratio"] or "nan") for event, _ in rows],
        "padj": [float(event["padj"]) for event, _ in rows],
        "mod_name": ["" if name is None else NAMES.get(name.code, name.code) for _, name in rows],
        "mod_code": ["" if name is None else name.code for _, name in rows],
        "mod_position": ["" if name is None else str(name.position) for _, name in rows],
        "mod_padj": [np.nan if name is None else name.padj for _, name in rows],
    }
    columns = {name: np.array(values, np.str_ if not values else None) for name, values in cells.items()}
    write_site_table(path, [column.name for column in EVENT_NAME_COLUMNS], [columns], comments)
    return sum(name is not None for _, name in rows)


def _events(sites: Path) -> Iterator[dict[str, str]]:
    """Go through the called events of a table of sites."""
    with sites.open(encoding="utf-8") as table:
        header: list[str] | None = None
        for line in table:
            if line.startswith("##"):
                continue
            cells = line.rstrip("\n").split("\t")
            if header is None:
                header = cells
            elif cells[header.index("is_peak")] == "1":
                yield dict(zip(header, cells, strict=True))
