"""Write a simulated native/control pair: reads, reference and the tables of what is true."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pysam

from baleen import __version__
from baleen.data import U8
from baleen.errors import InputError, OutputError, UsageError
from baleen.files import as_output_error
from baleen.read_files import Alphabet, Origin, ReadFiles, SignalFormat
from baleen.simulate import (
    SimulatedReads,
    SimulationConfig,
    Sites,
    Truth,
    contig_sites,
    random_contig,
    simulate_reads,
)
from krill import ReadBatch

CONDITIONS = ("native", "ivt")
SITE_COLUMNS = (
    "contig", "pos0", "base", "stoichiometry", "shift_pa", "dwell_factor", "n_native", "n_modified",
)  # fmt: skip
_READ_COLUMNS = ("read_id", "contig", "pos0", "modified")
_SAMPLE_COLUMNS = (
    "read_id", "contig", "pos0_start", "pos0_end", "sample_start", "sample_end",
    "gain", "offset_pa", "drift_pa", "dwell_samples",
)  # fmt: skip
_SHORTEST_CONTIG_BP = 100
_STAGING = ".part"


@dataclass(frozen=True)
class Contig:
    """A reference sequence; ``sites`` None = drawn from the settings."""

    name: str
    sequence: U8
    sites: Sites | None = None


@dataclass(frozen=True)
class PairFiles:
    """Where the files of a pair lie."""

    folder: Path
    signal_format: SignalFormat

    @property
    def reference(self) -> Path:
        """FASTA of the contigs."""
        return self.folder / "ref.fa"

    @property
    def truth_sites(self) -> Path:
        """Table of the modified sites."""
        return self.folder / "truth_sites.tsv"

    @property
    def truth_reads(self) -> Path:
        """Table of native reads over sites."""
        return self.folder / "truth_reads.tsv"

    def bam(self, condition: str) -> Path:
        """Sorted, indexed alignments of a condition."""
        return self.folder / condition / "reads.bam"

    def fastq(self, condition: str) -> Path:
        """FASTQ of a condition."""
        return self.folder / condition / "reads.fastq.gz"

    def signal(self, condition: str) -> Path:
        """Raw signal of a condition."""
        return self.folder / condition / f"reads.{self.signal_format}"

    def truth_samples(self, condition: str) -> Path:
        """Table of every read's sample boundaries."""
        return self.folder / condition / "truth_samples.tsv.gz"


def shipped_contigs() -> list[Contig]:
    """Return E. coli 16S and 23S rRNA."""
    path = files("baleen") / "reference" / "ecoli_rrna.fa"
    return _parse_fasta(path.read_text(), "the shipped reference")


def read_contigs(path: Path) -> list[Contig]:
    """Return the sequences of a FASTA file.

    Raises
    ------
    InputError
        If it cannot be read, is empty, or holds sequences that cannot be simulated.
    """
    try:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    return _parse_fasta(text, path)


def random_contigs(n: int, length_bp: int, config: SimulationConfig) -> list[Contig]:
    """Return random transcripts."""
    width = len(str(n - 1))
    return [Contig(f"tx{i:0{width}d}", random_contig(length_bp, i, config)) for i in range(n)]


def read_sites(path: Path, contigs: Iterable[Contig]) -> list[Contig]:
    """Return the contigs with the sites of a table.

    The table is tab-separated with a header: ``contig pos0 stoichiometry``, and if wanted
    ``shift_pa`` (5) and ``dwell_factor`` (1.2); ``truth_sites.tsv`` is such a table.

    Raises
    ------
    InputError
        If the table cannot be read or names a place that is not there.
    """
    by_name = {contig.name: contig for contig in contigs}
    rows: dict[str, dict[int, tuple[float, float, float]]] = {name: {} for name in by_name}
    try:
        with path.open(newline="") as handle:
            for line, row in enumerate(csv.DictReader(handle, delimiter="\t"), start=2):
                position, share = int(row["pos0"]), float(row["stoichiometry"])
                shift, slower = float(row.get("shift_pa") or 5), float(row.get("dwell_factor") or 1.2)
                contig = by_name.get(row["contig"])
                if contig is None or not 0 <= position < len(contig.sequence):
                    problem = f"line {line}: {row['contig']} has no position {position} in the reference"
                    raise InputError(path, problem)
                if not 0 <= share <= 1 or slower <= 0:
                    problem = f"line {line}: stoichiometry must lie in [0, 1], dwell_factor above 0"
                    raise InputError(path, problem)
                rows[contig.name][position] = (share, shift, slower)
    except (OSError, KeyError, ValueError, TypeError) as error:
        hint = "columns: contig pos0 stoichiometry [shift_pa dwell_factor], separated by tabs"
        raise InputError(path, f"cannot be read as a table of sites: {error!r}", hint=hint) from error
    return [replace(contig, sites=_as_sites(rows[contig.name])) for contig in by_name.values()]


def write_pair(
    folder: Path,
    contigs: list[Contig],
    config: SimulationConfig,
    *,
    signal_format: SignalFormat = "blow5",
    alphabet: Alphabet = "U",
    force: bool = False,
) -> PairFiles:
    """Simulate reads of the contigs and write all files; memory is that of one contig.

    Raises
    ------
    OutputError
        If the folder holds files and ``force`` is not set, or cannot be written.
    UsageError
        If the settings make reads that cannot be placed.
    """
    pair = PairFiles(folder, signal_format)
    staging = PairFiles(folder / _STAGING, signal_format)
    is_ours = not folder.exists()
    _check_folder(folder, force=force)
    try:
        shutil.rmtree(staging.folder, ignore_errors=True)
        for condition in CONDITIONS:
            (staging.folder / condition).mkdir(parents=True)
        _write(staging, contigs, config, alphabet)
        _publish(staging.folder, folder)
    except OSError as error:
        raise as_output_error(folder, error, is_resumable=False) from error
    except pysam.utils.SamtoolsError as error:
        message = f"{folder}: cannot be written: an index could not be made: {error}"
        raise OutputError(message, hint="check the free space, then give the same command again") from error
    except ValueError as error:
        message = f"these settings cannot be simulated: {error}"
        raise UsageError(message) from error
    finally:
        shutil.rmtree(staging.folder, ignore_errors=True)
        if is_ours and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return pair


def _check_folder(folder: Path, *, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        message = f"{folder}: is not a folder"
        raise OutputError(message)
    if folder.is_dir() and any(p.name != _STAGING for p in folder.iterdir()) and not force:
        message = f"{folder}: holds files already"
        raise OutputError(message, hint="choose another folder, or --force to replace a simulation there")


def _publish(staging: Path, folder: Path) -> None:
    """Move finished files into place; what an earlier simulation left there goes."""
    for condition in CONDITIONS:
        (folder / condition).mkdir(exist_ok=True)
    for condition in CONDITIONS:
        for stale in (folder / condition).glob("reads.*"):
            stale.unlink()
    for path in sorted(p for p in staging.rglob("*") if p.is_file()):
        path.replace(folder / path.relative_to(staging))


def _write(pair: PairFiles, contigs: list[Contig], config: SimulationConfig, alphabet: Alphabet) -> None:
    with pair.reference.open("w") as handle:
        for contig in contigs:
            text = contig.sequence.tobytes().decode("ascii")
            lines = "\n".join(text[i : i + 70] for i in range(0, len(text), 70))
            handle.write(f">{contig.name}\n{lines}\n")
    pysam.faidx(str(pair.reference))
    settings: dict[str, Any] = {"version": __version__, "pos0": "0-based", **asdict(config)}
    (pair.folder / "params.json").write_text(json.dumps(settings, indent=1) + "\n")

    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(_Condition(pair, name, contigs, config, alphabet))
            for name in CONDITIONS
        }
        tables = _Tables(pair, stack)
        for index, contig in enumerate(contigs):
            sites = contig.sites
            if sites is None:
                sites = contig_sites(len(contig.sequence), index, config)
            given = {"native": sites, "ivt": None}
            for name, condition in opened.items():
                source = simulate_reads(contig.name, index, contig.sequence, given[name], config)
                truths = condition.write_contig(source)
                if name == "native":
                    tables.write_contig(contig, sites, truths)


class _Condition:
    """Files of one condition."""

    def __init__(
        self, pair: PairFiles, name: str, contigs: list[Contig], config: SimulationConfig, alphabet: Alphabet
    ) -> None:
        chemistry = config.chemistry
        self._pair, self._name = pair, name
        origin = Origin(
            sample=name,
            kit=chemistry.kit,
            flow_cell=chemistry.flow_cell,
            basecall_model=chemistry.basecall_model,
            sampling_rate_hz=chemistry.sampling_rate_hz,
            digitisation=chemistry.digitisation,
            adc_min=chemistry.adc_min,
            contigs=tuple((contig.name, len(contig.sequence)) for contig in contigs),
        )
        self._reads = ReadFiles(
            pair.folder / name, origin, signal_format=pair.signal_format, alphabet=alphabet
        )

    def __enter__(self) -> "_Condition":
        with ExitStack() as stack:
            stack.enter_context(self._reads)
            plain = stack.enter_context(self._pair.truth_samples(self._name).open("wb"))
            # no name and no time in the header: equal seeds give equal bytes
            packed = gzip.GzipFile("", "wb", 4, plain, mtime=0)
            self._table = stack.enter_context(io.TextIOWrapper(packed, "ascii"))
            self._table.write("\t".join(_SAMPLE_COLUMNS) + "\n")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write_contig(self, source: Iterator[SimulatedReads]) -> list[tuple[tuple[str, ...], Truth]]:
        """Write one contig's reads; return their names and truth."""
        truths: list[tuple[tuple[str, ...], Truth]] = []

        def batches() -> Iterator[ReadBatch]:
            for simulated in source:
                self._table.writelines(_sample_rows(simulated))
                truths.append((simulated.reads.read_ids, simulated.truth))
                yield simulated.reads

        self._reads.write_contig(batches())
        return truths


class _Tables:
    """``truth_sites.tsv`` and ``truth_reads.tsv``."""

    def __init__(self, pair: PairFiles, stack: ExitStack) -> None:
        self._sites = stack.enter_context(pair.truth_sites.open("w"))
        self._reads = stack.enter_context(pair.truth_reads.open("w"))
        self._sites.write("\t".join(SITE_COLUMNS) + "\n")
        self._reads.write("\t".join(_READ_COLUMNS) + "\n")

    def write_contig(self, contig: Contig, sites: Sites, truths: list[tuple[tuple[str, ...], Truth]]) -> None:
        covered = sum(truth.is_covered.sum(axis=0) for _, truth in truths)
        modified = sum(truth.is_modified.sum(axis=0) for _, truth in truths)
        for i, position in enumerate(sites.position):
            self._sites.write(
                f"{contig.name}\t{position}\t{chr(contig.sequence[position])}\t{sites.stoichiometry[i]:g}"
                f"\t{sites.shift_pa[i]:.3f}\t{sites.dwell_factor[i]:.3f}\t{covered[i]}\t{modified[i]}\n"
            )
        for read_ids, truth in truths:
            for read, site in zip(*np.nonzero(truth.is_covered), strict=True):
                self._reads.write(
                    f"{read_ids[read]}\t{contig.name}\t{sites.position[site]}"
                    f"\t{int(truth.is_modified[read, site])}\n"
                )


def _sample_rows(simulated: SimulatedReads) -> Iterator[str]:
    """Yield a line per read; dwells stand in signal order: the first is that of ``pos0_end`` - 1."""
    truth, contig = simulated.truth, simulated.reads.contig
    dwell = truth.sample_end - truth.sample_start
    for i, read_id in enumerate(simulated.reads.read_ids):
        first, end = truth.offsets[i], truth.offsets[i + 1]
        yield (
            f"{read_id}\t{contig}\t{truth.position[first]}\t{truth.position[end - 1] + 1}"
            f"\t{truth.sample_start[end - 1]}\t{truth.sample_end[first]}\t{truth.distortion.gain[i]:.4f}"
            f"\t{truth.distortion.offset_pa[i]:.3f}\t{truth.distortion.drift_pa[i]:.3f}"
            f"\t{','.join(map(str, dwell[first:end][::-1]))}\n"
        )


def _as_sites(rows: dict[int, tuple[float, float, float]]) -> Sites:
    position = np.array(sorted(rows), np.int32)
    values = np.array([rows[int(p)] for p in position], float).reshape(-1, 3)
    return Sites(position, values[:, 0].copy(), values[:, 1].copy(), values[:, 2].copy())


def _parse_fasta(text: str, source: Path | str) -> list[Contig]:
    contigs: dict[str, Contig] = {}
    for entry in text.split(">")[1:]:
        title, _, body = entry.partition("\n")
        name = title.split()[0] if title.split() else ""
        bases = "".join(body.split()).upper().replace("U", "T")
        if not name or name in contigs:
            raise InputError(source, f"two contigs are named {name!r}" if name else "a contig has no name")
        if set(bases) - set("ACGT") or len(bases) < _SHORTEST_CONTIG_BP:
            problem = (
                f"contig {name} cannot be simulated: "
                f"it needs {_SHORTEST_CONTIG_BP} bases or more, all of A, C, G, T"
            )
            raise InputError(source, problem)
        contigs[name] = Contig(name, np.frombuffer(bases.encode("ascii"), np.uint8))
    if not contigs:
        raise InputError(source, "holds no sequence", hint="a FASTA file has '>name' lines")
    return list(contigs.values())
