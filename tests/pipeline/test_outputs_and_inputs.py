"""A command never writes over what it reads, nor beside a folder that stands where its file should."""

import pytest
from command_line import main


@pytest.mark.parametrize("is_linked", [False, True])
def test_an_input_is_not_replaced_even_by_force(tiny_run, capsys, tmp_path, is_linked) -> None:
    reads, reference = tiny_run.path("native", "fastq"), tiny_run.reference
    bam, signal = tiny_run.path("native", "bam"), tiny_run.path("native", "blow5")
    events = ["eventalign", "--bam", bam, "--signal", signal, "--ref", reference]
    cases = [
        (["align", reads, reference], reads),
        (["align", reads, reference], reference),
        (["fastq", "pad", reads], reads),
        (["fastq", "unpad", reads], reads),
        (events, bam),
        (events, signal),
        (events, reference),
    ]
    for number, (words, output) in enumerate(cases):
        before = output.read_bytes()
        named = output
        if is_linked:
            named = tmp_path / f"link{number}"
            named.symlink_to(output)
        code, said = main(capsys, *words, "-o", named, "--force")
        assert (code, f"{named}: is read, and would be overwritten" in said) == (2, True), (words, said)
        assert output.read_bytes() == before


def test_a_folder_in_place_of_the_output_stays_and_nothing_is_left_beside_it(
    tiny_run, capsys, tmp_path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    words = ["align", tiny_run.path("native", "fastq"), tiny_run.reference, "-o", folder, "--force"]
    code, said = main(capsys, *words)
    assert (code, f"{folder}: is a folder" in said) == (5, True), said
    assert [path.name for path in tmp_path.iterdir() if path != tiny_run.folder] == ["folder"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\x1f\x8b\x08", "cannot be read as a list of contigs"), (b"\n \n", "names no contig")],
)
def test_a_target_file_that_is_no_list_is_named(tiny_run, capsys, tmp_path, content, said) -> None:
    target = tmp_path / "target.txt"
    target.write_bytes(content)
    code, error = main(capsys, "check", *tiny_run.arguments(), "--target", target)
    assert code == 3, error
    assert f"{target}: --target: {said}" in error
