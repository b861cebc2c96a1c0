"""What `--resume` compares: content, settings and version; not paths, times, or how a run is carried out."""

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baleen import manifest
from baleen.config import Config
from baleen.errors import OutputError, ResumeError, UsageError
from baleen.inputs import SampleFiles, open_run


def parameters(tiny_run, samples=None, **settings):
    config = Config.from_settings(settings)
    run = open_run(samples or tiny_run.samples(), tiny_run.reference, config)
    facts = {"chemistry": run.chemistry, "reads": run.table_digest()}
    return manifest.run_parameters(config, run.files(), facts)


def drift(before, now) -> str:
    stored = json.loads(json.dumps(before))
    return "\n".join(manifest.differences(stored, json.loads(json.dumps(now))))


def test_the_same_run_has_no_differences(tiny_run) -> None:
    assert drift(parameters(tiny_run), parameters(tiny_run)) == ""


def test_copied_and_renamed_inputs_are_the_same_inputs(tiny_run, tmp_path) -> None:
    before = parameters(tiny_run)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tiny_run.folder, elsewhere)
    for path in list(elsewhere.glob("native.*")):
        path.rename(elsewhere / path.name.replace("native", "renamed"))
    native, control = tiny_run.samples()
    native = replace(native, bam=(elsewhere / "renamed.bam",), signal=(elsewhere / "renamed.blow5",))
    assert drift(before, parameters(tiny_run, (native, control))) == ""


def test_how_a_run_is_carried_out_does_not_matter(tiny_run) -> None:
    assert drift(parameters(tiny_run), parameters(tiny_run, threads=3, device="cuda:0")) == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"min_depth": 5}, {"subsample_n": 10}, {"seed": 2}, {"padding": 2}, {"align_mode": "sharp"},
        {"moves": False}, {"hmm": True}, {"mod_threshold": 0.5}, {"permutations": 7},
        {"mod_code": "a"}, {"read_bam": False}, {"channels": ("level",)}, {"target": ("tx1",)},
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_that_can_change_a_result_is_listed(tiny_run, settings) -> None:
    ((name, _),) = settings.items()
    assert f"{name}: " in drift(parameters(tiny_run), parameters(tiny_run, **settings))


def test_changed_content_of_the_same_size_is_listed(tiny_run) -> None:
    before = parameters(tiny_run)
    tiny_run.contigs["tx1"] = tiny_run.contigs["tx1"][::-1]
    tiny_run.write_reference()
    assert drift(before, parameters(tiny_run)).startswith("reference: the content of")


def test_exchanged_conditions_are_listed(tiny_run) -> None:
    native, control = tiny_run.samples()
    exchanged = (replace(native, is_native=False), replace(control, is_native=True))
    found = drift(parameters(tiny_run), parameters(tiny_run, exchanged))
    assert "native sample native, BAM file 1: " in found
    assert "not given now" in found


def test_a_file_behind_a_setting_counts_by_its_content(tiny_run, tmp_path) -> None:
    one, copy, other = (tmp_path / name for name in ("one.txt", "copy.txt", "other.txt"))
    one.write_text("tx1\n")
    copy.write_text("tx1\n")
    other.write_text("tx2\n")
    before = parameters(tiny_run, target=(str(one),))
    assert drift(before, parameters(tiny_run, target=(str(copy),))) == ""
    assert "target: " in drift(before, parameters(tiny_run, target=(str(other),)))
    assert manifest.parameter_hash(before) == manifest.parameter_hash(
        parameters(tiny_run, target=(str(copy),))
    )


def test_another_version_is_listed(tiny_run) -> None:
    before = parameters(tiny_run) | {"version": "0.0.1"}
    assert drift(before, parameters(tiny_run)).startswith("version: 0.0.1 then")


@given(st.binary(max_size=300), st.integers(0, 299), st.integers(0, 7))
def test_any_changed_bit_of_a_small_file_changes_its_digest(tmp_path_factory, data, at, bit) -> None:
    path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(data)
    before = manifest.file_digest(path)
    if at < len(data):
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        path.write_bytes(bytes(changed))
        assert manifest.file_digest(path) != before
    path.write_bytes(data + b"\0")
    assert manifest.file_digest(path) != before


def claim(tmp_path, params, *, is_resumed=False, is_forced=False) -> None:
    output = tmp_path / "out"
    folder = output / "per_contig"
    manifest.claim_folder(output, folder, params, is_resumed=is_resumed, is_forced=is_forced)


def test_resuming_with_other_settings_exits_4_with_the_list_and_touches_nothing(tiny_run, tmp_path) -> None:
    claim(tmp_path, parameters(tiny_run))
    stored = (tmp_path / "out" / "per_contig" / manifest.PARAMS_NAME).read_bytes()
    with pytest.raises(ResumeError, match="min_depth: 15 then, 5 now") as caught:
        claim(tmp_path, parameters(tiny_run, min_depth=5), is_resumed=True)
    assert caught.value.exit_code == 4
    assert (tmp_path / "out" / "per_contig" / manifest.PARAMS_NAME).read_bytes() == stored
    claim(tmp_path, parameters(tiny_run), is_resumed=True)


def test_results_of_other_settings_are_not_replaced_by_resuming(tiny_run, tmp_path) -> None:
    output = tmp_path / "out"
    output.mkdir()  # as a finished run leaves it: the slices are gone
    done = {"parameters": parameters(tiny_run)}
    (output / manifest.RUN_NAME).write_text(json.dumps(done))
    with pytest.raises(ResumeError, match="min_depth: 15 then, 5 now"):
        claim(tmp_path, parameters(tiny_run, min_depth=5), is_resumed=True)
    assert [path.name for path in output.iterdir()] == [manifest.RUN_NAME]
    claim(tmp_path, parameters(tiny_run), is_resumed=True)
    claim(tmp_path, parameters(tiny_run, min_depth=5), is_forced=True)


def test_a_folder_that_cannot_be_made_is_an_output_error(tiny_run, tmp_path) -> None:
    (tmp_path / "out").write_text("a file stands in the way")
    with pytest.raises(
        OutputError, match=r"out: cannot be written: .*\nhint: check the folder's permissions"
    ):
        claim(tmp_path, parameters(tiny_run))


def test_results_are_not_overwritten_unasked(tiny_run, tmp_path) -> None:
    claim(tmp_path, parameters(tiny_run))
    with pytest.raises(UsageError, match="not empty"):
        claim(tmp_path, parameters(tiny_run))
    claim(tmp_path, parameters(tiny_run, min_depth=5), is_forced=True)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"settings": 1}', "null"])
def test_damaged_parameters_are_an_error_not_a_fresh_start(tiny_run, tmp_path, content) -> None:
    claim(tmp_path, parameters(tiny_run))
    (tmp_path / "out" / "per_contig" / manifest.PARAMS_NAME).write_text(content)
    with pytest.raises(ResumeError, match="run_params"):
        claim(tmp_path, parameters(tiny_run), is_resumed=True)


def test_a_replaced_signal_file_with_the_same_reads_is_listed(tiny_run) -> None:
    before = parameters(tiny_run)
    tiny_run.write_signal("native", digitisation=4096.0)
    assert "native sample native, signal file 1: the content of" in drift(before, parameters(tiny_run))


def test_samples_without_signal_have_parameters_too(tiny_run) -> None:
    samples = [SampleFiles(s.name, s.is_native, s.bam) for s in tiny_run.samples()]
    assert parameters(tiny_run, samples, signal=False)["chemistry"] is None


def test_shards_share_one_folder(tiny_run, tmp_path) -> None:
    for number in range(3):
        claim(tmp_path, parameters(tiny_run), is_resumed=True)
        (tmp_path / "out" / "per_contig" / f"slice{number}").touch()
    assert len(list((tmp_path / "out").glob("per_contig/slice*"))) == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["per_contig"]
