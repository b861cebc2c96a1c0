"""What a result must say about where and when it was measured."""

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SHARED_DATA = ROOT.parent / "shared" / "data"


def describe() -> dict[str, Any]:
    """Return date, processor, cores and commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "commit": commit or "unknown",
    }


def result_path(name: str) -> Path:
    """Return ``benchmarks/results/<date>-<commit>-<name>.json``."""
    machine = describe()
    return RESULTS / f"{machine['date'][:10]}-{machine['commit']}-{name}.json"


def _processor() -> str:
    """Return the model name and the widest vector unit."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    widest = next((f for f in ("avx512f", "avx2", "sse2") if f in flags), "no vector unit known")
    return f"{fields.get('model name', platform.machine())} model {fields.get('model', '?')} ({widest})"
