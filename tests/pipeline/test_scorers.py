"""Scorers from outside: the one of the guide, and what no scorer can do."""

import json
import os
import re
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from baleen import calling
from baleen.calling import Evidence
from baleen.config import CallingConfig
from baleen.data import ReadIndex, SignalPileup
from baleen.errors import UsageError
from baleen.outputs.site_table import read_site_table
from baleen.outputs.slices import Slice
from baleen.scorers import load_scorers, score_windows

PAGE = Path(__file__).parents[2] / "docs/guide/scorer.md"


def block(language):
    """Return the first code block of the guide in a language."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The guide's scorer as `pip install` leaves it; returns its folder."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "median_scorer.py").write_text(block("python"))
    project = tomllib.loads(block("toml"))["project"]
    info = folder / "median_scorer-1.0.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata)
    points = project["entry-points"]["baleen.channels"]
    lines = ["[baleen.channels]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def baleen(installed, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "baleen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_scorer_of_the_guide_runs_and_is_left_out_again(installed, tmp_path):
    assert len(block("python").splitlines()) <= 30
    pair = tmp_path / "pair"
    options = ["--contigs", "2", "--contig-length", "200", "--reads", "12", "--seed", "5"]
    assert baleen(installed, "simulate", "-o", pair, *options).returncode == 0
    inputs = []
    for condition in ("native", "ivt"):
        for kind in ("bam", "blow5"):
            inputs += [f"--{condition}-{kind}", pair / condition / f"reads.{kind}"]
    settings = ["--permutations", "1", "--min-depth", "5", "--threads", "1", "--no-read-bam"]
    common = ["run", *inputs, "--ref", pair / "ref.fa", *settings]
    more = ["--channels", "level,errors,median", "--keep-intermediate"]
    done = baleen(installed, *common, *more, "-o", tmp_path / "with")
    assert done.returncode == 0, done.stderr
    with closing(Slice(tmp_path / "with/per_contig/000000.evidence.npz")) as piece:
        evidence = Evidence.from_arrays(piece.table(piece.tables()[0]))
    assert evidence.candidates.tolist() == ["level", "level+median", "median"]
    assert np.isfinite(evidence.statistic[:, evidence.n_native > 5]).mean() > 0.9
    done = baleen(installed, *common, "--channels", "level,errors", "-o", tmp_path / "plain")
    assert done.returncode == 0, done.stderr
    done = baleen(
        installed, "aggregate", tmp_path / "with", "-o", tmp_path / "without",
        "--channels", "level,errors", "--no-read-bam",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plain, without = (read_site_table(tmp_path / name / "site_results.tsv") for name in ("plain", "without"))
    for name, column in plain.items():
        np.testing.assert_array_equal(without[name], column, err_msg=name)
    assert json.loads((tmp_path / "without/run.json").read_text())["model"]["candidate"] == 0


class Labels:
    """Tries to score what is tested."""

    name = "labels"

    def score(self, pileup, distances, config):
        return (pileup.reads.is_native[pileup.read] + 2 * pileup.reads.sample[pileup.read]).astype(np.float32)


class Noise:
    """Says nothing, at length."""

    name = "noise"

    def score(self, pileup, distances, config):
        return np.random.default_rng(7).normal(size=len(pileup.read)).astype(np.float32)


class Doubles:
    name = "doubles"

    def score(self, pileup, distances, config):
        return np.zeros(len(pileup.read))


def pileup(n=24, length=160):
    rng = np.random.default_rng(3)
    p = length - 4
    is_native = np.arange(n) < n // 2
    level = rng.normal(90, 2.5, (p, n))
    level[60:63, : n // 2] += 9
    windows = np.arange(p * n, dtype=np.int64)
    ones = np.ones(p * n, np.float32)
    return SignalPileup(
        contig="contig",
        sequence=rng.choice(np.frombuffer(b"ACGT", np.uint8), length),
        position=np.arange(2, length - 2, dtype=np.int32),
        window_offsets=np.arange(0, p * n + 1, n, dtype=np.int64),
        read=np.tile(np.arange(n, dtype=np.int32), p),
        level_pa=level.astype(np.float32).ravel(),
        level_stdv_pa=ones,
        confidence=ones,
        dwell_samples=np.full(p * n, 30, np.int32),
        signal=np.zeros(p * n, np.float32),
        base_start=windows,
        base_end=windows + 1,
        window_start=windows,
        window_end=windows + 1,
        reads=ReadIndex(
            tuple(map(str, range(n))), is_native, (~is_native).astype(np.uint8), np.zeros(n, np.uint8),
            ("native", "control"),
        ),
    )  # fmt: skip


def test_labels_are_hidden_from_scorers():
    config = CallingConfig(channels=("level", "labels"))
    scores = score_windows([Labels()], pileup(), None, config)
    assert set(scores["labels"].tolist()) == {0.0}


def test_a_scorer_without_information_changes_no_call():
    tables = []
    for names in (("level",), ("level", "noise")):
        config = CallingConfig(channels=names, permutations=2)
        windows = pileup()
        scores = score_windows([Noise()] if "noise" in names else [], windows, None, config)
        windows = SignalPileup(**{**windows.__dict__, "scores": scores})
        evidence = calling.score_contig(windows, None, None, config, 1)
        model = calling.fit_run([calling.summarise(evidence)], config)
        assert model.candidate == 0
        tables.append(calling.finish_sites([calling.call_contig(evidence, model, config).sites])[0])
    assert (tables[0]["padj"] < 0.05).any()
    for name, column in tables[0].columns.items():
        np.testing.assert_array_equal(tables[1][name], column, err_msg=name)


def test_a_scorer_that_returns_something_else_is_named():
    with pytest.raises(ValueError, match=r"scorer doubles returned float64 of shape \(3744,\); it must"):
        score_windows([Doubles()], pileup(), None, CallingConfig())


def test_a_scorer_that_is_not_installed_is_a_usage_error():
    with pytest.raises(UsageError, match=r"'absent' is not one of level, shape, dwell, errors"):
        load_scorers(CallingConfig(channels=("level", "absent")))


def test_a_scorer_without_signal_is_a_usage_error():
    with pytest.raises(UsageError, match="absent scores signal, and --no-signal uses none"):
        load_scorers(CallingConfig(channels=("errors", "absent"), signal=False))
