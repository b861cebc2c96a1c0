"""A finished run that is to go on stays as it is, unless something of it is gone."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import exit_code

from baleen import scoring
from baleen.commands.simulate import command as simulate

SMALL = ("--contigs", "2", "--contig-length", "110", "--reads", "10", "--sites", "2")
HERE = ("--layout", "0x1", "--min-depth", "5", "--channels", "level", "--permutations", "1")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    CliRunner().invoke(simulate, ["-o", str(folder), "--force", *SMALL], catch_exceptions=False)
    return folder


def main(capsys, *words: str | Path) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and what it said."""
    code = exit_code(*words)
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def run(pair: Path, output: Path, *more: str) -> list[str | Path]:
    words: list[str | Path] = ["run", "--ref", pair / "ref.fa", "-o", output, *HERE]
    for condition in ("native", "ivt"):
        words += [f"--{condition}-bam", pair / condition / "reads.bam"]
        words += [f"--{condition}-blow5", pair / condition / "reads.blow5"]
    return [*words, *more]


@pytest.fixture(scope="module")
def done(pair, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("done") / "out"
    assert exit_code(*run(pair, output)) == 0
    return output


@pytest.fixture
def no_scoring(monkeypatch) -> None:
    """Scoring a contig is an error."""

    def fails(*_: object) -> None:
        message = "scored again"
        raise AssertionError(message)

    monkeypatch.setattr(scoring, "score_contig", fails)


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.usefixtures("no_scoring")
@pytest.mark.parametrize("more", [["--resume"], ["--shard", "1/2"], ["--resume", "--dry-run"]], ids=str)
def test_a_finished_run_stays_as_it_is(pair, done, capsys, more) -> None:
    before = content(done)
    code, said = main(capsys, *run(pair, done, *more))
    assert code == 0, said
    assert f"the run in {done} is finished: nothing to do" in said
    assert f"sites: {done / 'site_results.tsv'}" in said
    assert content(done) == before


def test_a_merged_run_stays_as_it_is(pair, done, tmp_path, capsys) -> None:
    output = tmp_path / "out"
    for shard in ("1/2", "2/2"):
        assert main(capsys, *run(pair, output, "--shard", shard))[0] == 0
    assert main(capsys, "merge", output)[0] == 0
    assert (output / "site_results.tsv").read_bytes() == (done / "site_results.tsv").read_bytes()
    before = content(output)
    code, said = main(capsys, "merge", output)
    assert (code, "is finished: nothing to do" in said) == (0, True), said
    assert content(output) == before
    (output / "site_results.tsv").unlink()
    code, said = main(capsys, "merge", output)
    assert (code, "holds no scored contigs" in said) == (3, True), said


@pytest.mark.parametrize("name", ["site_results.tsv", "read_results.bam", "read_results.bam.bai"])
def test_a_result_that_is_gone_or_cut_short_is_made_again(pair, done, tmp_path, capsys, name) -> None:
    output = shutil.copytree(done, tmp_path / "out")
    (output / name).unlink()
    code, said = main(capsys, *run(pair, output, "--resume"))
    assert (code, f"{name} in {output}: gone or changed" in said) == (0, True), said
    assert (output / name).exists()
    whole = (output / name).read_bytes()
    (output / name).write_bytes(whole[:-9])
    code, said = main(capsys, *run(pair, output, "--resume"))
    assert (code, f"{name} in {output}: gone or changed" in said) == (0, True), said
    assert len((output / name).read_bytes()) == len(whole)


def test_other_settings_and_inputs_are_refused(pair, done, tmp_path, capsys) -> None:
    before = content(done)
    code, said = main(capsys, *run(pair, done, "--resume", "--seed", "9"))
    assert (code, "seed: 1 then, 9 now" in said) == (4, True), said
    other = tmp_path / "ref.fa"
    other.write_text((pair / "ref.fa").read_text() + ">more\nACGTACGT\n")
    words = [other if word == pair / "ref.fa" else word for word in run(pair, done, "--resume")]
    code, said = main(capsys, *words)
    assert (code, "reference: the content of" in said) == (4, True), said
    assert content(done) == before


@pytest.mark.usefixtures("no_scoring")
def test_a_run_with_failed_contigs_is_not_finished(pair, done, tmp_path, capsys) -> None:
    output = shutil.copytree(done, tmp_path / "out")
    told = json.loads((output / "run.json").read_text())
    (output / "run.json").write_text(json.dumps({**told, "failed": {"tx1": "out of memory"}}))
    code, said = main(capsys, *run(pair, output, "--resume"))
    assert (code, "scored again" in said) == (6, True), said


def test_kept_arrays_are_part_of_the_results(pair, tmp_path, capsys) -> None:
    output = tmp_path / "out"
    keeping = run(pair, output, "--keep-intermediate")
    assert main(capsys, *keeping)[0] == 0
    before = content(output)
    code, said = main(capsys, *keeping, "--resume")
    assert (code, "nothing to do" in said) == (0, True), said
    assert content(output) == before
    (output / "per_contig/000000.evidence.npz").unlink()
    code, said = main(capsys, *keeping, "--resume")
    assert (code, "nothing to do" in said) == (0, False), said
    assert (output / "per_contig/000000.evidence.npz").exists()


def test_forcing_leaves_no_result_that_was_not_asked_for(pair, done, tmp_path, capsys) -> None:
    output = shutil.copytree(done, tmp_path / "out")
    code, said = main(capsys, *run(pair, output, "--force", "--no-read-bam"))
    assert code == 0, said
    assert not list(output.glob("read_results.bam*"))
    assert "read_results.bam" not in said
