"""Whether a run that is to go on is finished already: same inputs and settings, results as written."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from baleen.config import CallingConfig, Config
from baleen.console import LOG
from baleen.inputs import SampleFiles
from baleen.inputs.samples import input_files, resolve
from baleen.manifest import differences, read_parameters, run_parameters
from baleen.outputs.slices import slice_path
from baleen.plan import PLAN_NAME, Plan
from baleen.results import RunSummary, changed_results, read_whole_run, summary_of
from baleen.worker import EVIDENCE

NOTHING_TO_DO = "the run in {} is finished: nothing to do"


def settled(calling: CallingConfig, samples: Sequence[SampleFiles], chemistry: str | None) -> CallingConfig:
    """Decide what the inputs decide."""
    if calling.signal and any(sample.eventalign is not None for sample in samples):
        calling = calling.without_samples()
    return calling.for_chemistry(chemistry)


def finished_run(
    output_dir: Path,
    folder: Path,
    config: Config,
    samples: Callable[[], Sequence[SampleFiles]],
    reference: Path,
) -> RunSummary | None:
    """Return what a run made if its folder holds it whole; None if there is something left to do.

    Reads no more of the inputs than their digests do. What else is compared when a run goes on,
    chemistry and the reads that meet, follows from inputs and settings.

    Parameters
    ----------
    output_dir, folder
        Results; slices.
    config
        Settings, before the inputs decide.
    samples, reference
        Inputs; the samples are asked for only where there is something to compare them with.
    """
    run = read_whole_run(output_dir)
    if run is None:
        return None
    then = run["parameters"]
    facts = {name: then[name] for name in ("chemistry", "reads")}
    found = resolve(samples(), needs_signal=config.calling.signal)
    config = replace(config, calling=settled(config.calling, found, facts["chemistry"]))
    try:
        now = run_parameters(config, input_files(found, reference), facts)
        changed = changed_results(output_dir, run)
    except OSError:  # the usual way says which file it is
        return None
    if differences(then, now):  # the usual way refuses
        return None
    if changed:
        LOG.info("%s in %s: gone or changed, and made again", ", ".join(changed), output_dir)
        return None
    is_kept = config.output.keep_intermediate
    if folder.exists() != is_kept or (is_kept and not _has_all_slices(folder, then)):
        return None
    return summary_of(output_dir, run)


def _has_all_slices(folder: Path, parameters: object) -> bool:
    if not (folder / PLAN_NAME).exists() or read_parameters(folder) != parameters:
        return False
    return all(slice_path(folder, group.index, EVIDENCE).exists() for group in Plan.read(folder).groups)


def merged_run(output_dir: Path, folder: Path) -> RunSummary | None:
    """Return what the merge of shards made, if it is there whole and no shard is left."""
    run = None if folder.exists() else read_whole_run(output_dir)
    return None if run is None or changed_results(output_dir, run) else summary_of(output_dir, run)
