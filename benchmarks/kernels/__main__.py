"""Measure a kernel: ``python -m benchmarks.kernels [name ...]``; prints a table, writes JSON and a plot."""

import argparse
import importlib

NAMES = ("dtw",)


def main() -> None:
    """Run the named benchmarks, all if none is named."""
    parser = argparse.ArgumentParser(prog="benchmarks.kernels", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name", help=", ".join(NAMES))
    for name in parser.parse_args().names or NAMES:
        importlib.import_module(f"benchmarks.kernels.{name}").main()


if __name__ == "__main__":
    main()
