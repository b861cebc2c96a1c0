"""Time event alignment by stage: ``python -m benchmarks.eventalign``; prints a table, writes JSON."""

import dataclasses
import json

from benchmarks import machine
from benchmarks.eventalign.data import load_batches, load_reference
from benchmarks.eventalign.speed import Speed, measure
from krill import PoreModel

CHEMISTRIES = ("rna002", "rna004")
CASES = (("avx512", "standard"), ("avx2", "standard"), ("avx512", "sharp"), ("avx512", "fast"))


def main() -> None:
    """Measure the simulated sets with every instruction set and mode."""
    found: dict[str, Speed] = {}
    for chemistry in CHEMISTRIES:
        folder = machine.SHARED_DATA / "sim" / f"{chemistry}_small"
        batches = load_batches(folder / "native" / "reads.bam", folder / "native" / "reads.blow5")
        contig, batch = next(iter(batches.items()))
        reference = load_reference(folder / "ref.fa")[contig]
        for isa, mode in CASES:
            name = f"{chemistry} {mode} {isa}"
            try:
                found[name] = measure(batch, reference, PoreModel.shipped(chemistry), isa, mode)
            except ValueError as error:
                print(f"{name}: {error}")
                continue
            stages = "  ".join(f"{stage} {ns:.1f}" for stage, ns in found[name].ns_per_sample.items())
            print(f"{name}: {found[name].msamples_per_s:.1f} Msamples/s; ns per sample: {stages}")
    path = machine.result_path("eventalign-stages")
    result = {name: dataclasses.asdict(speed) for name, speed in found.items()}
    path.write_text(json.dumps({"machine": machine.describe(), "speed": result}, indent=1) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
