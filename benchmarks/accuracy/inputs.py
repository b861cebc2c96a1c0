"""What is measured on: pileups of a set's contigs, from the pipeline's own readers."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baleen.config import CallingConfig, Config, ReadsConfig
from baleen.data import ErrorPileup, SignalPileup
from baleen.error_pileup import error_pileup
from baleen.inputs import open_run, read_contig, read_reference
from baleen.inputs.samples import SampleFiles
from baleen.pileup import index_reads

SEED = 1


@dataclass(frozen=True)
class Contig:
    """Pileups of one contig; without signal the first is None."""

    name: str
    signal: SignalPileup | None
    errors: ErrorPileup


def error_contigs(native: Path, control: Path, reference: Path) -> Iterator[Contig]:
    """Read the basecall errors of every contig of a native and a control BAM."""
    config = Config(
        reads=ReadsConfig(min_depth=1, subsample_n=0),
        calling=CallingConfig(signal=False, channels=("errors",)),
    )
    samples = (
        SampleFiles("native", is_native=True, bam=(native,)),
        SampleFiles("control", is_native=False, bam=(control,)),
    )
    run = open_run(samples, reference, config)
    with tempfile.TemporaryDirectory() as folder:
        source = run.write(Path(folder))
        for task in run.tasks:
            batches = list(read_contig(task, source, config))
            sequence = read_reference(task, source)
            ids = [(batch.read_ids, sample, samples[sample].is_native) for sample, batch in batches]
            reads = index_reads(ids, ("native", "control"), SEED)
            yield Contig(task.contig, None, error_pileup([batch for _, batch in batches], sequence, reads))
