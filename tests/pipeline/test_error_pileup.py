"""Basecall errors from alignments."""

import numpy as np
import pysam
from hypothesis import given
from hypothesis import strategies as st

from baleen.data import DELETION, INSERTION, MISMATCH, ReadIndex
from baleen.error_pileup import error_pileup
from krill import Ragged, ReadBatch

REFERENCE = np.frombuffer(b"ACGTACGTNCGTACGTACGT" * 3, np.uint8)


def batch_of(reads: list[tuple[int, list[tuple[int, int]], str]]) -> ReadBatch:
    """Make a batch from ``(start, [(operation, length)], sequence)``."""
    n = len(reads)
    spans = [sum(length for op, length in cigar if op in (0, 2, 3, 7, 8)) for _, cigar, _ in reads]
    return ReadBatch(
        contig="c",
        read_ids=tuple(f"read{i}" for i in range(n)),
        ref_start=np.array([start for start, _, _ in reads], np.int32),
        ref_end=np.array([r[0] + span for r, span in zip(reads, spans, strict=True)], np.int32),
        is_reverse=np.zeros(n, np.bool_),
        mapq=np.full(n, 60, np.uint8),
        cigar=Ragged.from_rows([[n << 4 | op for op, n in cigar] for _, cigar, _ in reads], np.uint32),
        sequence=Ragged.from_rows([list(s.encode()) for _, _, s in reads], np.uint8),
        quality=Ragged.from_rows([list(range(len(s))) for _, _, s in reads], np.uint8),
        moves=Ragged.from_rows([[] for _ in reads], np.uint8),
        move_stride=np.zeros(n, np.int32),
        signal=Ragged.from_rows([[] for _ in reads], np.int16),
        signal_start=np.zeros(n, np.int64),
        trimmed_samples=np.full(n, -1, np.int32),
        offset_adc=np.zeros(n, np.float32),
        scale_pa=np.ones(n, np.float32),
        sampling_rate_hz=4000.0,
    )


def index_of(n: int) -> ReadIndex:
    zeros = np.zeros(n, np.uint8)
    return ReadIndex(tuple(f"read{i}" for i in range(n)), zeros.astype(np.bool_), zeros, zeros, ("s",))


def test_mismatch_deletion_and_insertion_land_on_their_bases() -> None:
    expected = [(0, 0, 1), (1, MISMATCH | INSERTION, 2), (2, INSERTION, 5), (3, DELETION, 255), (4, 0, 6)]
    # reference ACGTA: soft clip T, match A, mismatch for C, insertion GG, match G, deletion of T, match A
    batch = batch_of([(0, [(4, 1), (0, 2), (1, 2), (0, 1), (2, 1), (0, 1)], "TATGGGA")])
    found = error_pileup([batch], REFERENCE, index_of(1))
    got = list(zip(found.position.tolist(), found.errors.tolist(), found.quality.tolist(), strict=True))
    assert got == expected


def test_skipped_introns_are_not_covered() -> None:
    found = error_pileup([batch_of([(0, [(0, 2), (3, 5), (0, 1)], "ACT")])], REFERENCE, index_of(1))
    assert found.position.tolist() == [0, 1, 7]


def test_ambiguous_reference_never_mismatches() -> None:
    found = error_pileup([batch_of([(8, [(0, 1)], "A")])], REFERENCE, index_of(1))
    assert found.errors.tolist() == [0]


def test_no_reads_give_no_entries() -> None:
    assert len(error_pileup([], REFERENCE, index_of(0)).position) == 0
    assert len(error_pileup([batch_of([])], REFERENCE, index_of(0)).position) == 0


OPERATIONS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 3, 7, 8]), st.integers(1, 4)), min_size=1, max_size=6
)


@given(st.lists(st.tuples(st.integers(0, 20), OPERATIONS, st.integers(0, 3)), max_size=4), st.data())
def test_agrees_with_a_walk_along_each_alignment(reads, data) -> None:
    rows = []
    for start, cigar, clip in reads:
        whole = [(4, clip), *cigar] if clip else cigar
        n = sum(length for op, length in whole if op in (0, 1, 4, 7, 8))
        rows.append((start, whole, data.draw(st.text("ACGT", min_size=n, max_size=n))))
    expected = [entry for i, row in enumerate(rows) for entry in walk(i, *row)]
    found = error_pileup([batch_of(rows[:1]), batch_of(rows[1:])], REFERENCE, index_of(len(rows)))
    got = list(zip(found.read.tolist(), found.position.tolist(), found.errors.tolist(), strict=True))
    assert got == expected


def walk(read: int, start: int, cigar: list[tuple[int, int]], sequence: str) -> list[tuple[int, int, int]]:
    """Step through one alignment base by base."""
    entries: list[list[int]] = []
    place, base, pending = start, 0, False
    for operation, length in cigar:
        for _ in range(length):
            if operation == 1:
                if entries:
                    entries[-1][2] |= INSERTION
                pending = True
            elif operation != 4 and operation != 3:
                bits = INSERTION if pending else 0
                pending = False
                if operation == 2:
                    bits |= DELETION
                elif sequence[base] != chr(REFERENCE[place]) and REFERENCE[place] != ord("N"):
                    bits |= MISMATCH
                entries.append([read, place, bits])
            base += operation in (0, 1, 4, 7, 8)
            place += operation in (0, 2, 3, 7, 8)
    return [tuple(entry) for entry in entries]


def test_agrees_with_htslib_on_real_reads(shared_data, tmp_path) -> None:
    from baleen.config import Config
    from baleen.inputs import SampleFiles, open_run, read_contig, read_reference

    folder = shared_data / "real" / "ecoli_errors"
    samples = [
        SampleFiles("native", True, (folder / "native_1.0.bam",)),
        SampleFiles("control", False, (folder / "control_1.0.bam",)),
    ]
    config = Config.from_settings({"signal": False})
    run = open_run(samples, folder / "ref.fa", config)
    source = run.write(tmp_path)
    task = run.tasks[0]
    batches = [batch for sample, batch in read_contig(task, source, config) if sample == 0]
    reference = read_reference(task, source)
    found = error_pileup(batches, reference, index_of(sum(map(len, batches))))
    ids = [name for batch in batches for name in batch.read_ids]
    with pysam.AlignmentFile(samples[0].bam[0]) as bam:
        expected = {
            (str(column.alignment.query_name), pile.reference_pos)
            for pile in bam.pileup(task.contig, min_base_quality=0, max_depth=10000, stepper="nofilter")
            for column in pile.pileups
            if column.is_del and not column.alignment.flag & 0x900
        }
    deleted = (found.errors & DELETION) > 0
    got = {
        (ids[r], p)
        for r, p in zip(found.read[deleted].tolist(), found.position[deleted].tolist(), strict=True)
    }
    assert got == expected
