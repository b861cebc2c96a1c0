"""Check the figures of an issue: ``python -m benchmarks.accept <name> [-o FILE]``.

Prints figure, must, goal, got, ok; writes JSON; exits 1 if a must was missed.
"""

import argparse
import dataclasses
import importlib
import json
import pkgutil
import sys
from pathlib import Path

from benchmarks import accept, machine
from benchmarks.accept.rows import Row


def main() -> int:
    """Run one acceptance module and report."""
    names = sorted(
        m.name.replace("_", "-")
        for m in pkgutil.iter_modules(accept.__path__)
        if m.name not in {"__main__", "rows"}
    )
    parser = argparse.ArgumentParser(prog="benchmarks.accept", description=__doc__)
    parser.add_argument("name", choices=names)
    parser.add_argument("-o", "--output", type=Path, help="JSON file (default: under accept/)")
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.accept.{arguments.name.replace('-', '_')}")
    rows: list[Row] = []
    for row in module.rows():
        rows.append(row)
        print(f"  {_mark(row)}  {row.figure}: {row.got}", file=sys.stderr, flush=True)
    print(_table(rows))
    output = arguments.output or machine.ROOT / "accept" / f"{arguments.name}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine.describe(), "rows": [dataclasses.asdict(row) for row in rows]}
    output.write_text(json.dumps(result, indent=1, default=str) + "\n")
    missed = [row.figure for row in rows if row.ok is False]
    print(f"{len(rows)} figures, {len(missed)} missed; written to {output}")
    return 1 if missed or not rows else 0


def _mark(row: Row) -> str:
    return {True: "yes", False: "NO", None: "-"}[row.ok]


def _table(rows: list[Row]) -> str:
    cells = [("figure", "must", "goal", "got", "ok")]
    cells += [(r.figure, r.must, r.goal, r.got, _mark(r)) for r in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(5)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )


if __name__ == "__main__":
    sys.exit(main())
