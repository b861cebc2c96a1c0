"""The command line run in this process, as a user would type it."""

import sys
from pathlib import Path

import pytest

from baleen.inputs import close_files


def exit_code(*words: object) -> int:
    """Run it; return its exit code."""
    from baleen import cli

    before, sys.argv = sys.argv, ["baleen", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
        close_files()
    return int(ended.value.code or 0)


def main(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Run it; return its exit code and what it said on stderr."""
    return exit_code(*words), capsys.readouterr().err
