"""Child process of test_damaged_files: read the files named on stdin, answer one JSON line each."""

import hashlib
import json
import resource
import sys
from pathlib import Path

from krill.errors import FormatError
from krill.reads.bam import BamFile
from krill.reads.fastq import fastq_keys
from krill.reads.signal import open_signal


def content(path: Path) -> list[str]:
    """Return one text per read that the file holds."""
    if ".fastq" in path.name:
        return [repr(key) for keys, _ in fastq_keys(path) for key in keys.tolist()]
    if path.suffix == ".bam":
        bam = BamFile(path)
        offsets = bam.scan().offset.tolist()
        reads = [record.to_string() for record in bam.reads(offsets)]
        bam.close()
        return reads
    signals = open_signal(path)
    signals.attributes()
    places = [place for block in signals.index() for place in block.place.tolist()]
    records = [signals.read(first, second) for first, second in places]
    signals.close()
    if path.suffix == ".pod5":  # has no checksums: damage within a signal cannot be seen
        return [str(len(record.signal)) for record in records]
    return [f"{r.read_id} {r.offset_adc} {r.scale_pa} {r.signal.tobytes().hex()}" for r in records]


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    for line in sys.stdin:
        path = Path(line.strip())
        try:
            reads = content(path)
        except FormatError as error:
            answer = {"error": str(error)}
        else:
            answer = {"n": len(reads), "digest": hashlib.sha256("\n".join(reads).encode()).hexdigest()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
