#!/usr/bin/env python3
"""Compile the CUDA kernels without a GPU: `compile.py` writes built/, `compile.py --check` compares.

PTX comes from an old NVRTC, because a driver refuses PTX newer than itself; machine code for every
architecture from a recent one. Both are wheels of PyPI, downloaded into a temporary folder (or given:
`--wheels FOLDER`). built/built.json keeps the hash of the sources, the compilers and the hash of every
output. Exit codes: 0 done or equal, 1 different, 3 the wheels cannot be had.
"""

import argparse
import ctypes
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BUILT = FOLDER / "built"
SOURCES = ("dtw.cu", "batch.h", "coordinate.h", "summary.h", "wide.h")
PACKAGE = "nvidia-cuda-nvrtc-cu12"
OPTIONS = ("--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")
TARGETS = {
    "12.1.105": ("compute_70",),
    "12.9.86": ("sm_70", "sm_75", "sm_80", "sm_90", "sm_100", "sm_120"),
}


class UnavailableError(Exception):
    """A compiler cannot be downloaded."""


@dataclass(frozen=True)
class Nvrtc:
    """NVIDIA's run-time compiler, as a library."""

    library: ctypes.CDLL

    @classmethod
    def load(cls, version: str, wheels: Path) -> "Nvrtc":
        """Download the wheel unless it is there, unpack it, load the library."""
        if not list(wheels.glob(f"*nvrtc*{version}*.whl")):
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(wheels)]
            done = subprocess.run(
                [*command, f"{PACKAGE}=={version}"], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise UnavailableError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        unpacked = wheels / f"nvrtc-{version}"
        if not unpacked.is_dir():
            with zipfile.ZipFile(next(wheels.glob(f"*nvrtc*{version}*.whl"))) as wheel:
                wheel.extractall(unpacked)
        return cls(ctypes.CDLL(str(unpacked / "nvidia" / "cuda_nvrtc" / "lib" / "libnvrtc.so.12")))

    def compile(self, name: str, sources: dict[str, bytes], architecture: str) -> bytes:
        """Return PTX (``compute_*``) or machine code (``sm_*``) of a source and its headers."""
        program = ctypes.c_void_p()
        headers = [(key, text) for key, text in sources.items() if key != name]
        names = (ctypes.c_char_p * len(headers))(*(key.encode() for key, _ in headers))
        texts = (ctypes.c_char_p * len(headers))(*(text for _, text in headers))
        self._call(
            "CreateProgram",
            *(ctypes.byref(program), sources[name], name.encode(), len(headers), texts, names),
        )
        options = [option.encode() for option in (*OPTIONS, f"--gpu-architecture={architecture}")]
        status = self.library.nvrtcCompileProgram(
            program, len(options), (ctypes.c_char_p * len(options))(*options)
        )
        if status != 0:
            log = self._read("ProgramLog", program).decode()
            msg = f"{name} for {architecture}:\n{log}"
            raise SystemExit(msg)
        built = self._read("PTX" if architecture.startswith("compute") else "CUBIN", program)
        self._call("DestroyProgram", ctypes.byref(program))
        return built

    def _read(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", program, buffer)
        return buffer.raw

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self.library, f"nvrtc{name}")(*arguments)
        if status != 0:
            msg = f"nvrtc{name} returned {status}"
            raise SystemExit(msg)


def read_sources() -> dict[str, bytes]:
    """Return the text of every source file by name."""
    return {name: (FOLDER / name).read_bytes() for name in SOURCES}


def source_hash(sources: dict[str, bytes]) -> str:
    """Return one hash of sources, options and compilers: what the outputs depend on."""
    everything = [
        OPTIONS,
        TARGETS,
        {name: hashlib.sha256(text).hexdigest() for name, text in sources.items()},
    ]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def file_name(architecture: str) -> str:
    """Return the name of an output."""
    return f"dtw_{architecture}.{'ptx' if architecture.startswith('compute') else 'cubin'}"


def compile_all(wheels: Path) -> dict[str, bytes]:
    """Return every output by file name."""
    sources = read_sources()
    built = {}
    for version, architectures in TARGETS.items():
        compiler = Nvrtc.load(version, wheels)
        for architecture in architectures:
            built[file_name(architecture)] = compiler.compile(SOURCES[0], sources, architecture)
    return built


def record(built: dict[str, bytes]) -> dict[str, object]:
    """Return what built.json says of these outputs."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(built.items())}
    compilers = {version: list(architectures) for version, architectures in TARGETS.items()}
    return {"source": source_hash(read_sources()), PACKAGE: compilers, "outputs": hashes}


def main() -> int:
    """Compile; write the outputs, or compare them with those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with built/ and write nothing")
    parser.add_argument("--wheels", type=Path, help="folder of NVRTC's wheels, filled if they are absent")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            built = compile_all((arguments.wheels or Path(temporary)).resolve())
        except UnavailableError as error:
            print(f"cannot compile the CUDA kernels: {error}", file=sys.stderr)
            return 3
    made = record(built)
    if arguments.check:
        kept = json.loads((BUILT / "built.json").read_text())
        is_equal = kept == made
        print(
            "the kernels in built/ are those of the sources" if is_equal else "built/ differs: run compile.py"
        )
        return 0 if is_equal else 1
    BUILT.mkdir(exist_ok=True)
    for name, data in built.items():
        (BUILT / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes")
    (BUILT / "built.json").write_text(json.dumps(made, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
