"""What smoothing along reads does to the reads' calls: without, with two states, with three."""

from pathlib import Path

import numpy as np

from baleen import calling
from baleen.calling import HmmParameters
from benchmarks.accuracy import metrics, sets
from benchmarks.accuracy.inputs import SEED

CHAINS = {
    "none": None,
    "2 states": HmmParameters((0.95, 0.05), 0.3),
    "3 states": HmmParameters((0.90, 0.05, 0.05), 0.3, 0.5),
}


def figures(folder: Path, chemistry: str) -> dict[str, tuple[float, float]]:
    """Return per chain the reads' pooled AUROC at true sites, and the precision of calls of reads.

    A call is a native read with p_mod over the threshold, at any position; it is right if this read
    is modified at this very position.
    """
    small = folder / "sim" / f"{chemistry}_small"
    contigs = sets.simulated_contigs(folder, small / "native", chemistry)
    truth = {
        (row["contig"], row["read_id"], int(row["pos0"])): row["modified"] == "1"
        for row in sets.rows_of(small / "truth_reads.tsv")
    }
    config = sets.config_of(chemistry, channels=("level",))
    evidence = [calling.score_contig(c.signal, None, None, config, SEED) for c in contigs]
    model = calling.fit_run([calling.summarise(one) for one in evidence], config)
    out = {}
    for name, chain in CHAINS.items():
        settings = sets.config_of(chemistry, channels=("level",), hmm=chain is not None)
        labels, probabilities, called, right = [], [], 0, 0
        for one in evidence:
            reads = calling.call_contig(one, model, settings, chain or calling.DEFAULT_HMM).reads
            native = np.flatnonzero(reads.reads.is_native[reads.read])
            keys = [(one.contig, reads.reads.read_ids[reads.read[i]], int(reads.position[i])) for i in native]
            known = np.array([truth.get(key) is not None for key in keys])
            label = np.array([bool(truth.get(key)) for key in keys])
            p = reads.p_mod[native].astype(np.float64)
            labels.append(label[known])
            probabilities.append(p[known])
            called += int((p >= settings.mod_threshold).sum())
            right += int((label & (p >= settings.mod_threshold)).sum())
        auroc = metrics.auroc(np.concatenate(labels), np.concatenate(probabilities))
        out[name] = (auroc, right / max(called, 1))
    return out
