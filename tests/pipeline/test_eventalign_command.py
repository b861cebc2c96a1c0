"""`baleen eventalign`: rows say what the aligner found, in f5c's columns, and agree with other tools."""

import csv
import dataclasses
import gzip
import os
import signal
import sys
from pathlib import Path

import command_line
import numpy as np
import pytest
from click.testing import CliRunner

import krill
from baleen.commands.simulate import command as simulate
from baleen.config import Config
from baleen.event_rows import COLUMNS, format_rows
from baleen.inputs import SampleFiles, open_sample, read_contig, read_reference
from baleen.simulated_pair import PairFiles
from krill.reads.batch import ReadStatus

SMALL = ("--contigs", "2", "--contig-length", "250", "--reads", "40", "--adapter-s", ".3")
F5C = (
    "contig position reference_kmer read_name strand event_index event_level_mean event_stdv event_length "
    "model_kmer model_mean model_stdv standardized_level start_idx end_idx"
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> PairFiles:
    folder = tmp_path_factory.mktemp("pair")
    done = CliRunner().invoke(simulate, ["-o", str(folder), "--force", *SMALL], catch_exceptions=False)
    assert done.exit_code == 0
    return PairFiles(folder, "blow5")


def arguments(files: PairFiles, output: Path, *more: str) -> list[str]:
    sample = files.folder / "native"
    named = ["--bam", str(sample / "reads.bam"), "--signal", str(sample / "reads.blow5")]
    return [*named, "--ref", str(files.folder / "ref.fa"), "-o", str(output), *more]


def main(capsys, *arguments: str) -> tuple[int, str]:
    """Run the command in this process; return its exit code and what it said on stderr."""
    return command_line.main(capsys, "eventalign", *arguments)


def read_table(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_the_columns_are_those_of_f5c() -> None:
    assert tuple(F5C.split()) == COLUMNS


def test_rows_are_the_aligners_arrays(pair, tmp_path, capsys) -> None:
    output = tmp_path / "events.tsv"
    code, said = main(capsys, *arguments(pair, output))
    assert code == 0
    assert "80 ok" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.tsv"]
    expected = {
        (str(row["contig"]), str(row["read_name"]), int(row["position"])): row for row in of_aligner(pair)
    }
    found = read_table(output)
    assert len(found) == len(expected) > 80 * 150
    for row in found[:: len(found) // 500]:
        want = expected[row["contig"], row["read_name"], int(row["position"])]
        assert {name: row[name] for name in ("reference_kmer", "model_kmer", "strand")} == {
            "reference_kmer": want["kmer"],
            "model_kmer": want["kmer"],
            "strand": "t",
        }
        for name in ("event_index", "start_idx", "end_idx"):
            assert int(row[name]) == want[name], name
        for name, places in (
            ("event_level_mean", 2),
            ("event_stdv", 3),
            ("event_length", 5),
            ("model_mean", 2),
        ):
            assert float(row[name]) == pytest.approx(float(want[name]), abs=0.51 * 10**-places), name
        z = (want["event_level_mean"] - want["model_mean"]) / want["model_stdv"]
        assert float(row["standardized_level"]) == pytest.approx(z, abs=0.006)


def of_aligner(pair: PairFiles) -> list[dict]:
    """Return what a row must say, from the arrays."""
    sample = pair.folder / "native"
    files = SampleFiles("reads", True, (sample / "reads.bam",), (sample / "reads.blow5",))
    config = Config.from_settings({"subsample_n": 0})
    inputs = open_sample(files, pair.folder / "ref.fa", config)
    source = inputs.write(pair.folder)
    model = krill.PoreModel.shipped(inputs.chemistry)
    found = []
    for task in inputs.tasks:
        reference = read_reference(task, source)
        for _, batch in read_contig(task, source, config):
            placed = krill.align(batch, reference, model)
            for i, name in enumerate(batch.read_ids):
                first, end = placed.read_offsets[i : i + 2]
                for row in range(first, end):
                    start = int(placed.position[row]) - model.center
                    kmer = reference[start : start + model.kmer_size].tobytes().decode()
                    code = model.kmer_codes(np.frombuffer(kmer.encode(), np.uint8))[0]
                    found.append(
                        {
                            "contig": task.contig,
                            "read_name": name,
                            "position": start,
                            "kmer": kmer,
                            "event_index": end - 1 - row,
                            "event_level_mean": placed.level_mean[row],
                            "event_stdv": placed.level_stdv[row],
                            "event_length": (placed.sample_end[row] - placed.sample_start[row])
                            / batch.sampling_rate_hz,
                            "model_mean": model.level_mean[code],
                            "model_stdv": model.level_stdv[code],
                            "start_idx": placed.sample_start[row],
                            "end_idx": placed.sample_end[row],
                        }
                    )
    return found


def test_any_number_of_threads_gives_the_same_bytes(pair, tmp_path, capsys) -> None:
    made = []
    for threads in ("1", "3"):
        for suffix in ("tsv", "tsv.gz"):
            output = tmp_path / f"{threads}.{suffix}"
            assert main(capsys, *arguments(pair, output, "--threads", threads))[0] == 0
            made.append(output.read_bytes())
    assert made[0] == made[2]
    assert made[1] == made[3]
    assert gzip.decompress(made[1]) == made[0]


def test_samples_are_counted_in_the_signal_of_the_parent(pair) -> None:
    sample = pair.folder / "native"
    files = SampleFiles("reads", True, (sample / "reads.bam",), (sample / "reads.blow5",))
    inputs = open_sample(files, pair.folder / "ref.fa", Config())
    source = inputs.write(pair.folder)
    model = krill.PoreModel.shipped(inputs.chemistry)
    reference = read_reference(inputs.tasks[0], source)
    (_, batch), *_ = read_contig(inputs.tasks[0], source, Config())
    placed = krill.align(batch, reference, model)
    split = dataclasses.replace(batch, signal_start=np.full(len(batch), 10_000))
    rows = [line.split("\t") for line in format_rows(batch, placed, reference, model).decode().splitlines()]
    moved = [line.split("\t") for line in format_rows(split, placed, reference, model).decode().splitlines()]
    assert [[int(a) + 10_000, int(b) + 10_000] for *_, a, b in rows] == [
        [int(a), int(b)] for *_, a, b in moved
    ]
    assert [row[:-2] for row in rows] == [row[:-2] for row in moved]


def test_a_kmer_with_an_ambiguous_base_has_no_model(pair) -> None:
    sample = pair.folder / "native"
    files = SampleFiles("reads", True, (sample / "reads.bam",), (sample / "reads.blow5",))
    inputs = open_sample(files, pair.folder / "ref.fa", Config())
    source = inputs.write(pair.folder)
    model = krill.PoreModel.shipped(inputs.chemistry)
    reference = read_reference(inputs.tasks[0], source)
    reference[120] = ord("N")
    (_, batch), *_ = read_contig(inputs.tasks[0], source, Config())
    text = format_rows(batch, krill.align(batch, reference, model), reference, model).decode()
    rows = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in text.splitlines()]
    ambiguous = [row for row in rows if "N" in row["reference_kmer"]]
    assert {int(row["position"]) for row in ambiguous} == set(range(121 - model.kmer_size, 121))
    assert {row["model_kmer"] for row in ambiguous} == {"N" * model.kmer_size}
    assert {
        row[name] for row in ambiguous for name in ("model_mean", "model_stdv", "standardized_level")
    } == {"nan"}
    assert all(np.isfinite(float(row["event_level_mean"])) for row in rows)


def test_what_is_there_is_not_replaced_unasked(pair, tmp_path, capsys) -> None:
    output = tmp_path / "events.tsv"
    output.write_text("mine")
    code, said = main(capsys, *arguments(pair, output))
    assert (code, "events.tsv: exists" in said, "--force" in said) == (5, True, True)
    assert output.read_text() == "mine"


def test_a_folder_that_does_not_exist_is_named(pair, tmp_path, capsys) -> None:
    code, said = main(capsys, *arguments(pair, tmp_path / "no" / "events.tsv"))
    assert (code, "mkdir -p" in said, "no/events.tsv" in said) == (5, True, True)


def test_damage_within_the_signal_leaves_nothing_behind(tiny_run, tmp_path, capsys) -> None:
    path = tiny_run.path("native", "blow5")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(bytes(data))
    output = tmp_path / "out" / "events.tsv"
    output.parent.mkdir()
    given = [
        "--bam",
        str(tiny_run.path("native", "bam")),
        "--signal",
        str(path),
        "--ref",
        str(tiny_run.reference),
    ]
    code, said = main(capsys, *given, "-o", str(output))
    assert (code, "native.blow5" in said) == (3, True)
    assert list(output.parent.iterdir()) == []


def test_a_stopped_command_leaves_nothing_behind(pair, tmp_path, capsys, monkeypatch) -> None:
    def stop(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        return b""

    monkeypatch.setattr("baleen.eventalign.format_rows", stop)
    code, said = main(capsys, *arguments(pair, tmp_path / "events.tsv", "--threads", "1"))
    assert (code, said.splitlines()[-1]) == (143, "stopped")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["events.tsv", "events.tsv.gz"])
def test_a_full_disk_leaves_no_part_of_the_table(pair, small_disk, capsys, name) -> None:
    code, said = main(capsys, *arguments(pair, small_disk / name))
    assert code == 5
    assert f"{name}: the disk is full" in said
    assert "the same command again" in said
    assert "--resume" not in said
    assert list(small_disk.iterdir()) == []


def test_reads_that_do_not_meet_end_with_the_funnel(tiny_run, tmp_path, capsys) -> None:
    tiny_run.write_signal("native", names=["other"])
    given = ["--bam", str(tiny_run.path("native", "bam")), "--signal", str(tiny_run.path("native", "blow5"))]
    code, said = main(capsys, *given, "--ref", str(tiny_run.reference), "-o", str(tmp_path / "events.tsv"))
    assert (code, "40 without signal" in said) == (3, True)


def test_reads_that_cannot_be_placed_are_counted(tiny_run, tmp_path, capsys) -> None:
    output = tmp_path / "events.tsv"
    given = ["--bam", str(tiny_run.path("native", "bam")), "--signal", str(tiny_run.path("native", "blow5"))]
    code, said = main(capsys, *given, "--ref", str(tiny_run.reference), "-o", str(output))
    assert code == 0
    n_rows = len(read_table(output))
    assert f"{n_rows} rows" in said
    counted = {
        name: int(n)
        for n, name in (item.split() for item in said.split("reads: ")[-1].splitlines()[0].split(", "))
    }
    assert sum(counted.values()) == 40
    assert set(counted) <= {status.name.lower() for status in ReadStatus}


Events = dict[tuple[str, int, str], tuple[float, int, int]]


def merged(path: Path, names: dict[str, str] | None = None) -> Events:
    """Return level, first and last sample of every position and read, its events taken together."""
    sums: dict[tuple[str, int, str], tuple[float, int, int, int]] = {}
    for row in read_table(path):
        read = row["read_name"] if names is None else names[row["read_index"]]
        key = row["contig"], int(row["position"]), read
        start, end = int(row["start_idx"]), int(row["end_idx"])
        total, n, first, last = sums.get(key, (0.0, 0, sys.maxsize, 0))
        weight = end - start
        level = total + weight * float(row["event_level_mean"])
        sums[key] = level, n + weight, min(first, start), max(last, end)
    return {key: (level / n, first, last) for key, (level, n, first, last) in sums.items()}


def agreement(ours: Events, theirs: Events) -> tuple[float, float, float]:
    """Return share of their positions that we have, share that overlap, correlation of levels."""
    shared = [key for key in theirs if key in ours]
    a, b = (np.array([events[key] for key in shared]) for events in (ours, theirs))
    overlap = np.minimum(a[:, 2], b[:, 2]) > np.maximum(a[:, 1], b[:, 1])
    return len(shared) / len(theirs), float(overlap.mean()), float(np.corrcoef(a[:, 0], b[:, 0])[0, 1])


@pytest.mark.parametrize(
    ("pore", "least_overlap", "least_r"), [("rna002", 0.90, 0.96), ("rna004", 0.88, 0.92)]
)
def test_events_agree_with_f5c(shared_data, tmp_path, capsys, pore, least_overlap, least_r) -> None:
    folder, output = shared_data / "sim" / f"{pore}_small", tmp_path / "events.tsv"
    files = PairFiles(folder, "blow5")
    assert main(capsys, *arguments(files, output, "--target", "ecoli16S"))[0] == 0
    oracle = merged(shared_data / "oracle" / f"f5c.{pore}_small.native.tsv.gz")
    theirs = {key: events for key, events in oracle.items() if key[0] == "ecoli16S"}
    there, overlap, r = agreement(merged(output), theirs)
    assert there > 0.99
    assert overlap > least_overlap
    assert r > least_r


def test_events_agree_with_nanopolish_on_real_reads(shared_data, tmp_path, capsys) -> None:
    from baleen.commands.align import command as align

    real, bam, output = shared_data / "real" / "formats", tmp_path / "reads.bam", tmp_path / "events.tsv"
    reads, reference = str(real / "reads.fastq"), str(real / "ref.fa")
    CliRunner().invoke(align, [reads, reference, "-o", str(bam), "--threads", "1"], catch_exceptions=False)
    given = ["--bam", str(bam), "--signal", str(real / "test.pod5"), "--ref", reference]
    assert main(capsys, *given, "-o", str(output))[0] == 0
    with (real / "eventalign_summary.csv").open() as handle:
        names = {row["read_index"]: row["read_name"] for row in csv.DictReader(handle, delimiter="\t")}
    theirs = merged(real / "nanopolish_eventalign.tsv.gz", names)
    there, overlap, r = agreement(merged(output), theirs)
    assert (there > 0.99, overlap > 0.80, r > 0.87) == (True, True, True)
