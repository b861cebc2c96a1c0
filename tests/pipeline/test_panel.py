"""Control panels: placed once, and a run on one is the run on the control's own files."""

import json
import subprocess
import sys

import numpy as np
import pysam
import pytest

from baleen.pileup import PlacedReads, choose_placed, join_placed

COMMAND = [sys.executable, "-m", "baleen"]


def baleen(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


def succeed(*arguments):
    done = baleen(*arguments)
    assert done.returncode == 0, done.stderr


SETTINGS = ["--subsample-n", "9", "--threads", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated pair, its control in two libraries, and their panel."""
    folder = tmp_path_factory.mktemp("panel")
    pair = folder / "pair"
    options = ["--contigs", "3", "--contig-length", "250", "--reads", "16", "--seed", "9"]
    succeed("simulate", "-o", pair, *options)
    lines = ["sample\tcondition\tbam\tsignal"]
    signal = pair / "native/reads.blow5"
    lines.append(f"wt\tnative\t{pair / 'native/reads.bam'}\t{signal}")
    with pysam.AlignmentFile(str(pair / "ivt/reads.bam")) as bam:
        records = list(bam)
        for i in range(2):
            path = folder / f"ivt{i}.bam"
            with pysam.AlignmentFile(str(path), "wb", header=bam.header) as out:
                for record in records[i::2]:
                    out.write(record)
            pysam.index(str(path))
            lines.append(f"ivt{i}\tcontrol\t{path}\t{pair / 'ivt/reads.blow5'}")
    (folder / "all.tsv").write_text("\n".join(lines) + "\n")
    (folder / "native.tsv").write_text("\n".join(lines[:2]) + "\n")
    reference = ["--ref", pair / "ref.fa"]
    succeed("panel", "build", "--samples", folder / "all.tsv", *reference, "-o", folder / "ivt", *SETTINGS)
    return folder


def run(folder, out, *arguments):
    settings = [*SETTINGS, "--permutations", "1", "--min-depth", "5"]
    return baleen("run", "--ref", folder / "pair/ref.fa", "-o", out, *settings, *arguments)


def reads(path):
    with pysam.AlignmentFile(str(path)) as bam:
        return [record.to_string() for record in bam]


def test_a_run_on_a_panel_gives_the_same_bytes(folder, tmp_path):
    done = run(folder, tmp_path / "direct", "--samples", folder / "all.tsv")
    assert done.returncode == 0, done.stderr
    panel = ["--samples", folder / "native.tsv", "--control-panel", folder / "ivt"]
    done = run(folder, tmp_path / "panel", *panel)
    assert done.returncode == 0, done.stderr
    for name in ("site_results.tsv", "sample_sites.tsv"):
        assert (tmp_path / "panel" / name).read_bytes() == (tmp_path / "direct" / name).read_bytes()
    paths = [tmp_path / name / "read_results.bam" for name in ("panel", "direct")]
    assert reads(paths[0]) == reads(paths[1])


def test_a_panel_needs_none_of_the_files_it_was_made_from(folder):
    manifest = json.loads((folder / "ivt/panel.json").read_text())
    assert [sample["name"] for sample in manifest["samples"]] == ["ivt0", "ivt1"]
    kept = {path.name for path in (folder / "ivt").iterdir()}
    assert {name for sample in manifest["samples"] for name in sample["bam"]} <= kept
    assert set(manifest["placed"]) <= kept


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (["--padding", "2"], "padding: 1 then, 2 now"),
        (["--subsample-n", "8"], "subsample_n: 9 then, 8 now"),
        (["--seed", "2"], "seed: 1 then, 2 now"),
        (["--min-mapq", "5"], "min_mapq: 0 then, 5 now"),
    ],
)
def test_other_settings_are_refused(folder, tmp_path, option, reason):
    panel = ["--samples", folder / "native.tsv", "--control-panel", folder / "ivt"]
    refused = run(folder, tmp_path / "out", *panel, *option)
    assert (refused.returncode, reason in refused.stderr) == (3, True)


def test_another_reference_is_refused(folder, tmp_path):
    (tmp_path / "ref.fa").write_text((folder / "pair/ref.fa").read_text() + ">more\nACGT\n")
    panel = ["--samples", folder / "native.tsv", "--control-panel", folder / "ivt"]
    refused = baleen("run", "--ref", tmp_path / "ref.fa", "-o", tmp_path / "out", *panel, *SETTINGS)
    assert (refused.returncode, "was made with another reference" in refused.stderr) == (3, True)


def test_more_depth_than_a_panel_has_is_refused(folder, tmp_path):
    panel = ["--samples", folder / "native.tsv", "--control-panel", folder / "ivt"]
    refused = run(folder, tmp_path / "out", *panel, "--min-depth", "10")
    assert (refused.returncode, "build it with --no-subsample" in refused.stderr) == (2, True)


def test_a_folder_that_is_no_panel_is_named(folder, tmp_path):
    panel = ["--samples", folder / "native.tsv", "--control-panel", folder / "pair"]
    refused = run(folder, tmp_path / "out", *panel)
    assert (refused.returncode, "is no control panel" in refused.stderr) == (3, True)


def test_a_second_control_of_the_same_name_is_refused_with_the_way_out(folder, tmp_path):
    panel = ["--samples", folder / "all.tsv", "--control-panel", folder / "ivt"]
    refused = run(folder, tmp_path / "out", *panel)
    assert (refused.returncode, "different names" in refused.stderr, "--samples" in refused.stderr) == (
        2, True, True,
    )  # fmt: skip


def test_a_folder_that_holds_something_else_is_never_replaced(folder):
    arguments = ["--samples", folder / "all.tsv", "--ref", folder / "pair/ref.fa", "-o", folder / "pair"]
    refused = baleen("panel", "build", *arguments, "--force")
    assert (refused.returncode, (folder / "pair/ref.fa").exists()) == (5, True)


def placed_reads(rng, n_rows):
    """Reads of so many rows each, with windows inside each read's part of the signal."""
    parts, used = [], 0
    for read, n in enumerate(n_rows):
        lengths = rng.integers(1, 9, n)
        end = used + np.cumsum(lengths)
        start = end - lengths
        first, last = used, used + int(lengths.sum())
        parts.append((np.full(n, read), start, end, np.maximum(start - 2, first), np.minimum(end + 2, last)))
        used = last
    read, start, end, low, high = (np.concatenate(column) for column in zip(*parts, strict=True))
    m = len(read)
    return PlacedReads(
        signal=rng.normal(size=used).astype(np.float32),
        read=read.astype(np.int32),
        position=np.arange(m, dtype=np.int32),
        dwell_samples=(end - start).astype(np.int32),
        base_start=start.astype(np.int64),
        base_end=end.astype(np.int64),
        window_start=low.astype(np.int64),
        window_end=high.astype(np.int64),
        level_pa=rng.normal(size=m).astype(np.float32),
        level_stdv_pa=np.ones(m, np.float32),
        confidence=np.ones(m, np.float32),
    )


def windows(placed, read):
    return [
        (int(placed.position[i]), placed.signal[placed.window_start[i] : placed.window_end[i]].tolist())
        for i in np.flatnonzero(placed.read == read)
    ]


def test_chosen_reads_keep_their_windows():
    """Reads without a place (0 rows) are kept as such; order and repeats of the choice do not matter."""
    rng = np.random.default_rng(1)
    parts = [placed_reads(rng, (3, 0, 5)), placed_reads(rng, (0, 2))]
    joined, status = join_placed(parts, [np.zeros(3, np.uint8), np.array([7, 1], np.uint8)])
    assert status.tolist() == [0, 0, 0, 7, 1]
    expected = {0: windows(parts[0], 0), 1: [], 2: windows(parts[0], 2), 3: [], 4: windows(parts[1], 1)}
    assert {read: windows(joined, read) for read in range(5)} == expected
    chosen = choose_placed(joined, np.array([4, 3, 0]))
    assert [windows(chosen, i) for i in range(3)] == [expected[4], [], expected[0]]
    nothing = choose_placed(joined, np.zeros(0, np.int64))
    assert (len(nothing.signal), len(nothing.read)) == (0, 0)
