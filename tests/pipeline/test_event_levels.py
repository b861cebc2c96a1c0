"""Levels from the rows of event tables: those of the aligner, in whatever dialect."""

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from event_table_files import pair_with_tables, rows_of, write_rows

import krill
from baleen.config import Config
from baleen.event_levels import EventBatch, read_levels
from baleen.event_rows import COLUMNS
from baleen.inputs import SampleFiles, close_files, open_sample, read_contig, read_reference
from krill.reads.batch import ReadStatus


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated pair with tables."""
    return pair_with_tables(tmp_path_factory.mktemp("pair"))


def opened(
    pair: Path, table: Path, summary: Path | None = None, **given
) -> list[tuple[EventBatch, np.ndarray]]:
    """Return batches of the native sample from a table, each with its contig's bases."""
    files = SampleFiles("native", True, (pair / "native" / "reads.bam",), eventalign=table)
    config = Config.from_settings({"subsample_n": 0, **given})
    inputs = open_sample(replace(files, eventalign_summary=summary), pair / "ref.fa", config)
    source = inputs.write(table.parent)
    found = [
        (batch, read_reference(task, source))
        for task in inputs.tasks
        for _, batch in read_contig(task, source, config)
    ]
    close_files()
    return found


def levels_of(pair: Path, table: Path, chemistry: str = "rna002", **given) -> dict[tuple, tuple[float, int]]:
    """Return level and dwell by contig, read and position."""
    model, found = krill.PoreModel.shipped(chemistry), {}
    for batch, reference in opened(pair, table, **given):
        levels = read_levels(batch, reference, model, chemistry)
        for read, position, level, dwell in zip(
            levels.read, levels.position, levels.level_pa, levels.dwell_samples, strict=True
        ):
            found[batch.contig, batch.read_ids[read], int(position)] = float(level), int(dwell)
    return found


def test_nanopolish_dialect_gives_the_same_levels(pair, tmp_path) -> None:
    """Unscaled levels, several events per position, noise, numbers for names, samples."""
    rng = np.random.default_rng(1)
    number_of: dict[str, int] = {}
    scale: dict[str, tuple[float, float]] = {}
    rows = []
    for row in rows_of(pair / "native.tsv"):
        name = row["read_name"]
        row["read_index"] = str(number_of.setdefault(name, 3 * len(number_of)))
        a, b = scale.setdefault(name, (rng.uniform(0.8, 1.2), rng.normal(0, 8)))
        level, start, end = float(row["event_level_mean"]), int(row["start_idx"]), int(row["end_idx"])
        middle = start + (end - start + 2) // 3
        parts = [(start, middle), (middle, end)] if middle < end else [(start, end)]
        shifts = [3.0, -3.0 * (middle - start) / (end - middle)] if len(parts) == 2 else [0.0]
        for (first, last), shift in zip(parts, shifts, strict=True):
            more = {"event_level_mean": a * (level + shift) + b, "start_idx": first, "end_idx": last}
            more["model_mean"] = f"{a * float(row['model_mean']) + b:.2f}"
            rows.append({**row, **more, "samples": "80.1,80.2"})
        noise = {"event_level_mean": 300, "model_kmer": "NNNNN", "model_mean": 0, "standardized_level": "inf"}
        rows.append({**rows[-1], **noise})
    columns = (*(c if c != "read_name" else "read_index" for c in COLUMNS), "samples")
    table = write_rows(tmp_path / "nanopolish.tsv", rows, columns)
    summary = tmp_path / "summary.tsv"
    lines = [f"{number}\t{name}\t1.0" for name, number in number_of.items()]
    summary.write_text("read_index\tread_name\tshift\n" + "\n".join(lines) + "\n")
    found, expected = levels_of(pair, table, summary=summary), levels_of(pair, pair / "native.tsv")
    assert found.keys() == expected.keys()
    a, b = (np.array([one[key] for key in expected]) for one in (found, expected))
    np.testing.assert_allclose(a[:, 0], b[:, 0], atol=0.01)
    np.testing.assert_array_equal(a[:, 1], b[:, 1])


def test_without_the_tables_model_levels_are_scaled_by_a_fit(pair, tmp_path) -> None:
    rng, scale, rows = np.random.default_rng(3), {}, rows_of(pair / "native.tsv")
    for row in rows:
        a, b = scale.setdefault(row["read_name"], (rng.uniform(0.8, 1.2), rng.normal(0, 8)))
        row["event_level_mean"] = str(a * float(row["event_level_mean"]) + b)
    columns = tuple(name for name in COLUMNS if not name.startswith(("model_mean", "model_stdv")))
    table = write_rows(tmp_path / "unscaled.tsv", rows, columns)
    found, expected = levels_of(pair, table), levels_of(pair, pair / "native.tsv")
    assert found.keys() == expected.keys()
    difference = np.array([found[key][0] - expected[key][0] for key in expected])
    assert np.abs(difference).mean() < 1.0
    assert np.abs(difference).max() < 6.0


def test_levels_of_our_own_table_are_those_of_the_aligner(pair) -> None:
    rows = rows_of(pair / "native.tsv")
    expected = {
        (row["contig"], row["read_name"], int(row["position"]) + 2): float(row["event_level_mean"])
        for row in rows
    }
    found = {key: level for key, (level, _) in levels_of(pair, pair / "native.tsv").items()}
    assert found == pytest.approx(expected, abs=0.01)


def test_only_noise_is_left_out_not_what_is_ambiguous_in_the_reference(pair, tmp_path) -> None:
    rows = rows_of(pair / "native.tsv")
    for row in rows:
        if 98 <= int(row["position"]) <= 102:
            kmer = row["reference_kmer"]
            at = 102 - int(row["position"])
            row["reference_kmer"], row["model_kmer"] = kmer[:at] + "N" + kmer[at + 1 :], "NNNNN"
            row["model_mean"] = row["model_stdv"] = row["standardized_level"] = "nan"
    table = write_rows(tmp_path / "ambiguous.tsv", rows)
    found, expected = levels_of(pair, table), levels_of(pair, pair / "native.tsv")
    assert found == {key: pytest.approx(level, abs=0.01) for key, level in expected.items()}


def test_without_sample_indices_seconds_give_the_dwell(pair, tmp_path) -> None:
    columns = tuple(name for name in COLUMNS if name not in {"start_idx", "end_idx", "event_stdv"})
    table = write_rows(tmp_path / "plain.tsv", rows_of(pair / "native.tsv"), columns)
    assert levels_of(pair, table, pore="rna002") == levels_of(pair, pair / "native.tsv")


def test_rows_of_a_read_on_another_contig_are_not_taken(pair, tmp_path) -> None:
    rows = rows_of(pair / "native.tsv")
    (first, second) = dict.fromkeys(row["contig"] for row in rows)
    elsewhere = rows[-1]["read_name"]
    assert rows[-1]["contig"] == second
    ghost = [{**row, "read_name": elsewhere} for row in rows if row["read_name"] == rows[0]["read_name"]]
    table = write_rows(tmp_path / "ghost.tsv", [*ghost, *rows])
    assert levels_of(pair, table) == levels_of(pair, pair / "native.tsv")
    assert ghost[0]["contig"] == first


def test_a_read_that_does_not_fit_the_model_is_dropped_with_its_status(pair, tmp_path) -> None:
    rows = rows_of(pair / "native.tsv")
    rng, spoilt = np.random.default_rng(2), rows[0]["read_name"]
    for row in rows:
        if row["read_name"] == spoilt:
            row["event_level_mean"] = str(rng.normal(90, 10))
    table = write_rows(tmp_path / "spoilt.tsv", rows)
    batch, reference = opened(pair, table)[0]
    levels = read_levels(batch, reference, krill.PoreModel.shipped("rna002"), "rna002")
    status = dict(zip(batch.read_ids, levels.status, strict=True))
    assert {name for name, one in status.items() if one == ReadStatus.POOR_FIT} == {spoilt}
    assert batch.read_ids.index(spoilt) not in levels.read


@pytest.mark.parametrize(("chemistry", "least_r"), [("rna002", 0.96), ("rna004", 0.92)])
def test_levels_of_f5c_agree_with_ours(shared_data, tmp_path, chemistry, least_r) -> None:
    table = tmp_path / "f5c.tsv"  # reads of one contig: parsing is what costs
    oracle = gzip.decompress((shared_data / "oracle" / f"f5c.{chemistry}_small.native.tsv.gz").read_bytes())
    lines = oracle.decode().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if line.startswith(("contig", "ecoli16S"))))
    folder = shared_data / "sim" / f"{chemistry}_small"
    theirs = levels_of(folder, table, chemistry, pore=chemistry, target=("ecoli16S",))
    files = SampleFiles("n", True, (folder / "native/reads.bam",), (folder / "native/reads.blow5",))
    config = Config.from_settings({"target": ("ecoli16S",), "subsample_n": 10})
    inputs = open_sample(files, folder / "ref.fa", config)
    source = inputs.write(tmp_path)
    (_, batch), *_ = read_contig(inputs.tasks[0], source, config)
    reference = read_reference(inputs.tasks[0], source)
    placed = krill.align(batch, reference, krill.PoreModel.shipped(chemistry))
    read = np.repeat(np.arange(len(batch)), np.diff(placed.read_offsets))
    pairs = [
        (theirs[key][0], level)
        for i, position, level in zip(read, placed.position, placed.level_mean, strict=True)
        if (key := ("ecoli16S", batch.read_ids[i], int(position))) in theirs
    ]
    close_files()
    a, b = np.array(pairs).T
    assert len(a) > 0.85 * len(read)
    assert np.corrcoef(a, b)[0, 1] > least_r
    assert abs(np.polyfit(b, a, 1)[0] - 1) < 0.05  # on the same scale


def test_real_nanopolish_table_is_read_to_the_scale_that_it_has(shared_data, tmp_path) -> None:
    from baleen.commands.align import command as align

    real = shared_data / "real" / "formats"
    (tmp_path / "native").mkdir()
    reads, reference, bam = real / "reads.fastq", real / "ref.fa", tmp_path / "native" / "reads.bam"
    words = [str(word) for word in (reads, reference, "-o", bam, "--threads", "1")]
    CliRunner().invoke(align, words, catch_exceptions=False)
    (tmp_path / "ref.fa").write_bytes(reference.read_bytes())
    table = tmp_path / "table.tsv.gz"
    table.write_bytes((real / "nanopolish_eventalign.tsv.gz").read_bytes())
    found = levels_of(tmp_path, table, summary=real / "eventalign_summary.csv")
    # made with --scale-events: model_mean is the model's own, so levels should hardly move
    text = gzip.decompress(table.read_bytes()).decode().splitlines()
    single: dict[tuple[str, int], list[float]] = {}
    names = {row["read_index"]: row["read_name"] for row in rows_of(real / "eventalign_summary.csv")}
    for row in csv.DictReader(text, delimiter="\t"):
        single.setdefault((names[row["read_index"]], int(row["position"]) + 2), []).append(
            float(row["event_level_mean"])
        )
    pairs = [(one, level) for (_, name, at), (level, _) in found.items() for one in single[name, at]]
    before, after = np.array(pairs).T
    assert len({name for _, name, _ in found}) == 3
    assert np.median(np.abs(after - before)) < 1.5
    assert abs(np.polyfit(before, after, 1)[0] - 1) < 0.1
