"""Where nothing can be called, the warning says why and what to try."""

import numpy as np
import pytest

from baleen.config import Config, ReadsConfig
from baleen.inputs import open_run
from baleen.inputs.selection import Depths
from baleen.results import unused_warning

NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("native", "control", "expected"),
    [
        ([20, 0, 0, 0], [20, 0, 0, 0], None),
        ([0, 0, 0, 0], [0, 0, 0, 0], None),
        (
            [8, 3, 0, 0],
            [20, 40, 0, 0],
            "of 2 with usable reads, 2 have native reads below --min-depth 15; "
            "the deepest is a (native 8, control 20): --min-depth 8 keeps it",
        ),
        (
            [0, 0, 9, 30],
            [20, 7, 9, 4],
            "of 4 with usable reads, 2 have no native reads, 1 have native and control reads below "
            "--min-depth 15, 1 have control reads below --min-depth 15; "
            "the deepest is c (native 9, control 9): --min-depth 9 keeps it",
        ),
        (
            [30, 0, 0, 0],
            [0, 30, 0, 0],
            "of 2 with usable reads, 1 have no control reads, 1 have no native reads; "
            "are the reads of both conditions from the same transcripts?",
        ),
    ],
)
def test_contigs_are_counted_by_what_they_lack(native, control, expected) -> None:
    depths = Depths(np.array(native, float), np.array(control, float))
    assert depths.why_none(NAMES, ReadsConfig()) == expected


def test_the_depth_that_is_named_keeps_the_contig() -> None:
    config = ReadsConfig(depth_mode="mean_depth")
    depths = Depths(np.array([7.6, 1, 1, 1]), np.array([9.2, 1, 1, 1]))
    why = str(depths.why_none(NAMES, config))
    assert "the deepest is a (native 7.6, control 9.2): --min-depth 7 keeps it" in why
    assert depths.why_none(NAMES, ReadsConfig(depth_mode="mean_depth", min_depth=7)) is None


def test_reads_that_were_all_lost_are_counted_by_what_they_were_lost_for(tiny_run) -> None:
    for condition in ("native", "ivt"):
        tiny_run.write_bam(condition, flag=16)
    (warning,) = open_run(tiny_run.samples(), tiny_run.reference, Config()).warnings
    assert warning == (
        "no contig passes the filters: none has a usable read "
        "(native: 40 on the reverse strand; ivt: 40 on the reverse strand)"
    )


@pytest.mark.parametrize(
    ("read_status", "said"),
    [
        ({"ok": 1, "poor_fit": 30}, None),
        ({}, None),
        ({"poor_fit": 30, "unmapped": 2}, "30 poor_fit, 2 unmapped; is the reference the one"),
        ({"contig_skipped": 3}, "3 contig_skipped"),
    ],
)
def test_a_run_without_a_used_read_says_what_became_of_them(read_status, said) -> None:
    warning = unused_warning(read_status)
    assert (warning is None) == (said is None)
    assert said is None or said in str(warning)
