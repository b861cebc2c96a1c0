"""Training the HMM: what is fitted is what calls, and labels held out say if it helps."""

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from baleen.calling.hmm import HmmParameters
from baleen.calling.hmm_training import LabelledPairs, Quality, cross_validate, train
from baleen.errors import InputError, UsageError
from baleen.outputs.site_table import read_site_table
from baleen.training import read_labels

COMMAND = [sys.executable, "-m", "baleen"]


def baleen(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


def chain(scale, memory=0.6, n_reads=120, n_positions=40, seed=0, share=0.3):
    """Reads drawn from the chain with known memory, whose evidence is ``scale`` times too strong."""
    rng = np.random.default_rng(seed)
    state = np.empty((n_reads, n_positions), bool)
    state[:, 0] = rng.random(n_reads) < share
    for t in range(1, n_positions):
        stays = rng.random(n_reads) < memory
        state[:, t] = np.where(stays, state[:, t - 1], rng.random(n_reads) < share)
    x = rng.normal(np.where(state, 0.6, -0.6), 1)
    size = state.size
    return LabelledPairs(
        position=np.tile(np.arange(n_positions, dtype=np.int32), n_reads),
        read=np.repeat(np.arange(n_reads, dtype=np.int32), n_positions),
        log_ratio=(scale * 1.2 * x).ravel(),
        share=np.full(size, share),
        site_probability=np.ones(size),
        label=state.astype(np.int8).ravel(),
        is_mixed=np.zeros(size, bool),
        is_native=np.ones(size, bool),
        odds=np.ones(size),
        fold=np.tile(np.arange(n_positions) // 8, n_reads).astype(np.int64),
    )


def test_training_finds_memory_and_scale_of_the_emissions():
    got = train(chain(3.0), HmmParameters())
    assert got.scale == pytest.approx(1 / 3, rel=0.3)
    assert got.memory == pytest.approx(0.6, abs=0.15)


def test_trained_parameters_are_better_on_labels_held_out():
    before, held_out = cross_validate(chain(3.0), HmmParameters())
    assert held_out.log_loss < before.log_loss - 0.1
    assert held_out.auroc > before.auroc


def test_labels_of_sites_leave_their_reads_open():
    """Natives are a mixture at labelled sites, controls are not: the scale follows from that alone."""
    natives, controls = chain(3.0, n_reads=600), chain(3.0, n_reads=600, share=1e-9, seed=1)
    size = len(natives.label)
    labels = {"label": np.full(size, -1, np.int8), "is_mixed": natives.position % 13 == 6}
    natives = dataclasses.replace(natives, **labels)
    share, alike = np.full(size, 0.3), np.zeros(size, bool)
    controls = dataclasses.replace(controls, **labels, share=share, is_native=alike)
    pairs = LabelledPairs.concatenate([natives, controls], [600, 600])
    got = train(pairs, HmmParameters())
    assert 0.2 < got.scale < 0.6
    p = pairs.given_event(got)
    truth = chain(3.0, n_reads=600).label
    assert p[pairs.is_native].mean() == pytest.approx(truth.mean(), abs=0.1)
    assert Quality.of(p[pairs.is_native], truth).auroc > 0.8


def write(path, rows):
    path.write_text("\n".join("\t".join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.mark.parametrize(("n_modified", "n_unmodified"), [(9, 30), (30, 9), (0, 0)])
def test_too_few_labels_are_refused(tmp_path, n_modified, n_unmodified):
    rows = [("tx", i, int(i < n_modified)) for i in range(n_modified + n_unmodified)]
    path = write(tmp_path / "labels.tsv", [("contig", "position", "label"), *rows])
    with pytest.raises(UsageError, match=rf"{n_modified} modified and {n_unmodified} unmodified"):
        read_labels(path)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("contig", "pos", "label")], "has no column position"),
        ([("contig", "position", "label"), ("tx", "-3", "1")], "line 2: position '-3'"),
        ([("contig", "position", "label"), ("tx", "3", "m6A")], "line 2: position '3' with label 'm6A'"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, rows, reason):
    with pytest.raises(InputError, match=reason):
        read_labels(write(tmp_path / "labels.tsv", rows))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that kept its arrays, with labels of its sites and of its reads."""
    folder = tmp_path_factory.mktemp("training")
    pair = folder / "pair"
    options = ["--contigs", "2", "--contig-length", "300", "--reads", "20", "--seed", "5"]
    assert baleen("simulate", "-o", pair, *options).returncode == 0
    inputs = []
    for condition in ("native", "ivt"):
        for kind in ("bam", "blow5"):
            inputs += [f"--{condition}-{kind}", pair / condition / f"reads.{kind}"]
    settings = ["--permutations", "1", "--min-depth", "5", "--threads", "1", "--channels", "level"]
    command = ["run", *inputs, "--ref", pair / "ref.fa", "-o", folder / "out", *settings]
    done = baleen(*command, "--keep-intermediate", "--no-read-bam")
    assert done.returncode == 0, done.stderr
    with (pair / "truth_sites.tsv").open() as handle:
        truth = {(row["contig"], int(row["pos0"])) for row in csv.DictReader(handle, delimiter="\t")}
    others = [(contig, position + 7) for contig, position in truth if (contig, position + 7) not in truth]
    sites = [(*site, 1) for site in sorted(truth)] + [(*site, 0) for site in sorted(others)]
    write(folder / "sites.tsv", [("contig", "position", "label"), *sites])
    with (pair / "truth_reads.tsv").open() as handle:
        rows = [
            (row["contig"], row["pos0"], row["read_id"], row["modified"])
            for row in csv.DictReader(handle, delimiter="\t")
        ]
    write(folder / "reads.tsv", [("contig", "position", "read_id", "label"), *rows])
    return folder


@pytest.mark.parametrize(
    ("labels", "states", "mode"), [("sites.tsv", 2, "semi-supervised"), ("reads.tsv", 3, "supervised")]
)
def test_trained_parameters_are_applied_by_aggregate(run, tmp_path, labels, states, mode):
    done = baleen(
        "train", run / "out", "--labels", run / labels, "-o", tmp_path / "hmm.json", "--states", states
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "hmm.json").read_text())
    assert len(HmmParameters.from_json(written).stationary) == states
    assert written["provenance"]["mode"] == mode
    assert 0.5 < written["provenance"]["cross_validation"]["trained"]["auroc"] <= 1
    done = baleen(
        "aggregate", run / "out", "-o", tmp_path / "out", "--hmm-params", tmp_path / "hmm.json",
        "--no-read-bam", "--threads", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after = (read_site_table(one / "site_results.tsv") for one in (run / "out", tmp_path / "out"))
    np.testing.assert_array_equal(after["pvalue"], before["pvalue"])  # smoothing never enters a test
    assert not np.array_equal(after["mean_p_mod"], before["mean_p_mod"], equal_nan=True)


def test_labels_that_meet_no_read_are_named(run, tmp_path):
    rows = [("tx0", 100_000 + i, i % 2) for i in range(40)]
    labels = write(tmp_path / "far.tsv", [("contig", "position", "label"), *rows])
    refused = baleen("train", run / "out", "--labels", labels, "-o", tmp_path / "hmm.json")
    assert (refused.returncode, "far.tsv: no label is at a position" in refused.stderr) == (3, True)
