"""Event tables that are damaged, cut short or of something else are named; none is misread."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from event_table_files import HERE, main, of_tables, pair_with_tables, rows_of, sites, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baleen.errors import InputError
from baleen.event_rows import COLUMNS, parse_rows
from baleen.inputs import event_table
from baleen.inputs.event_table import EventTable


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated pair with tables."""
    return pair_with_tables(tmp_path_factory.mktemp("pair"))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.integers(9_000, 300_000))
def test_runs_do_not_depend_on_the_size_of_blocks(pair, block) -> None:
    def places() -> list[tuple]:
        table = EventTable(pair / "native.tsv")
        found = [
            (read, contig, tuple(place), line)
            for runs in table.runs()
            for read, contig, place, line in zip(
                runs.reads, runs.contigs, runs.place.tolist(), runs.line.tolist(), strict=True
            )
        ]
        table.close()
        return found

    expected = places()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_table, "_BLOCK_BYTES", block)
        assert places() == expected
    text = (pair / "native.tsv").read_bytes()
    offset, size = expected[3][2]
    lines = text[offset : offset + size].decode().splitlines()
    assert {line.split("\t")[3] for line in lines} == {expected[3][0]}
    assert text.decode().splitlines()[expected[3][3] - 1] == lines[0]


@pytest.fixture(scope="module")
def short_table(pair) -> bytes:
    """The first hundred lines, of one read."""
    return b"".join((pair / "native.tsv").read_bytes().splitlines(keepends=True)[:100])


def runs_of(path: Path) -> int | None:
    """Return how many rows the runs of a table hold, None if it is refused."""
    try:
        table = EventTable(path)
    except InputError:
        return None
    try:
        places = [place for runs in table.runs() for place in runs.place.tolist()]
        return sum(len(parse_rows(table.read(*place), table.columns)) for place in places)
    except InputError:
        return None
    finally:
        table.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), is_packed=st.booleans())
def test_damaged_bytes_are_an_error_or_leave_every_row(tmp_path, short_table, data, is_packed) -> None:
    content = bytearray(gzip.compress(short_table) if is_packed else short_table)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "flipped.tsv"
    path.write_bytes(content)
    n_lines = content.count(b"\n") - 1 if not is_packed else 99
    assert runs_of(path) in {None, n_lines}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), is_packed=st.booleans())
def test_a_truncated_table_is_refused_or_ends_with_a_whole_row(
    tmp_path, short_table, share, is_packed
) -> None:
    content = gzip.compress(short_table) if is_packed else short_table
    part = content[: int(share * len(content))]
    path = tmp_path / "cut.tsv"
    path.write_bytes(part)
    expected = {None, part.count(b"\n") - 1} if not is_packed and part.endswith(b"\n") else {None}
    assert runs_of(path) in expected


def change(column: str, value: str) -> Callable[[list[dict]], None]:
    def spoil(rows: list[dict]) -> None:
        rows[7][column] = value

    return spoil


BAD_ROWS: list[tuple[str, Callable[[list[dict]], None], list[str]]] = [
    ("no number", change("event_level_mean", "8x"), ["line 9", "event_level_mean '8x' is no number"]),
    ("no level", change("event_level_mean", "nan"), ["line 9", "a level that is no number"]),
    ("empty", change("end_idx", "5"), ["line 9", "an event without length"]),
    ("place", change("position", "-4"), ["line 9", "position"]),
    ("fields", change("strand", "t\tt"), ["line 9", "16 fields where the first line names 15"]),
    ("strand", change("strand", "c"), ["line 9", "another strand than t"]),
    ("kmer size", change("reference_kmer", "ACG"), ["line 9", "k-mer of 3 bases where others have 5"]),
    ("contig", change("contig", "chrX"), ["line 9", "contig chrX is not in", "ref.fa"]),
]


@pytest.mark.parametrize(
    ("spoil", "said"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS]
)
def test_a_bad_row_is_named_with_its_line(pair, tmp_path, capsys, spoil, said) -> None:
    rows = rows_of(pair / "native.tsv")[:400]
    spoil(rows)
    table = write_rows(tmp_path / "bad.tsv", rows)
    expect_refused(capsys, pair, table, [*said, "hint: "])


def expect_refused(
    capsys, pair: Path, table: Path, said: list[str], *more: str | Path, code: int = 3
) -> None:
    found, _, error = main(capsys, "run", *of_tables(pair, table), *more, "-o", table.parent / "out")
    assert found == code, error
    for words in [table.name, *said] if "summary" not in said[0] else said:
        assert words in error
    assert not (table.parent / "out").exists()


def test_kmers_of_another_reference_are_refused(pair, tmp_path, capsys) -> None:
    rows = rows_of(pair / "native.tsv")
    for row in rows:
        row["position"] = str(int(row["position"]) + 1)  # as a table that counts from 1
    table = write_rows(tmp_path / "shifted.tsv", rows)
    expect_refused(
        capsys, pair, table, ["line 2", "k-mer", "ref.fa has", "FASTA that the table was made with"]
    )


def test_a_wrong_kmer_within_a_read_fails_its_contig_alone(pair, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("baleen.plan.GROUP_WORK", 1)
    rows = rows_of(pair / "native.tsv")
    rows[5]["reference_kmer"] = rows[5]["reference_kmer"].translate(str.maketrans("ACGT", "CATG"))
    table = write_rows(tmp_path / "wrong.tsv", rows)
    code, _, said = main(capsys, "run", *of_tables(pair, table), *HERE, "-o", tmp_path / "out")
    assert code == 6
    assert f"{rows[5]['contig']}: MismatchError: {table}" in said
    assert (
        f"position {rows[5]['position']}: k-mer {rows[5]['reference_kmer']} is not that of the reference"
        in said
    )
    assert set(sites(tmp_path / "out")["contig"]) == {rows[-1]["contig"]}


def test_unknown_kmers_ask_for_their_model(pair, tmp_path, capsys) -> None:
    rows = rows_of(pair / "native.tsv")
    for row in rows:
        row["reference_kmer"] = row["reference_kmer"][:4]
    table = write_rows(tmp_path / "short.tsv", rows)
    expect_refused(capsys, pair, table, ["4-mers", "--kmer-model FILE"], code=2)


def test_damaged_tables_are_named(pair, tmp_path, capsys) -> None:
    text = (pair / "native.tsv").read_bytes()
    table = tmp_path / "table.tsv"
    table.write_bytes(text[:-9])
    expect_refused(capsys, pair, table, ["cut short: its last line has no end", "hint: "])
    table.write_bytes(gzip.compress(text)[:-30])
    expect_refused(capsys, pair, table, ["cut short or damaged", "gzip -t"])
    table.write_bytes(text.split(b"\n", 1)[1])
    expect_refused(
        capsys, pair, table, ["no event table", "no column contig", "its first line must name the columns"]
    )
    table.unlink()
    expect_refused(capsys, pair, table, ["does not exist"])


def test_rows_that_are_not_together_are_refused(pair, tmp_path, capsys) -> None:
    rows = sorted(rows_of(pair / "native.tsv"), key=lambda row: (row["contig"], int(row["position"])))
    table = write_rows(tmp_path / "sorted.tsv", rows)
    expect_refused(capsys, pair, table, ["does not have the rows of a read together", "sort -s"])


def test_numbers_without_names_ask_for_the_summary(pair, tmp_path, capsys) -> None:
    rows = [{**row, "read_index": "7"} for row in rows_of(pair / "native.tsv")[:50]]
    columns = tuple(c if c != "read_name" else "read_index" for c in COLUMNS)
    table, summary = write_rows(tmp_path / "numbers.tsv", rows, columns), tmp_path / "summary.tsv"
    said = ["read_index", "--native-eventalign-summary FILE", "--print-read-names"]
    expect_refused(capsys, pair, table, said)
    given = ("--native-eventalign-summary", summary)
    summary.write_text("read_index\tread_name\n6\tx\n")
    expect_refused(capsys, pair, table, ["summary.tsv", "has no read_index 7, which line 2 of"], *given)
    summary.write_text("index,name\n")
    expect_refused(capsys, pair, table, ["summary.tsv", "no column read_index", "--summary FILE"], *given)


def test_tables_and_signal_are_not_mixed(pair, tmp_path, capsys) -> None:
    signal = pair / "native" / "reads.blow5"
    output = ["-o", tmp_path / "out"]
    code, _, said = main(capsys, "run", *of_tables(pair), "--native-blow5", signal, *output)
    assert (code, "sample native has signal and an event table" in said) == (2, True)
    bams = ["--native-bam", pair / "native" / "reads.bam", "--ivt-bam", pair / "ivt" / "reads.bam"]
    mixed = [*bams, "--native-blow5", signal, "--ivt-eventalign", pair / "ivt.tsv", "--ref", pair / "ref.fa"]
    code, _, said = main(capsys, "run", *mixed, *output)
    assert (code, "one has an event table and the other has not" in said) == (2, True)
    code, _, said = main(capsys, "run", *of_tables(pair), "--channels", "shape", *output)
    assert (code, "--channels level,errors" in said) == (2, True)


def test_a_table_of_other_reads_is_refused_with_the_funnel(pair, tmp_path, capsys) -> None:
    table = tmp_path / "other.tsv"
    table.write_bytes((pair / "ivt.tsv").read_bytes())
    said = ["shares no read with the event table", "40 not in the event table", "belongs to sample ivt"]
    found, _, error = main(capsys, "run", *of_tables(pair, table), "-o", tmp_path / "out")
    assert found == 3
    for words in said:
        assert words in error
