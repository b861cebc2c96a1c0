"""Files are complete or absent; the disk is waited for where they must survive a power cut."""

import os
from pathlib import Path

import pytest

from baleen.files import complete_file


@pytest.mark.parametrize(("is_scratch", "n_syncs"), [(False, 2), (True, 0)])
def test_the_disk_is_waited_for_unless_the_file_is_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_scratch: bool, n_syncs: int
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with complete_file(tmp_path / "a", is_scratch=is_scratch) as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert len(synced) == n_syncs


@pytest.mark.parametrize("is_scratch", [False, True])
def test_a_file_that_fails_half_way_is_absent(tmp_path: Path, *, is_scratch: bool) -> None:
    def write_half() -> None:
        with complete_file(tmp_path / "a", is_scratch=is_scratch) as part:
            part.write_text("half")
            message = "broken"
            raise ValueError(message)

    with pytest.raises(ValueError, match="broken"):
        write_half()
    assert list(tmp_path.iterdir()) == []
