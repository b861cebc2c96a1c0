"""Align reads before a run: minimap2 in process, or bowtie, bowtie2, hisat2 as fed processes."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from baleen.console import LOG
from baleen.errors import BaleenError, InputError, OutputError, UsageError
from baleen.files import cut_short_warnings
from krill.map import AlignJob, AlignOptions, AlignReport, ChildCommand, align_with_children, split
from krill.map import align_reads as align_in_process
from krill.pump import PumpSettings, available_threads

ENGINES = ("minimap2", "bowtie", "bowtie2", "hisat2")


@dataclass(frozen=True, kw_only=True)
class ProcessPlan:
    """How an engine that runs as processes is started.

    Parameters
    ----------
    processes
        Number of processes; each gets ``threads`` of the pump divided by this.
    index
        Prefix of an index built before; None builds one from the reference and throws it away.
    is_static
        Cut the reads into equal files beforehand instead of feeding whoever has room.
    shares
        Files of a static split made before, one or two per process; None cuts them for this run.
    is_spliced
        Let HISAT2 look for introns.
    arguments
        Further arguments for the engine, as it takes them.
    """

    processes: int = 1
    index: Path | None = None
    is_static: bool = False
    shares: tuple[tuple[Path, ...], ...] | None = None
    is_spliced: bool = True
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AlignRequest:
    """What to align and how.

    Parameters
    ----------
    reads
        One file of reads, or the two of paired short reads.
    reference
        FASTA file.
    output
        BAM to write, sorted; its index is written beside it.
    engine
        One of ``ENGINES``.
    options, pump, plan
        Presets and the BAM; how reads are shared out; how processes are started.
    """

    reads: tuple[Path, ...]
    reference: Path
    output: Path
    engine: str = "minimap2"
    options: AlignOptions = field(default_factory=AlignOptions)
    pump: PumpSettings = field(default_factory=PumpSettings)
    plan: ProcessPlan = field(default_factory=ProcessPlan)

    @property
    def job(self) -> AlignJob:
        """The files, as the engine room takes them."""
        return AlignJob(self.reads, self.reference, self.output, self.options)


@dataclass(frozen=True)
class _Program:
    """One external engine: its Debian package and how it wants to be asked."""

    package: str
    index_suffixes: tuple[str, ...]
    fixed: tuple[str, ...]
    fed: tuple[str, ...]
    file: tuple[str, ...]


# --mm: processes share one copy of the index. All read one line per read or pair from one pipe.
_PROGRAMS = {
    "bowtie": _Program("bowtie", (".1.ebwt", ".1.ebwtl"), ("--mm", "-S"), ("--12", "-"), ()),
    "bowtie2": _Program("bowtie2", (".1.bt2", ".1.bt2l"), ("--mm",), ("--tab5", "-"), ("-U",)),
    # without --no-temp-splicesite a read's result depends on the reads its process saw before
    "hisat2": _Program(
        "hisat2", (".1.ht2", ".1.ht2l"), ("--mm", "--no-temp-splicesite"), ("--12", "-"), ("-U",)
    ),
}


def align_reads(request: AlignRequest) -> AlignReport:
    """Align reads and write a coordinate-sorted, indexed BAM.

    Raises
    ------
    FormatError
        A file of reads or the reference is damaged.
    InputError
        A file cannot be read.
    OutputError
        The BAM cannot be written.
    UsageError
        A setting has a value it cannot have, or the engine is not installed.
    """
    if request.engine not in ENGINES:
        message = f"--engine: {request.engine!r} is not one of {', '.join(ENGINES)}"
        raise UsageError(message)
    for warning in cut_short_warnings((*request.reads, request.reference)):
        LOG.warning("warning: %s", warning)
    with _named_errors(request):
        if request.engine == "minimap2":
            if request.plan.processes > 1:
                message = "--procs: minimap2 runs in this process; use --threads"
                raise UsageError(message)
            return align_in_process(request.job, request.pump)
        return _align_with_processes(request)


@contextmanager
def _named_errors(request: AlignRequest) -> Iterator[None]:
    """Turn the engine room's plain errors into ours."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        problem = error.strerror or str(error)
        inputs = {str(path) for path in (*request.reads, request.reference)}
        if error.filename is not None and str(error.filename) in inputs:
            raise InputError(error.filename, problem) from error
        message = f"{error.filename or request.output}: {problem}"
        raise OutputError(message) from error


def _align_with_processes(request: AlignRequest) -> AlignReport:
    program, plan = _PROGRAMS[request.engine], request.plan
    _require(request.engine, program.package)
    threads = max(1, request.pump.threads // plan.processes)
    with tempfile.TemporaryDirectory(prefix="baleen-align-", dir=request.output.parent) as name:
        folder = Path(name)
        index = plan.index or build_index(request.engine, request.reference, folder)
        head = [request.engine, "-p", str(threads), *program.fixed, "-x", str(index)]
        if request.engine == "hisat2" and not plan.is_spliced:
            head.append("--no-spliced-alignment")
        head += plan.arguments
        tails = _inputs(request, program, folder)
        children = [ChildCommand([*head, *tail], folder / f"{i}.log") for i, tail in enumerate(tails)]
        job = request.job
        if plan.is_static:
            job = AlignJob((), job.reference, job.output, job.options)
        engine = f"{request.engine} {_version(request.engine)}, {plan.processes} x {threads} threads"
        return align_with_children(job, engine, children, request.pump)


def _inputs(request: AlignRequest, program: _Program, folder: Path) -> list[tuple[str, ...]]:
    """Return the arguments that tell each process where its reads are."""
    processes = request.plan.processes
    if not request.plan.is_static:
        return [program.fed] * processes
    shares = request.plan.shares or split_reads(request.reads, processes, folder)
    if len(request.reads) == 2:
        return [("-1", str(first), "-2", str(second)) for first, second in shares]
    return [(*program.file, str(share)) for (share,) in shares]


def split_reads(reads: Sequence[Path], processes: int, folder: Path) -> tuple[tuple[Path, ...], ...]:
    """Cut reads into equal files in a folder, one per process and input; return their paths."""
    mates = range(1, len(reads) + 1)
    shares = tuple(
        tuple(folder / f"share{i}of{processes}.{mate}.fq" for mate in mates) for i in range(processes)
    )
    split(reads, shares)
    return shares


def require(engine: str) -> None:
    """Raise `UsageError`, naming the package, if an external engine is not installed."""
    _require(engine, _PROGRAMS[engine].package)


def _require(engine: str, package: str) -> None:
    if shutil.which(engine) is None:
        message = f"--engine: {engine} is not installed"
        raise UsageError(message, hint=f"apt-get install {package}")


def build_index(engine: str, reference: Path, folder: Path) -> Path:
    """Return the index beside the reference, or build one in the folder.

    Raises
    ------
    InputError
        If the engine cannot index the reference.
    UsageError
        If its builder is not installed.
    """
    program = _PROGRAMS[engine]
    if any(Path(f"{reference}{suffix}").exists() for suffix in program.index_suffixes):
        return reference
    builder = f"{engine}-build"
    _require(builder, program.package)
    index = folder / "index"
    command = [builder, "-q", str(reference), str(index)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise InputError(reference, f"{builder} cannot index it:\n{said}")
    return index


def _version(engine: str) -> str:
    done = subprocess.run([engine, "--version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    if "version" not in words:
        message = f"{engine} --version says nothing of a version"
        raise BaleenError(message)
    return words[words.index("version") + 1]


def pump_settings(threads: int, processes: int = 1, **names: str) -> PumpSettings:
    """Return settings for ``threads`` per process (0 = all cores, shared out)."""
    total = threads * processes if threads else max(available_threads(), processes)
    return PumpSettings(threads=total, **names)  # type: ignore[arg-type]  # names are the str fields
