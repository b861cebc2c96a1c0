"""What reading and printing costs each aligner, beside its work.

``python -m benchmarks.scaling.readers [-o FILE]``

CPU time per read of one thread; start-up (an input of one read) is taken off.
Bowtie, Bowtie 2 and HISAT2 read and parse what ``--skip`` leaves out, and neither align nor print it. HISAT2
parses inside its lock, Bowtie and Bowtie 2 parse in part outside: for these the figure is an upper bound.
minimap2 reads, parses and refuses reads of N, and prints them unless told not to; both are steps that
one thread does at a time, side by side with the other. Ours are the seconds inside locks, mapping and
merging.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baleen.engines import build_index
from baleen.scaling.made_inputs import make_short_reads
from baleen.scaling.pump_tasks import ReadFiles
from benchmarks import machine
from benchmarks.accept.align import minimap2_program
from krill.map import AlignJob, AlignOptions, align_reads
from krill.pump import PumpSettings

_REPEATS = 5
_READS, _GENOME_BP = 100_000, 1_000_000


@dataclass(frozen=True)
class Reader:
    """Nanoseconds of CPU per read of 100 bases."""

    program: str
    whole_ns: float
    reading_ns: float
    printing_ns: float

    @property
    def most_threads(self) -> float:
        """Threads beyond which the slower of reading and printing, one thread at a time, sets the pace."""
        return self.whole_ns / max(self.reading_ns, self.printing_ns)


def _cpu_ns(words: Sequence[object], n_reads: int, empty: Sequence[object]) -> float:
    """Return the least CPU time per read, start-up taken off."""
    used, idle = [], []
    for _ in range(_REPEATS):
        idle.append(_cpu_s(empty))
        used.append(_cpu_s(words))
    return 1e9 * (min(used) - min(idle)) / n_reads


def _cpu_s(words: Sequence[object]) -> float:
    process = subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_utime + usage.ru_stime


def _commands(engine: str, index: Path, reads: Path) -> list[object]:
    if engine == "bowtie":
        return ["bowtie", "-p", 1, "-S", "-x", index, reads]  # --skip is its -s
    fixed = ["--no-temp-splicesite", "--no-spliced-alignment"] if engine == "hisat2" else []
    return [engine, "-p", 1, *fixed, "-x", index, "-U", reads]


def measure(folder: Path) -> list[Reader]:
    """Return every program's costs."""
    reads, genome = make_short_reads(folder, _READS, _GENOME_BP)
    blank, empty = folder / "blank.fq", folder / "empty.fq"
    record = b"@r%d\n" + b"N" * 100 + b"\n+\n" + b"I" * 100 + b"\n"
    blank.write_bytes(b"".join(record % i for i in range(_READS)))
    empty.write_bytes(record % 0)
    found = []
    for engine in ("bowtie", "bowtie2", "hisat2"):
        if shutil.which(engine) is None:
            continue
        place = folder / engine
        place.mkdir()
        index = build_index(engine, genome, place)
        nothing = _commands(engine, index, empty)
        whole = _cpu_ns(_commands(engine, index, reads), _READS, nothing)
        skipped = _cpu_ns([*_commands(engine, index, reads), "--skip", _READS], _READS, nothing)
        found.append(Reader(engine, whole, skipped, 0.0))
    program = minimap2_program(folder)
    if program is not None:
        words = [program, "-a", "-t1", "-x", "sr", genome]
        whole, refused = (_cpu_ns([*words, f], _READS, [*words, empty]) for f in (reads, blank))
        silent = _cpu_ns([*words, "--sam-hit-only", blank], _READS, [*words, empty])
        found.append(Reader("minimap2", whole, silent, max(0.0, refused - silent)))
    return [*found, _ours(ReadFiles((reads,), _READS, folder), genome)]


def _ours(reads: ReadFiles, genome: Path) -> Reader:
    """Return what `baleen align` spends inside its locks, mapping and merging: its counters say."""
    job = AlignJob(reads.paths, genome, reads.folder / "ours.bam", AlignOptions(preset="sr"))
    inside, whole = [], []
    for _ in range(4 * _REPEATS):  # seconds inside a lock count a lost core too: try longer
        report = align_reads(job, PumpSettings(threads=1))
        stages = (report.mapping, report.merging)
        whole.append(sum(worker.on_cpu_s for stage in stages for worker in stage.workers))
        inside.append(
            [
                sum(use.inside_s for s in stages for use in s.locks if use.name == n)
                for n in ("input", "output")
            ]
        )
    per_read = 1e9 / reads.n_reads
    least = [per_read * min(column) for column in zip(*inside, strict=True)]
    return Reader("baleen align (in locks)", per_read * min(whole), *least)


def least_of(paths: Sequence[Path]) -> list[Reader]:
    """Return the least of several results: further repeats of the same measurement."""
    runs = [[Reader(**_fields(row)) for row in json.loads(path.read_text())["readers"]] for path in paths]
    return [
        Reader(
            same[0].program,
            min(one.whole_ns for one in same),
            min(one.reading_ns for one in same),
            min(one.printing_ns for one in same),
        )
        for same in zip(*runs, strict=True)
    ]


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "most_threads"}


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=machine.result_path("scaling-readers"))
    parser.add_argument("--least-of", type=Path, nargs="+", help="earlier results, instead of measuring")
    arguments = parser.parse_args()
    if arguments.least_of:
        found = least_of(arguments.least_of)
    else:
        with tempfile.TemporaryDirectory(prefix="bench-readers-") as folder:
            found = measure(Path(folder))
    print(f"{'program':<24} {'CPU ns/read':>11} {'reading':>8} {'printing':>8} {'ends at':>8} threads")
    for one in found:
        print(
            f"{one.program:<24} {one.whole_ns:11.0f} {one.reading_ns:8.1f} {one.printing_ns:8.1f}"
            f" {one.most_threads:8.1f}"
        )
    rows = [{**asdict(one), "most_threads": one.most_threads} for one in found]
    result = {"machine": machine.describe(), "reads": _READS, "genome_bp": _GENOME_BP, "readers": rows}
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(arguments.output)


if __name__ == "__main__":
    main()
