"""Figures of read alignment: the same reads every way, short locks, minimap2's own results and speed."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysam
import pyslow5

from benchmarks.accept.many_cores import align_rows
from benchmarks.accept.rows import Row
from benchmarks.align.data import ReadSet, simulate
from benchmarks.align.scaling import scaling_rows
from benchmarks.machine import ROOT
from krill.map import MINIMAP2_VERSION, AlignJob, AlignOptions, AlignReport, align_reads
from krill.pump import LOCKS, PumpSettings, copy, decode_signals, pad

_REPEATS = 5
_ADVERSARIAL = (
    b"\n@a x\nACGT\n+\n@+@+\n\n\n@@\nA\n+\n+\n@+\n\n+\n\n"
    + b"@long\n"
    + b"G" * 100_000
    + b"\n+\n"
    + b"@" * 100_000
)


def rows() -> Iterator[Row]:
    """Yield the figures, cheapest first."""
    with tempfile.TemporaryDirectory(prefix="accept-align-") as name:
        folder = Path(name)
        yield _same_records(folder)
        yield _resynchronisation()
        yield from in_lock_costs(folder)
        yield from _signals(folder)
        data = simulate(folder)
        program = minimap2_program(folder)
        yield from _against_minimap2(folder, data, program)
        yield from serial_share(folder, data)
        yield from scaling_rows(folder, data)
        yield from align_rows(folder, data, program)


def _same_records(folder: Path) -> Row:
    """Row 1: every strategy, lock and sink on text that tries to be mistaken."""
    records = b"".join(b"@r%d\n%s\n+\n%s\n" % (i, b"ACG" * (i % 40), b"@+I" * (i % 40)) for i in range(500))
    texts = {"plain": records + _ADVERSARIAL + b"\n", "no final line end": records + _ADVERSARIAL}
    texts["CRLF"] = texts["plain"].replace(b"\n", b"\r\n")
    tried = different = 0
    for text in texts.values():
        source, padded, target = folder / "reads.fq", folder / "padded.fq", folder / "copy.fq"
        source.write_bytes(text)
        pad([source], [padded], 210_000)
        digests = set()
        for parsing in "ODBLKA":
            for lock in LOCKS[1:]:
                for threads in (1, 3):
                    way = PumpSettings(
                        threads=threads, parsing=parsing, lock=lock, output="ordered", batch_bytes=3000
                    )
                    copy([padded if parsing == "L" else source], target, way)
                    digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
                    tried += 1
                for output in ("single", "striped:2", "slices"):
                    way = PumpSettings(threads=2, parsing=parsing, lock=lock, output=output, batch_bytes=3000)
                    copy([padded if parsing == "L" else source], target, way)
                    digests.add(_digest_of_records(target))
                    tried += 1
        different += len(digests) != 2  # one of the ordered text, one of its sorted records
    return Row.holds(
        "strategies x locks x sinks give the same records; ordered is byte-identical",
        "all equal",
        ok=different == 0,
        got=f"{tried} runs on {len(texts)} adversarial texts, {different} texts with a difference",
    )


def _digest_of_records(target: Path) -> str:
    lines = target.read_bytes().split(b"\n")
    records = sorted(b"\n".join(lines[i : i + 4]) for i in range(0, len(lines) - 1, 4))
    return hashlib.sha256(b"\n".join(records)).hexdigest()


def _resynchronisation() -> Row:
    """Row 2: the property test that cuts generated FASTQ at every byte."""
    test = "records_are_found_again_from_every_byte"
    words = ["cargo", "test", "--release", "-q", "-p", "krill-reads", "--test", "strategies", test]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    ok = done.returncode == 0 and "1 passed" in done.stdout
    return Row.holds(
        "a cut at every byte of adversarial FASTQ equals the sequential parse",
        "property holds",
        ok=ok,
        got="300 generated files, all bytes" if ok else done.stdout[-300:],
    )


def in_lock_costs(folder: Path) -> Iterator[Row]:
    """Row 3: time inside the input lock per 100-nt read, one thread, strategies in turn."""
    source, padded = folder / "short.fq", folder / "short.padded.fq"
    record = b"@SRR%09d.%d 100\n%s\n+\n%s\n"
    source.write_bytes(b"".join(record % (i, i, b"ACGTT" * 20, b"IIFF#" * 20) for i in range(100_000)))
    pad([source], [padded], 12_288)
    cost_ns: dict[str, float] = {}
    for _ in range(_REPEATS):
        for parsing in "ODBLKA":
            batch_bytes = 32 * 240 if parsing == "B" else 1 << 18
            way = PumpSettings(threads=1, parsing=parsing, batch_bytes=batch_bytes)
            text = padded if parsing == "L" else source
            text.read_bytes()  # all find their text in the same caches: only L has a file of its own
            report = copy([text], None, way)
            ns = 1e9 * report.locks[0].inside_s / report.n_reads
            cost_ns[parsing] = min(ns, cost_ns.get(parsing, ns))
    shown = ", ".join(f"{parsing} {ns:.1f}" for parsing, ns in cost_ns.items())
    yield Row(f"in-lock ns per read ({_REPEATS} runs, least)", "", "", shown, None, cost_ns)
    for parsing, other, limit in [("K", "B", 0.25), ("A", "B", 0.01), ("L", "B", 0.25), ("B", "O", 0.9)]:
        yield Row.at_most(f"in-lock time {parsing} / {other}", cost_ns[parsing] / cost_ns[other], limit)


def _signals(folder: Path) -> Iterator[Row]:
    """BLOW5 on the pump: speed beside the format's own library, and the share inside the lock."""
    path = folder / "signals.blow5"
    rng = np.random.default_rng(3)
    out = pyslow5.Open(str(path), "w", rec_press="zlib", sig_press="svb-zd")
    out.write_header(dict.fromkeys(out.get_empty_header(), "x"))
    for number in range(200):
        levels = np.repeat(rng.normal(800, 60, 1000), rng.geometric(1 / 35, 1000))  # a kilobase of RNA
        signal = (levels + rng.normal(0, 12, len(levels))).astype(np.int16)
        record = out.get_empty_record()
        record.update(read_id=f"r{number}", read_group=0, digitisation=2048.0, offset=0.0, range=300.0)
        record.update(sampling_rate=4000.0, len_raw_signal=len(signal), signal=signal)
        out.write_record(record)
    out.close()
    their_s, our_s, shares = [], [], []
    for _ in range(3 * _REPEATS):  # a tenth of a second each
        before = time.process_time()
        expected = sum(len(record["signal"]) for record in pyslow5.Open(str(path), "r").seq_reads())
        their_s.append(time.process_time() - before)
        report, n_samples = decode_signals(path, PumpSettings(threads=1))
        assert n_samples == expected
        our_s.append(sum(worker.on_cpu_s for worker in report.workers))
        shares.append(report.in_lock_s / our_s[-1])
    ratio, least = min(their_s) / min(our_s), f"(least of {len(shares)})"
    yield Row.at_least(f"BLOW5 samples per CPU second over pyslow5 {least}", ratio, 1.2)
    yield Row.at_most(f"serial share of BLOW5 on the pump, % {least}", 100 * min(shares), 1.0)


def minimap2_program(folder: Path) -> Path | None:
    """Build minimap2's command line from the C sources of the crate; None where zlib has no headers."""
    words = ["cargo", "metadata", "--format-version", "1", "--offline"]
    metadata = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout)
    (crate,) = [p for p in metadata["packages"] if p["name"] == "minimap2-sys"]
    sources = folder / "minimap2"
    shutil.copytree(Path(crate["manifest_path"]).parent / "minimap2", sources)
    subprocess.run(["make", "minimap2"], cwd=sources, capture_output=True, check=False)
    program = sources / "minimap2"
    return program if program.exists() else None


def _against_minimap2(folder: Path, data: ReadSet, program: Path | None) -> Iterator[Row]:
    """Row 4: the records and the CPU time of minimap2's own command line."""
    if program is None:
        yield Row.not_measurable(
            "records and CPU of minimap2's command line", "equal", "it does not build here"
        )
        return
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert version == MINIMAP2_VERSION, version
    cases = [
        ("rna", ("-x", "splice", "-uf", "-k14"), (data.rna,)),
        ("rna-transcripts", ("-x", "map-ont", "-k14", "--for-only"), (data.rna,)),
        ("map-ont", ("-x", "map-ont"), (data.rna,)),
        ("sr", ("-x", "sr"), data.pairs[:1]),
        ("sr", ("-x", "sr"), data.pairs),
    ]
    sam, bam = folder / "mm.sam", folder / "ours.bam"
    for preset, flags, reads in cases:
        _cpu_s([program, "-a", "-t1", *flags, data.reference, *reads], sam)
        _align(reads, data, bam, preset, 2)
        theirs, ours = _primary(sam), _primary(bam)
        equal = sum(ours[key] == theirs.get(key) for key in ours)
        kind = "pairs" if len(reads) == 2 else "single"
        figure = f"primary records equal to minimap2 {version} ({preset}, {kind})"
        ok = equal == len(ours) == len(theirs)
        yield Row.holds(figure, "100 %", ok=ok, got=f"{equal} of {len(theirs)}")
    empty = folder / "empty.fq"
    empty.write_text("")
    for preset, flags, reads in (cases[0], cases[4]):
        yield _cpu_row((program, flags), (preset, reads), data, (sam, bam, empty))


def _cpu_row(
    theirs: tuple[Path, tuple[str, ...]],
    ours: tuple[str, tuple[Path, ...]],
    data: ReadSet,
    paths: tuple[Path, Path, Path],
) -> Row:
    """CPU of reading, mapping and writing records; the index is left out on both sides."""
    (program, flags), (preset, reads), (sam, bam, empty) = theirs, ours, paths
    their_s, our_s, whole_s = [], [], []
    for _ in range(_REPEATS):
        index_s = _cpu_s([program, "-a", "-t1", *flags, data.reference, *([empty] * len(reads))], sam)
        their_s.append(_cpu_s([program, "-a", "-t1", *flags, data.reference, *reads], sam) - index_s)
        before = time.process_time()
        report = _align(reads, data, bam, preset, 1)
        whole_s.append(time.process_time() - before)
        our_s.append(sum(worker.on_cpu_s for worker in report.mapping.workers))
    row = Row.at_most(
        f"CPU of mapping over minimap2's ({preset}, least of {_REPEATS})", min(our_s) / min(their_s), 1.05
    )
    whole = f"whole run with index, sort, BAM {min(whole_s):.2f} s"
    got = f"{row.got} ({min(our_s):.2f} s / {min(their_s):.2f} s; {whole})"
    return Row(row.figure, row.must, row.goal, got, row.ok, row.value)


def _cpu_s(words: list[object], output: Path) -> float:
    with output.open("wb") as file:
        process = subprocess.Popen([str(word) for word in words], stdout=file, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_utime + usage.ru_stime


def _align(reads: tuple[Path, ...], data: ReadSet, bam: Path, preset: str, threads: int) -> AlignReport:
    options = AlignOptions(preset=preset)
    return align_reads(AlignJob(reads, data.reference, bam, options), PumpSettings(threads=threads))


def _primary(path: Path) -> dict[tuple[str | None, bool], tuple[object, ...]]:
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        return {
            (r.query_name, r.is_read2): (
                r.flag,
                r.reference_name,
                r.reference_start,
                r.cigarstring,
                r.mapping_quality,
            )
            for r in file
            if not r.flag & 0x900
        }


def _gzipped(path: Path, folder: Path) -> Path:
    packed = folder / f"{path.name}.gz"
    with path.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target)
    return packed


def serial_share(folder: Path, data: ReadSet) -> Iterator[Row]:
    """Row 5: time inside shared locks and the merge's, of the workers' time on a core.

    One thread: with several, a thread that loses its core inside a lock would count as serial work.
    """
    bam, padded = folder / "serial.bam", (folder / "p1.fq", folder / "p2.fq")
    pad(data.pairs, padded)
    cases = [("rna", "single", (data.rna,)), ("sr", "single", data.pairs[:1])]
    cases += [("sr", "padded pairs", padded), ("sr", "pairs", data.pairs)]
    cases.append(("sr", "gzip pairs", tuple(_gzipped(path, folder) for path in data.pairs)))
    for preset, kind, reads in cases:
        share = min(_align(reads, data, bam, preset, 1).serial_share for _ in range(2 * _REPEATS))
        figure = f"serial share of align, % ({preset}, {kind}, least of {2 * _REPEATS})"
        yield Row.at_most(figure, 100 * share, 1.0)
