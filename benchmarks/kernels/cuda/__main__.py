"""Compile the benchmarks' CUDA programs to PTX with the compiler of the engine's kernels."""

import argparse
import hashlib
import importlib.util
import tempfile
from pathlib import Path

from benchmarks.machine import ROOT

FOLDER = Path(__file__).resolve().parent
TARGETS = {"wavefront": "compute_70", "issue_rate": "compute_90"}


def main() -> None:
    """Write the PTX of every program beside its source."""
    parser = argparse.ArgumentParser(prog="benchmarks.kernels.cuda", description=__doc__)
    parser.add_argument("--wheels", type=Path, help="folder of NVRTC's wheels, filled if they are absent")
    arguments = parser.parse_args()
    path = ROOT / "krill" / "signal" / "kernels" / "compile.py"
    spec = importlib.util.spec_from_file_location("compile_kernels", path)
    if spec is None or spec.loader is None:
        msg = f"{path} cannot be loaded"
        raise SystemExit(msg)
    compiler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiler)
    with tempfile.TemporaryDirectory() as temporary:
        nvrtc = compiler.Nvrtc.load("12.1.105", (arguments.wheels or Path(temporary)).resolve())
        for name, architecture in TARGETS.items():
            source = (FOLDER / f"{name}.cu").read_bytes()
            ptx = nvrtc.compile(f"{name}.cu", {f"{name}.cu": source}, architecture)
            origin = f"// of {name}.cu, sha256 {hashlib.sha256(source).hexdigest()}\n".encode()
            (FOLDER / f"{name}.ptx").write_bytes(origin + ptx.rstrip(b"\0\n") + b"\n")
            print(f"{name}.ptx: {len(ptx)} bytes")


if __name__ == "__main__":
    main()
