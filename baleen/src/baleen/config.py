"""Every setting of a run: defaults, units, validation. Command line options are made from these fields.

The ``run`` section cannot change results by construction; the hash of the others is the basis of
``--resume``.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from baleen.errors import UsageError

ALIGN_MODES = ("standard", "fast", "sharp")
CHANNELS = ("level", "shape", "dwell", "errors")
SAMPLE_CHANNELS = ("shape",)
"""Channels that are measured on the samples of the signal, not on levels."""
EXECUTORS = ("local", "dask")
CHEMISTRIES = ("rna002", "rna004")
ERROR_DIRECTIONS = ("auto", "both", "more")
DEPTH_MODES = ("read_count", "mean_depth")


def setting(
    default: Any,
    text: str,
    *,
    flag: str | None = None,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare a setting: its default, its help text (with unit) and what it may be."""
    metadata = {
        "help": text,
        "flag": flag,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
    }
    if isinstance(default, (list, dict, set)):
        msg = "a default must be immutable"
        raise TypeError(msg)
    return field(default=default, metadata=metadata)


class Section:
    """Check every field against what it declares."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value, meta = getattr(self, item.name), item.metadata
            flag = meta["flag"] or "--" + item.name.replace("_", "-")
            _check(flag, value, meta)


def _check(flag: str, value: Any, meta: Mapping[str, Any]) -> None:
    if value is None:
        return
    for one in value if isinstance(value, tuple) else (value,):
        if meta["choices"] and one not in meta["choices"]:
            message = f"{flag}: {one!r} is not one of {', '.join(meta['choices'])}"
            raise UsageError(message)
        if meta["minimum"] is not None and one < meta["minimum"]:
            message = f"{flag}: {one} is below {meta['minimum']}"
            raise UsageError(message)
        if meta["maximum"] is not None and one > meta["maximum"]:
            message = f"{flag}: {one} is above {meta['maximum']}"
            raise UsageError(message)


@dataclass(frozen=True, kw_only=True)
class ReadsConfig(Section):
    """Which reads and contigs are used."""

    min_depth: int = setting(15, "reads per condition a contig needs", minimum=1)
    depth_mode: str = setting(
        "read_count",
        "what --min-depth counts: reads of the contig, or its mean depth",
        choices=DEPTH_MODES,
    )
    min_mapq: int = setting(0, "lowest mapping quality", minimum=0, maximum=255)
    primary_only: bool = setting(
        True, "use primary alignments alone", flag="--primary-only/--no-primary-only"
    )
    read_intersection: bool = setting(
        True,
        "use only reads found in all of BAM, signal and (where given) FASTQ",
        flag="--read-intersection/--no-read-intersection",
    )
    subsample_n: int = setting(300, "reads per contig and condition at most; 0 = all", minimum=0)
    target: tuple[str, ...] = setting((), "contigs to use (name, or file of names); all if not given")
    seed: int = setting(1, "seed of subsampling, folds and relabelling", minimum=0)


@dataclass(frozen=True, kw_only=True)
class PileupConfig(Section):
    """How signal is placed on the reference and cut into windows."""

    pore: str | None = setting(None, "chemistry; read from the signal if not given", choices=CHEMISTRIES)
    kmer_model: str | None = setting(None, "pore model file to use instead of the shipped one")
    align_mode: str = setting("standard", "event alignment mode", choices=ALIGN_MODES)
    moves: bool = setting(
        True, "use the basecaller's move table where there is one", flag="--moves/--no-moves"
    )
    padding: int = setting(
        1, "bases on either side of the tested base in a padded window", minimum=0, maximum=20
    )


@dataclass(frozen=True, kw_only=True)
class CallingConfig(Section):
    """What is measured per read and how it becomes calls."""

    channels: tuple[str, ...] = setting(
        ("level", "shape", "errors"),
        "evidence used, comma-separated: level, shape, errors, installed scorers",
    )
    signal: bool = setting(
        True, "use raw signal; without it the error channel calls alone", flag="--signal/--no-signal"
    )
    hmm: bool = setting(False, "smooth read probabilities along the read", flag="--hmm/--no-hmm")
    hmm_params: str | None = setting(None, "parameters from `baleen train` (JSON); implies --hmm")
    mod_threshold: float = setting(
        0.9, "probability from which a read counts as modified", minimum=0, maximum=1
    )
    error_direction: str = setting(
        "auto",
        "error differences looked for: more errors in native reads (auto: for RNA002), or both ways",
        choices=ERROR_DIRECTIONS,
    )
    permutations: int = setting(5, "relabellings behind the p-values", minimum=1)

    def without_samples(self) -> Self:
        """Leave out the channels that need the signal itself, of which event tables hold nothing.

        Raises
        ------
        UsageError
            If no channel is left.
        """
        channels = tuple(name for name in self.channels if name not in SAMPLE_CHANNELS)
        if not channels:
            message = f"--channels {','.join(self.channels)}: needs signal, and event tables hold none"
            raise UsageError(message, hint="--channels level,errors")
        return dataclasses.replace(self, channels=channels)

    @property
    def uses_hmm(self) -> bool:
        """Whether read probabilities are smoothed."""
        return self.hmm or self.hmm_params is not None

    def for_chemistry(self, chemistry: str | None) -> Self:
        """Decide what is left to the chemistry: RNA004's basecallers may read modified bases better."""
        if self.error_direction != "auto":
            return self
        return dataclasses.replace(self, error_direction="more" if chemistry == "rna002" else "both")


@dataclass(frozen=True, kw_only=True)
class OutputConfig(Section):
    """What is written beside the site table."""

    mod_code: str | None = setting(
        None, "modification code in MM (a, m, 17802, ...); default: any, as A+A, C+C, ..."
    )
    read_bam: bool = setting(True, "write read_results.bam", flag="--read-bam/--no-read-bam")
    basecaller_mods: bool = setting(
        False, "test the basecaller's own modification calls (MM, ML) too", flag="--basecaller-mods"
    )
    keep_intermediate: bool = setting(
        False, "keep per-contig arrays for `baleen aggregate`", flag="--keep-intermediate"
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig(Section):
    """How the run is carried out; none of it can change a result."""

    threads: int = setting(0, "cores to use; 0 = all this job may use", minimum=0)
    layout: str = setting("auto", "worker processes and threads in each, as PxT; 0xT: no workers")
    executor: str = setting("local", "where contigs are computed", choices=EXECUTORS)
    scheduler: str | None = setting(None, "address of a Dask scheduler, such as tcp://10.0.0.1:8786")
    scheduler_file: str | None = setting(None, "file that a Dask scheduler wrote")
    device: str = setting("auto", "cpu, cuda:0, ... or auto")
    gpu_memory_limit: int | None = setting(
        None, "bytes of each GPU's memory for all workers together", minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run, in sections. Functions take their section, not the whole."""

    reads: ReadsConfig = field(default_factory=ReadsConfig)
    pileup: PileupConfig = field(default_factory=PileupConfig)
    calling: CallingConfig = field(default_factory=CallingConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    run: RunConfig = field(default_factory=RunConfig)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build from a flat mapping ``name -> value``; unknown names are left to the caller."""
        sections = {}
        for section in dataclasses.fields(cls):
            kind: Any = section.default_factory
            names = {item.name for item in dataclasses.fields(kind)}
            sections[section.name] = kind(**{k: v for k, v in settings.items() if k in names})
        return cls(**sections)

    @classmethod
    def from_result_settings(cls, settings: Mapping[str, Mapping[str, Any]]) -> Self:
        """Rebuild from ``result_settings``; the ``run`` section has its defaults."""
        flat = {name: value for section in settings.values() for name, value in section.items()}
        return cls.from_settings({k: tuple(v) if isinstance(v, list) else v for k, v in flat.items()})

    def result_settings(self) -> dict[str, Any]:
        """Return every setting that can change a result, as plain JSON types."""
        everything = dataclasses.asdict(self)
        del everything["run"]
        return everything
