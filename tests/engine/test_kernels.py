"""The compiled CUDA kernels are those of their sources."""

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[2] / "krill" / "signal" / "kernels"
SPEC = importlib.util.spec_from_file_location("compile_kernels", KERNELS / "compile.py")
assert SPEC is not None
assert SPEC.loader is not None
compiler = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compiler)
KEPT = json.loads((KERNELS / "built" / "built.json").read_text())


def test_kernels_were_compiled_after_the_last_change_of_their_sources():
    assert compiler.source_hash(compiler.read_sources()) == KEPT["source"], "run compile.py"


def test_every_compiled_kernel_has_the_hash_that_was_recorded():
    files = sorted(path for path in compiler.BUILT.iterdir() if path.name != "built.json")
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == KEPT["outputs"]


def test_every_target_has_its_file_and_all_are_small():
    targets = [name for names in compiler.TARGETS.values() for name in names]
    files = [compiler.BUILT / compiler.file_name(target) for target in targets]
    assert sum(path.stat().st_size for path in files) < 1 << 20


def test_a_changed_source_changes_the_hash():
    sources = compiler.read_sources()
    changed = {**sources, "batch.h": sources["batch.h"] + b"\n"}
    assert compiler.source_hash(changed) != compiler.source_hash(sources)


@pytest.mark.parametrize("name", ["wavefront", "issue_rate"])
def test_benchmark_programs_were_compiled_after_the_last_change_of_their_sources(name):
    folder = Path(__file__).resolve().parents[2] / "benchmarks" / "kernels" / "cuda"
    expected = hashlib.sha256((folder / f"{name}.cu").read_bytes()).hexdigest()
    first_line = (folder / f"{name}.ptx").read_text().splitlines()[0]
    assert first_line == f"// of {name}.cu, sha256 {expected}", "run python -m benchmarks.kernels.cuda"
