"""BLOW5 files: agreement with the format's own library, and what damage does."""

import logging

import numpy as np
import pytest

from krill.errors import FormatError
from krill.reads.keys import key_name
from krill.reads.signal import open_signal

FILES = [
    "real/ecoli_rrna/native.blow5",
    "real/trna_psi55/control.blow5",
    "sim/rna004_small/native/reads.blow5",
]


@pytest.mark.parametrize("name", FILES)
def test_every_read_is_what_pyslow5_reads(shared_data, name) -> None:
    import pyslow5

    logging.getLogger("pyslow5").setLevel(logging.ERROR)
    path = shared_data / name
    expected = {record["read_id"]: record for record in pyslow5.Open(str(path), "r").seq_reads()}
    signals = open_signal(path)
    found = 0
    for block in signals.index():
        for key, (first, second) in zip(block.keys, block.place, strict=True):
            record = signals.read(int(first), int(second))
            twin = expected[key_name(key, block.names)]
            assert np.array_equal(record.signal, twin["signal"])
            scale = twin["range"] / twin["digitisation"]
            assert (record.offset_adc, record.scale_pa) == (twin["offset"], scale)
            assert record.sampling_rate_hz == twin["sampling_rate"]
            found += 1
    signals.close()
    assert found == len(expected)


def test_pod5_and_blow5_of_the_same_reads_agree(shared_data) -> None:
    records = []
    for suffix in ("blow5", "pod5"):
        signals = open_signal(shared_data / "real" / "formats" / f"test.{suffix}")
        places = [place for block in signals.index() for place in block.place.tolist()]
        found = [signals.read(first, second) for first, second in places]
        records.append(sorted(found, key=lambda record: record.read_id))
        signals.close()
    for one, other in zip(*records, strict=True):
        assert one.read_id == other.read_id
        assert np.array_equal(one.signal, other.signal)
        assert one.scale_pa == pytest.approx(other.scale_pa, rel=1e-6)


def test_an_index_beside_the_file_gives_the_same_places_as_a_scan(shared_data, tmp_path) -> None:
    whole = shared_data / "sim" / "rna002_small" / "native" / "reads.blow5"
    bare = tmp_path / "reads.blow5"
    bare.write_bytes(whole.read_bytes())
    indices = []
    for path in (whole, bare):
        signals = open_signal(path)
        (block,) = signals.index()
        indices.append((block.keys.tolist(), block.place.tolist()))
        signals.close()
    assert indices[0] == indices[1]


def test_an_index_of_another_file_is_not_used(shared_data, tmp_path) -> None:
    folder = shared_data / "sim" / "rna002_small"
    path = tmp_path / "reads.blow5"
    path.write_bytes((folder / "native" / "reads.blow5").read_bytes())
    path.with_suffix(".blow5.idx").write_bytes((folder / "ivt" / "reads.blow5.idx").read_bytes())
    signals = open_signal(path)
    (block,) = signals.index()
    first, second = block.place[0].tolist()
    assert signals.read(first, second).read_id == key_name(block.keys[0], {})
    signals.close()


@pytest.mark.parametrize("name", ["real/formats/test.fast5", "real/formats/test.slow5", "README.md"])
def test_other_formats_are_named_with_a_way_out(shared_data, name) -> None:
    with pytest.raises(FormatError, match=name.split("/")[-1]) as caught:
        open_signal(shared_data / name)
    assert caught.value.hint
