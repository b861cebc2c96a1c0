"""What a scaling result must say about the machine and the moment."""

import datetime
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from baleen import __version__
from baleen.executors import usable_cores
from krill.pump import line_ns


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, NUMA nodes, threads per core, passing of a cache line, memory, system."""
    fields: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    return {
        "processor": fields.get("model name", platform.processor() or platform.machine()),
        "cores_usable": usable_cores(),
        "cores_of_host": os.cpu_count(),
        "threads_per_core": _threads_per_core(),
        "numa_nodes": max(1, len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))),
        "line_ns": line_ns(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_at_start": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def describe_making() -> dict[str, str]:
    """Return date, version and command."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "command": shlex.join(
            ["baleen", *(Path(word).name if "/" in word else word for word in sys.argv[1:])]
        ),
    }


def _threads_per_core() -> int | None:
    path = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    if not path.is_file():
        return None
    n = 0
    for piece in path.read_text().strip().split(","):
        first, _, last = piece.partition("-")
        n += int(last or first) - int(first) + 1
    return n
