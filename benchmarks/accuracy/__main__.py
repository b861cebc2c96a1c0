"""Measure accuracy on every set: ``python -m benchmarks.accuracy [-d DATA] [-o FOLDER]``.

Prints a table; writes ``accuracy.json`` and images to the folder.
"""

import argparse
import json
from pathlib import Path

from benchmarks import machine
from benchmarks.accuracy import figures, metrics, sets


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.accuracy", description=__doc__)
    parser.add_argument("-d", "--data", type=Path, default=machine.ROOT.parent / "shared" / "data")
    parser.add_argument("-o", "--output", type=Path, default=machine.ROOT / "accuracy")
    arguments = parser.parse_args()
    results = sets.measure(arguments.data)
    print(metrics.__doc__)
    for name, measured in results.items():
        print(name)
        for figure, value in measured.figures.items():
            print(f"  {figure:42} {value:.4g}")
    figures.draw(results, arguments.output)
    table = {name: measured.figures for name, measured in results.items()}
    result = {"machine": machine.describe(), "conventions": metrics.__doc__, "sets": table}
    (arguments.output / "accuracy.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
