"""What the command line prints, word for word; `make golden` rewrites the files after a wanted change."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

import krill
from baleen.cli import baleen as cli
from baleen.cli import main

NO_DRIVER = any("libcuda is not there" in problem for problem in krill.gpu_problems())
GOLDEN = Path(__file__).parent / "golden"
FILES = ["--native-bam", "n.bam", "--native-blow5", "n.blow5", "--ivt-bam", "c.bam", "--ivt-blow5", "c.blow5"]
CASES = {
    "help": ["--help"],
    "no_such_command": ["cal"],
    "run_without_reference": ["run", *FILES, "-o", "out"],
    "run_without_control": ["run", "--native-bam", "n.bam", "--ref", "ref.fa", "-o", "out"],
    "run_missing_file": ["run", *FILES, "--ref", "ref.fa", "-o", "out"],
    "run_bad_shard": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--shard", "4/3"],
    "run_forced_shard": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--shard", "1/3", "--force"],
    "run_bad_depth": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--min-depth", "0"],
    "run_bad_channel": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--channels", "level,colour"],
    "run_cuda_or_not": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--cuda", "0", "--no-cuda"],
    "run_bad_cuda": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--cuda", "first"],
    "run_no_gpu": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--cuda", "0,1"],
    "run_no_gpu_of_all": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--cuda", "all"],
    "run_bad_memory": ["run", *FILES, "--ref", "ref.fa", "-o", "out", "--gpu-memory-limit", "8 apples"],
    "eventalign_missing_file": [
        "eventalign",
        "--bam",
        "n.bam",
        "--signal",
        "n.pod5",
        "--ref",
        "ref.fa",
        "-o",
        "out.tsv",
    ],
    "eventalign_without_signal": ["eventalign", "--bam", "n.bam", "--ref", "ref.fa", "-o", "out.tsv"],
    "scaling_no_stage": ["scaling", "run", "-o", "out"],
    "scaling_bad_threads": ["scaling", "run", "--stage", "dtw", "--threads", "1,none", "-o", "out"],
    "scaling_few_inputs": ["scaling", "run", "--stage", "dtw", "ref.fa", "-o", "out"],
    "scaling_no_costs": ["scaling", "simulate", "--machine", "knl", "-o", "out"],
    "scaling_no_machine": [
        "scaling",
        "simulate",
        "--work-ns",
        "9",
        "--input-ns",
        "1",
        "--machine",
        "pc",
        "-o",
        "out",
    ],
    "merge_nothing": ["merge", "."],
    "aggregate_nothing": ["aggregate", ".", "-o", "out"],
}


@pytest.mark.parametrize("name", CASES)
def test_output_is_the_golden_one(
    name: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name.startswith("run_no_gpu") and not NO_DRIVER:
        pytest.skip("a driver is installed here")
    (tmp_path / "ref.fa").write_text(">a\nACGT\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.argv", ["baleen", *CASES[name]])
    with pytest.raises(SystemExit) as end:
        main()
    shown = capsys.readouterr()
    found = f"$ baleen {' '.join(CASES[name])}\n{shown.out}{shown.err}exit {end.value.code}\n"
    golden = GOLDEN / f"{name}.txt"
    if request.config.getoption("--rewrite-golden"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, baleen.cli; print([m for m in ('numpy', 'pysam', 'krill') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_option_says_what_it_means() -> None:
    def silent(command: click.Command, path: str) -> list[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            inner = [(name, command.get_command(context, name)) for name in names]
            return [word for name, one in inner if one for word in silent(one, f"{path} {name}")]
        options = [option for option in command.params if isinstance(option, click.Option)]
        return [f"{path} {option.opts[0]}" for option in options if not option.help and not option.hidden]

    assert silent(cli, "baleen") == []
