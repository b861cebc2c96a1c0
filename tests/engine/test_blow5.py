"""BLOW5 files: agreement with the format's own library, and what damage does."""

import logging
from pathlib import Path

import numpy as np
import pytest

from krill.errors import FormatError
from krill.pump import LOCKS, PumpSettings, decode_signals
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


def write_with_pyslow5(path: Path, methods: tuple[str, str], signals: list[np.ndarray]) -> None:
    import pyslow5

    out = pyslow5.Open(str(path), "w", rec_press=methods[0], sig_press=methods[1])
    header = dict.fromkeys(out.get_empty_header(), "x")
    out.write_header(header)
    for number, signal in enumerate(signals):
        record = out.get_empty_record()
        record.update(
            read_id=f"read{number}", read_group=0, digitisation=2048.0, offset=-3.0, range=300.0,
            sampling_rate=4000.0, len_raw_signal=len(signal), signal=signal,
        )  # fmt: skip
        assert out.write_record(record) == 0
    out.close()


def hard_signals() -> list[np.ndarray]:
    """Signals at the edges of the codecs: jumps, one exception or none, shifts, one sample."""
    rng = np.random.default_rng(4)
    quiet = rng.integers(400, 500, 900)
    one_jump = np.concatenate([quiet, quiet + 700])
    walls = rng.choice([-32768, 32767, 0], 400)
    found = [
        quiet,
        one_jump,
        walls,
        quiet * 32,
        np.array([7]),
        np.array([-9, 5]),
        rng.integers(-3000, 3000, 5),
    ]
    return [signal.astype(np.int16) for signal in found]


@pytest.mark.parametrize("signal_method", ["none", "svb-zd", "ex-zd"])
@pytest.mark.parametrize("record_method", ["none", "zlib", "zstd"])
def test_every_compression_that_pyslow5_writes_is_read(tmp_path, record_method, signal_method) -> None:
    path, expected = tmp_path / "reads.blow5", hard_signals()
    write_with_pyslow5(path, (record_method, signal_method), expected)
    signals = open_signal(path)
    (block,) = signals.index()
    records = signals.read_many(block.place)
    assert [record.read_id for record in records] == [f"read{i}" for i in range(len(expected))]
    for record, signal in zip(records, expected, strict=True):
        assert record.signal.dtype == np.int16
        assert np.array_equal(record.signal, signal)
        assert (record.offset_adc, record.scale_pa, record.sampling_rate_hz) == (-3, 300 / 2048, 4000)
    n_samples = sum(map(len, expected))
    for lock in LOCKS:
        way = PumpSettings(threads=3, lock=lock, batch_bytes=1)
        report, found = decode_signals(path, way)
        assert (report.n_reads, found) == (len(expected), n_samples)


def test_pieces_may_end_at_any_byte_of_a_record(tmp_path) -> None:
    path, expected = tmp_path / "reads.blow5", hard_signals()
    write_with_pyslow5(path, ("zlib", "svb-zd"), expected)
    n_samples = sum(map(len, expected))
    for batch_bytes in [*range(1, 200), 1000, 1 << 20]:
        for threads in (1, 4):
            way = PumpSettings(threads=threads, batch_bytes=batch_bytes)
            report, found = decode_signals(path, way)
            assert (report.n_reads, found) == (len(expected), n_samples), (batch_bytes, threads)
            assert report.locks[0].acquisitions == 0


@pytest.mark.parametrize("length", [0, 1 << 20, (1 << 64) - 1])
def test_a_length_that_cannot_be_is_named_whoever_finds_it(tmp_path, length) -> None:
    path = tmp_path / "reads.blow5"
    write_with_pyslow5(path, ("zlib", "svb-zd"), hard_signals())
    (block,) = open_signal(path).index()
    at, whole = int(block.place[4, 0]), path.read_bytes()
    path.write_bytes(whole[:at] + length.to_bytes(8, "little") + whole[at + 8 :])
    for threads, batch_bytes in [(1, 1 << 18), (1, 16), (4, 16)]:
        with pytest.raises(FormatError, match=f"record at byte {at} is said to have {length} bytes"):
            decode_signals(path, PumpSettings(threads=threads, batch_bytes=batch_bytes))


@pytest.mark.parametrize("methods", [("zlib", "svb-zd"), ("zstd", "ex-zd"), ("none", "none")])
def test_every_cut_and_changed_byte_is_an_error_or_does_no_harm(tmp_path, methods) -> None:
    path = tmp_path / "reads.blow5"
    expected = hard_signals()[4:]
    write_with_pyslow5(path, methods, expected)
    whole = path.read_bytes()
    start = whole.index(b"\traw_signal") + 60
    for at in [*range(12), *range(start, len(whole))]:
        path.write_bytes(whole[:at])
        with pytest.raises(FormatError, match=r"reads\.blow5"):
            open_signal(path)
        with pytest.raises(FormatError, match=r"reads\.blow5"):
            decode_signals(path, PumpSettings(threads=1))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            signals = open_signal(path)
            places = np.concatenate([block.place for block in signals.index()])
            found = [record.signal for record in signals.read_many(places)]
        except FormatError:
            with pytest.raises(FormatError, match=r"reads\.blow5"):
                decode_signals(path, PumpSettings(threads=2, batch_bytes=9))
            continue
        _, n_samples = decode_signals(path, PumpSettings(threads=2, batch_bytes=9))
        assert n_samples == sum(map(len, found))
        if methods[0] == "zlib":  # has a checksum
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")  # of the library, in to_read
@pytest.mark.parametrize("compression", ["VbzSignal", "UncompressedSignal"])
@pytest.mark.parametrize("name", ["real/formats/test.pod5", "real/trna_psi55/pod5/native.pod5"])
def test_pod5_signals_are_those_of_its_own_library(shared_data, tmp_path, name, compression) -> None:
    import pod5

    path = tmp_path / "reads.pod5"
    kind = getattr(pod5.SignalType, compression)
    with pod5.Reader(shared_data / name) as reader, pod5.Writer(path, signal_compression_type=kind) as out:
        expected = {str(record.read_id): record.signal for record in reader.reads()}
        out.add_reads([record.to_read() for record in reader.reads()])
    signals = open_signal(path)
    places = np.concatenate([block.place for block in signals.index()])
    found = {record.read_id: record.signal for record in signals.read_many(places)}
    signals.close()
    assert found.keys() == expected.keys()
    for name, signal in found.items():
        assert np.array_equal(signal, expected[name])


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
