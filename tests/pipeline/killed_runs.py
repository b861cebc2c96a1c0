"""Kill runs at random moments, resume them, and print what each came to, as JSON lines.

A process of its own, which has imported everything and forks: so a run takes a fraction of a second.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pysam

import baleen.plan
from baleen import pipeline
from baleen.config import Config
from baleen.inputs import SampleFiles

N_KILLS = 20
LAYOUTS = ("0x1", "0x2")


def request(pair: Path, output: Path, layout: str, *, is_resumed: bool) -> pipeline.RunRequest:
    samples = tuple(
        SampleFiles(name, name == "native", (pair / name / "reads.bam",), (pair / name / "reads.blow5",))
        for name in ("native", "ivt")
    )
    settings = {"channels": ("level",), "permutations": 1, "device": "cpu", "layout": layout}
    return pipeline.RunRequest(
        samples=samples,
        reference=pair / "ref.fa",
        output_dir=output,
        config=Config.from_settings(settings),
        is_resumed=is_resumed,
    )


def start(pair: Path, output: Path, layout: str, *, is_resumed: bool = False) -> int:
    """Fork a run; return the child's process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            pipeline.run(request(pair, output, layout, is_resumed=is_resumed))
            code = 0
        finally:
            os._exit(code)
    return child


def digest(output: Path) -> str:
    """Return a digest of the results; the header of the BAM holds the command."""
    with pysam.AlignmentFile(str(output / "read_results.bam")) as bam:
        reads = "\n".join(record.to_string() for record in bam)
    return hashlib.sha256((output / "site_results.tsv").read_bytes() + reads.encode()).hexdigest()


def main() -> None:
    pair, folder = Path(sys.argv[1]), Path(sys.argv[2])
    baleen.plan.GROUP_WORK = 1  # a slice per contig, so that there are some to lose
    seconds = {}
    for layout in LAYOUTS:  # killed within the time of its own layout, or many would have ended before
        began = time.monotonic()
        assert os.waitpid(start(pair, folder / layout, layout), 0)[1] == 0
        seconds[layout] = time.monotonic() - began
    rng = random.Random(1)
    for number in range(N_KILLS):
        output, layout = folder / f"killed{number}", LAYOUTS[number % 2]
        child = start(pair, output, layout)
        time.sleep(rng.uniform(0, seconds[layout]))
        os.kill(child, signal.SIGKILL)
        was_killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        n_slices = len(list(output.glob("per_contig/*.npz")))
        resumed = os.waitpid(start(pair, output, layout, is_resumed=True), 0)[1]
        same = resumed == 0 and digest(output) == digest(folder / "0x1")
        found = {"was_killed": was_killed, "slices": n_slices, "resumed": resumed, "same": same}
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
