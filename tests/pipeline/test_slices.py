"""Slices are what NumPy wrote; what the whole run adds to them does not depend on memory."""

from contextlib import closing
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baleen.calling.events import benjamini_hochberg
from baleen.outputs import adjusting
from baleen.outputs.adjusting import Adjustment
from baleen.outputs.bam_blocks import merge_bams
from baleen.outputs.slices import Slice, slice_tables, write_slice
from krill.reads.mod_tags import RecordCalls, RecordPlaces, tagged_records

ARRAYS = {
    "number": np.array(7),
    "flags": np.array([True, False]),
    "rows": np.arange(6, dtype=np.int32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "names": np.array(["a", "bcd", "\u00e9"]),
    "codes": np.array([b"m", b"17802"]),
    "nothing": np.zeros((0, 4), np.float32),
}


def read(path: Path) -> None:
    for _ in slice_tables([path]):
        pass


def test_a_slice_holds_what_numpy_reads(tmp_path: Path) -> None:
    path = tmp_path / "0.npz"
    write_slice(path, {"0": ARRAYS, "1": {"rows": np.zeros(3)}}, {"failed": {"c": "reason"}})
    with closing(Slice(path)) as piece:
        assert piece.tables() == ["0", "1"]
        assert piece.meta["failed"] == {"c": "reason"}
        table = piece.table("0")
    assert list(table) == list(ARRAYS)
    with np.load(path, allow_pickle=False) as expected:
        for name, array in table.items():
            assert array.dtype == expected[f"0/{name}"].dtype
            np.testing.assert_array_equal(array, expected[f"0/{name}"], strict=True)
    assert [list(table) for table in slice_tables([path, path])] == [list(ARRAYS), ["rows"]] * 2


def test_a_slice_has_arrays_of_its_own(tmp_path: Path) -> None:
    path, own = tmp_path / "0.npz", {"code": np.arange(3)}
    write_slice(path, {"0": ARRAYS}, {}, own)
    with closing(Slice(path)) as piece:
        assert piece.tables() == ["0"]
        np.testing.assert_array_equal(piece.own()["code"], own["code"])
    write_slice(path, {"0": ARRAYS}, {})
    with closing(Slice(path)) as piece:
        assert piece.own() == {}


def test_a_damaged_slice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.npz"
    values = np.full(100, 3.25)
    write_slice(path, {"0": {"values": values}}, {})
    content = path.read_bytes()
    path.write_bytes(content.replace(values.tobytes(), values.tobytes()[:-1] + b"\x00"))
    with pytest.raises(BadZipFile, match="damaged"):
        read(path)


def test_no_pickle_is_read(tmp_path: Path) -> None:
    header = np.frombuffer(b'{"slice_version": 1}', np.uint8)
    np.savez(tmp_path / "0.npz", **{"0/objects": np.array([{}], object), "header": header})
    with pytest.raises(ValueError, match="not as a slice's arrays are"):
        read(tmp_path / "0.npz")


P_VALUES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.05, 1.0, np.nan]))


@given(contigs=st.lists(st.lists(P_VALUES, max_size=9), max_size=12), in_memory=st.integers(1, 8))
def test_p_values_on_disk_are_adjusted_as_in_memory(tmp_path_factory, contigs, in_memory) -> None:
    parts = [np.array(contig, np.float64) for contig in contigs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjusting, "RUN_VALUES", in_memory)
        adjust = Adjustment.over(parts, tmp_path_factory.getbasetemp())
    together = np.concatenate([np.zeros(0), *parts])
    np.testing.assert_array_equal(adjust(together), benjamini_hochberg(together))
    assert adjust.n_tested == np.sum(~np.isnan(together))


def test_adjusting_many_p_values_takes_little_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    parts = [rng.random(4000) ** 1.2 for _ in range(250)]
    adjust = Adjustment.over(iter(parts), tmp_path)
    assert adjust.n_tested == 1_000_000
    together = np.concatenate(parts)
    np.testing.assert_array_equal(adjust(together), benjamini_hochberg(together))


@given(lengths=st.lists(st.integers(1, 3000), max_size=40), seed=st.integers(0, 9))
def test_records_are_renumbered_and_merged(tmp_path_factory, lengths, seed) -> None:
    folder = tmp_path_factory.mktemp("records")
    rng = np.random.default_rng(seed)
    reference = pysam.AlignmentHeader.from_references([*"abcd"], [9000] * 4)
    own = pysam.AlignmentHeader.from_references(["*"], [1])
    slices, expected = [], []
    for number, names in enumerate(("a", "bd")):
        contigs = [reference.get_tid(names[min(i // 20, len(names) - 1)]) for i in range(len(lengths))]
        plain = folder / f"{number}.bam"
        with pysam.AlignmentFile(str(plain), "wb", header=own) as bam:
            for i, (length, contig) in enumerate(zip(sorted(lengths), contigs, strict=True)):
                record = pysam.AlignedSegment(own)
                record.query_name, record.flag, record.reference_start = f"{number}-{i}", 0, i
                record.reference_id = 0
                record.query_sequence = "".join(rng.choice([*"ACGT"], length))
                record.query_qualities = pysam.qualitystring_to_array("I" * length)
                record.cigarstring = f"{length}M"
                bam.write(record)
                fields = record.to_string().split("\t")
                expected.append([*fields[:2], reference.get_reference_name(contig), *fields[3:]])
        slices.append(folder / f"{number}.bgzf")
        none = RecordCalls(np.zeros(len(lengths) + 1), np.zeros(0), np.zeros(0))
        places = RecordPlaces(np.array(contigs), np.zeros(len(lengths)), ("group",))
        slices[-1].write_bytes(tagged_records(plain.read_bytes(), none, places, {"A": "a"}))
    merge_bams(slices, reference, folder / "all.bam")
    with pysam.AlignmentFile(str(folder / "all.bam")) as bam:
        assert [record.to_string().split("\t")[:11] for record in bam] == expected
        assert sum(1 for _ in bam.fetch("d")) == max(0, len(lengths) - 20)
        assert str(bam.header) == str(reference)
