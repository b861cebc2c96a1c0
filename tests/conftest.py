"""Shared fixtures: where the development data lies, how golden files are rewritten."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="rewrite the golden files")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real and simulated data; not part of the project, so tests skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the data folder {SHARED_DATA.parent.name}/{SHARED_DATA.name} beside the checkout")
    return SHARED_DATA
