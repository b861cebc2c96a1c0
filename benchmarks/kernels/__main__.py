"""Measure a kernel: ``python -m benchmarks.kernels [name ...]``; prints a table, writes JSON and a plot."""

import argparse
import importlib
import sys

import krill

NAMES = ("dtw",)


def main() -> int:
    """Run the named benchmarks, all if none is named."""
    parser = argparse.ArgumentParser(prog="benchmarks.kernels", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name", help=", ".join(NAMES))
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU such as cuda:0")
    arguments = parser.parse_args()
    if arguments.device != "cpu":
        return _on_a_gpu(arguments.device)
    for name in arguments.names or NAMES:
        importlib.import_module(f"benchmarks.kernels.{name}").main()
    return 0


def _on_a_gpu(device: str) -> int:
    from benchmarks.kernels import dtw_gpu

    try:
        krill.require_device(device)
    except krill.DeviceError as error:
        print(f"nothing can be measured: {error}", file=sys.stderr)
        return 2
    dtw_gpu.main(device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
