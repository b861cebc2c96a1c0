"""What is measured on: pileups of a set's contigs, made by the pipeline's own readers and aligner."""

import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import krill
from baleen.config import CallingConfig, Config, ReadsConfig
from baleen.data import ErrorPileup, SignalPileup
from baleen.error_pileup import error_pileup
from baleen.inputs import open_run, read_contig, read_reference
from baleen.inputs.samples import SampleFiles
from baleen.pileup import build_pileup, index_reads, place_batch

SEED = 1


@dataclass(frozen=True)
class Contig:
    """Pileups of one contig; without signal the first is None."""

    name: str
    signal: SignalPileup | None
    errors: ErrorPileup

    def relabelled(self, is_native: np.ndarray, keep: np.ndarray) -> "Contig":
        """Return the contig with other labels, and without the reads that are not kept."""
        reads = dataclasses.replace(self.errors.reads, is_native=is_native)
        chosen = keep[self.errors.read]
        columns = ("position", "read", "errors", "quality")
        errors = dataclasses.replace(
            self.errors, reads=reads, **{name: getattr(self.errors, name)[chosen] for name in columns}
        )
        signal = self.signal and _keep_windows(dataclasses.replace(self.signal, reads=reads), keep)
        return Contig(self.name, signal, errors)


def _keep_windows(pileup: SignalPileup, keep: np.ndarray) -> SignalPileup:
    chosen = keep[pileup.read]
    columns = ("read", "level_pa", "level_stdv_pa", "confidence", "dwell_samples")
    intervals = ("base_start", "base_end", "window_start", "window_end")
    counts = np.concatenate([[0], np.cumsum(chosen)])
    return dataclasses.replace(
        pileup,
        window_offsets=counts[pileup.window_offsets].astype(np.int64),
        **{name: getattr(pileup, name)[chosen] for name in columns + intervals},
    )


def load(
    native: tuple[Path, Path | None], control: tuple[Path, Path | None], reference: Path
) -> Iterator[Contig]:
    """Read every contig of a native and a control sample: BAM, and signal where there is any."""
    has_signal = native[1] is not None
    config = Config(reads=ReadsConfig(min_depth=1, subsample_n=0), calling=CallingConfig(signal=has_signal))
    samples = tuple(
        SampleFiles(name, is_native=name == "native", bam=(bam,), signal=(signal,) if signal else ())
        for name, (bam, signal) in (("native", native), ("control", control))
    )
    run = open_run(samples, reference, config)
    with tempfile.TemporaryDirectory() as folder:
        source = run.write(Path(folder))
        for task in run.tasks:
            sequence = read_reference(task, source)
            batches, placed = [], []
            for sample, batch in read_contig(task, source, config):
                batches.append((sample, batch))
                if has_signal:
                    model = krill.PoreModel.shipped(run.chemistry)
                    placed.append(place_batch(batch, krill.align(batch, sequence, model), padding=1))
            ids = [(batch.read_ids, sample, samples[sample].is_native) for sample, batch in batches]
            reads = index_reads(ids, ("native", "control"), SEED)
            sizes = [len(batch) for _, batch in batches]
            signal = build_pileup(task.contig, sequence, placed, reads, sizes) if has_signal else None
            errors = error_pileup([batch for _, batch in batches], sequence, reads)
            yield Contig(task.contig, signal, errors)
