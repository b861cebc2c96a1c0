"""Opening a run: which reads meet, which are chosen, what workers read."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pod5
import pysam
import pytest

from baleen.config import Config
from baleen.errors import UsageError
from baleen.inputs import SampleFiles, close_files, open_run, read_contig, read_reference, read_sheet
from krill.reads.batch import ReadStatus


@pytest.fixture(autouse=True)
def _closed():
    yield
    close_files()


def opened(tiny_run, *, fastq=False, **settings):
    return open_run(tiny_run.samples(fastq=fastq), tiny_run.reference, Config.from_settings(settings))


def reads_of(run, folder: Path, **settings) -> dict[str, list[str]]:
    """Return the ids that workers read, per sample."""
    source = pickle.loads(pickle.dumps(run.write(folder)))
    found: dict[str, list[str]] = {sample.name: [] for sample in run.samples}
    for task in pickle.loads(pickle.dumps(run.tasks)):
        for sample, batch in read_contig(task, source, Config.from_settings(settings)):
            found[run.samples[sample].name] += batch.read_ids
    return found


def test_all_reads_of_a_clean_run_reach_the_workers(tiny_run, tmp_path) -> None:
    run = opened(tiny_run, fastq=True)
    assert reads_of(run, tmp_path) == tiny_run.names
    assert run.status_counts == {"native": {ReadStatus.OK: 40}, "ivt": {ReadStatus.OK: 40}}
    assert (run.chemistry, run.sampling_rate_hz, run.warnings) == ("rna004", 4000.0, ())


def test_the_reference_reaches_the_workers_in_plain_bases(tiny_run, tmp_path) -> None:
    tiny_run.contigs["tx1"] = "acguryn" + tiny_run.contigs["tx1"][7:]
    expected = "ACGTNNN" + tiny_run.contigs["tx1"][7:]
    tiny_run.write_reference()
    packed = tiny_run.reference.with_suffix(".fa.gz")
    packed.write_bytes(gzip.compress(tiny_run.reference.read_bytes()))
    for path in (tiny_run.reference, packed):
        run = open_run(tiny_run.samples(), path, Config())
        source = run.write(tmp_path)
        assert read_reference(run.tasks[0], source).tobytes().decode() == expected
        assert read_reference(run.tasks[1], source).tobytes().decode() == tiny_run.contigs["tx2"]


def test_every_read_ends_in_one_status_and_losses_have_examples(tiny_run) -> None:
    native = tiny_run.names["native"]
    tiny_run.write_signal("native", names=[*native[3:], "other-run"])
    tiny_run.write_fastq("native", names=native[:-2])
    run = opened(tiny_run, fastq=True)
    assert run.status_counts["native"] == {
        ReadStatus.OK: 35,
        ReadStatus.NO_SIGNAL: 3,
        ReadStatus.NOT_IN_FASTQ: 2,
    }
    lines = "\n".join(run.funnel_lines())
    assert "3 without signal" in lines
    assert all(name in lines for name in native[:3])
    assert "1 in the signal alone, as other-run" in lines
    assert run.funnels[0].shared == pytest.approx(35 / 40)


def test_without_intersection_the_fastq_does_not_matter(tiny_run) -> None:
    tiny_run.write_fastq("native", names=tiny_run.names["native"][:1])
    run = opened(tiny_run, fastq=True, read_intersection=False)
    assert run.status_counts["native"] == {ReadStatus.OK: 40}


def name_model(path: Path, model: str) -> None:
    """Write the basecaller's model into the header of a BAM."""
    with pysam.AlignmentFile(str(path)) as bam:
        header, records = bam.header.to_dict(), list(bam)
    header["RG"] = [{"ID": "run", "DS": f"runid=x basecall_model={model}"}]
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for record in records:
            bam.write(record)
    pysam.index(str(path))


def test_samples_of_different_basecaller_models_are_a_warning(tiny_run) -> None:
    for second, n_warnings in (("rna004_130bps_sup@v5.1.0", 0), ("rna004_130bps_hac@v3.0.1", 1)):
        name_model(tiny_run.path("native", "bam"), "rna004_130bps_sup@v5.1.0")
        name_model(tiny_run.path("ivt", "bam"), second)
        found = [warning for warning in opened(tiny_run).warnings if "basecalled with different" in warning]
        assert len(found) == n_warnings
        assert all(second in warning and "sup@v5.1.0" in warning for warning in found)
        close_files()


def test_few_shared_reads_are_a_warning(tiny_run) -> None:
    tiny_run.write_signal("ivt", names=tiny_run.names["ivt"][:15])
    run = opened(tiny_run, min_depth=1)
    assert any("only 38 %" in warning for warning in run.warnings)


@pytest.mark.parametrize(
    ("flag", "status"),
    [
        (0x10, ReadStatus.REVERSE_STRAND),
        (0x100, ReadStatus.NOT_PRIMARY),
        (0x800, ReadStatus.NOT_PRIMARY),
        (0x4, ReadStatus.UNMAPPED),
    ],
)
def test_alignments_of_no_use_are_counted_by_reason(tiny_run, flag, status) -> None:
    tiny_run.write_bam("native", flag=flag)
    assert opened(tiny_run).status_counts["native"] == {status: 40}


def test_a_read_with_two_alignments_counts_once(tiny_run, tmp_path) -> None:
    names = tiny_run.names["native"]
    tiny_run.write_bam("native", names=[*names[:20], *names[:20]])
    run = opened(tiny_run)
    assert sum(run.status_counts["native"].values()) == 20
    assert len(reads_of(run, tmp_path)["native"]) == 20


def test_mapping_quality_filters(tiny_run) -> None:
    assert opened(tiny_run, min_mapq=61).status_counts["native"] == {ReadStatus.LOW_MAPQ: 40}


def test_target_chooses_contigs_by_name_or_file(tiny_run, tmp_path) -> None:
    listed = tmp_path / "names.txt"
    listed.write_text("tx2\n")
    for target in ("tx2", str(listed)):
        run = opened(tiny_run, target=(target,))
        assert [task.contig for task in run.tasks] == ["tx2"]
        assert run.status_counts["native"] == {ReadStatus.OK: 20, ReadStatus.NOT_TARGET: 20}
    with pytest.raises(UsageError, match="tx9"):
        opened(tiny_run, target=("tx9",))


def test_contigs_too_shallow_in_one_condition_are_skipped_with_the_reason(tiny_run) -> None:
    tiny_run.write_signal("ivt", names=tiny_run.names["ivt"][:25])
    run = opened(tiny_run)
    assert [task.contig for task in run.tasks] == ["tx1"]
    assert run.skipped_contigs == {"tx2": "reads below 15: control 5"}
    assert run.status_counts["native"] == {ReadStatus.OK: 20, ReadStatus.CONTIG_SKIPPED: 20}


def test_mean_depth_counts_aligned_bases(tiny_run) -> None:
    assert len(opened(tiny_run, depth_mode="mean_depth", min_depth=20).tasks) == 2
    assert len(opened(tiny_run, depth_mode="mean_depth", min_depth=21).tasks) == 0


def test_subsampling_depends_on_read_and_seed_alone(tiny_run, tmp_path) -> None:
    chosen = reads_of(opened(tiny_run, subsample_n=7), tmp_path)
    assert [len(names) for names in chosen.values()] == [14, 14]
    tiny_run.write_signal("native", names=tiny_run.names["native"][::-1])
    assert reads_of(opened(tiny_run, subsample_n=7), tmp_path) == chosen
    assert reads_of(opened(tiny_run, subsample_n=7, seed=2), tmp_path) != chosen


def test_samples_of_one_condition_share_the_subsample(tiny_run, tmp_path) -> None:
    native, control = tiny_run.samples()
    half = tiny_run.names["native"][:10] + tiny_run.names["native"][20:30]
    other = [name for name in tiny_run.names["native"] if name not in half]
    parts = []
    for label, names in (("a", half), ("b", other)):
        bam = tmp_path / f"{label}.bam"
        with (
            pysam.AlignmentFile(native.bam[0]) as whole,
            pysam.AlignmentFile(bam, "wb", template=whole) as out,
        ):
            for record in whole:
                if record.query_name in names:
                    out.write(record)
        pysam.index(str(bam))
        parts.append(SampleFiles(label, True, (bam,), native.signal))
    together = opened(tiny_run, subsample_n=7)
    apart = open_run([*parts, control], tiny_run.reference, Config.from_settings({"subsample_n": 7}))
    expected = sorted(reads_of(together, tmp_path)["native"])
    found = reads_of(apart, tmp_path)
    assert sorted(found["a"] + found["b"]) == expected


def test_split_reads_find_their_part_of_the_parent(tiny_run, tmp_path) -> None:
    parents = tiny_run.names["native"]
    children = [name[:-4] + "beef" for name in parents]
    path = tiny_run.path("native", "bam")
    tiny_run.write_bam("native", names=children)
    with pysam.AlignmentFile(path) as whole:
        records, header = list(whole), whole.header
    with pysam.AlignmentFile(path, "wb", header=header) as out:
        for parent, record in zip(parents, records, strict=True):
            record.set_tags([("pi", parent), ("sp", 100), ("ns", 250), ("ts", 20)])
            out.write(record)
    pysam.index(str(path))
    run = opened(tiny_run)
    source = run.write(tmp_path)
    batches = [batch for sample, batch in read_contig(run.tasks[0], source, Config()) if sample == 0]
    assert batches[0].signal.lengths.tolist() == [250] * 20
    assert batches[0].signal_start.tolist() == [100] * 20
    assert batches[0].trimmed_samples.tolist() == [20] * 20
    assert list(batches[0].read_ids) == children[:20]


def test_letter_ts_of_the_aligner_is_not_taken_for_trimmed_samples(tiny_run, tmp_path) -> None:
    path = tiny_run.path("native", "bam")
    with pysam.AlignmentFile(path) as whole:
        records, header = list(whole), whole.header
    with pysam.AlignmentFile(path, "wb", header=header) as out:
        for number, record in enumerate(records):
            letter, integer = ("ts", "+", "A"), ("ts", 33, "i")
            record.set_tags([letter] if number % 2 else [letter, integer])
            out.write(record)
    pysam.index(str(path))
    run = opened(tiny_run)
    (_, batch), *_ = read_contig(run.tasks[0], run.write(tmp_path), Config())
    assert batch.trimmed_samples.tolist() == [33, -1] * 10


def test_move_tables_that_cannot_fit_are_left_out(tiny_run, tmp_path) -> None:
    import array

    bases, stride = 60, 5
    moves = array.array("b", [stride, *([1, 0] * bases)])  # 600 samples, as many as the read has
    tiny_run.write_bam("native", tags={"mv": moves, "ts": 100})
    run = opened(tiny_run)
    (_, batch), *_ = read_contig(run.tasks[0], run.write(tmp_path), Config())
    # With the trimmed samples the table would be too long; without them it fits.
    assert (batch.move_stride[0], batch.trimmed_samples[0]) == (stride, 0)
    tiny_run.write_bam("native", tags={"mv": array.array("b", [6, *([1, 0] * bases)])})
    run = opened(tiny_run)
    (_, batch), *_ = read_contig(run.tasks[0], run.write(tmp_path), Config())
    assert batch.move_stride[0] == 0
    assert len(batch.moves[0]) == 0


def test_pod5_folders_are_searched(tiny_run, tmp_path) -> None:
    folder = tmp_path / "pod5" / "deep"
    folder.mkdir(parents=True)
    names = tiny_run.names["native"]
    for number, part in enumerate((names[:13], names[13:])):
        with pod5.Writer(folder / f"{number}.pod5") as writer:
            for name in part:
                writer.add_read(pod5_read(name))
    native, control = tiny_run.samples()
    native = SampleFiles("native", True, native.bam, (tmp_path / "pod5",))
    run = open_run([native, control], tiny_run.reference, Config())
    assert run.status_counts["native"] == {ReadStatus.OK: 40}
    assert reads_of(run, tmp_path) == tiny_run.names


def test_a_sample_may_have_many_files_of_every_kind(tiny_run, tmp_path) -> None:
    native, control = tiny_run.samples()
    names = tiny_run.names["native"]
    bams = []
    for number, part in enumerate((names[:20], names[20:])):
        bams.append(tmp_path / f"{number}.bam")
        with (
            pysam.AlignmentFile(native.bam[0]) as whole,
            pysam.AlignmentFile(bams[-1], "wb", template=whole) as out,
        ):
            for record in whole:
                if record.query_name in part:
                    out.write(record)
        pysam.index(str(bams[-1]))
    with pod5.Writer(tmp_path / "first.pod5") as writer:
        for name in names[:13]:
            writer.add_read(pod5_read(name))
    blow5 = tiny_run.write_signal("native", names=names[13:])
    fastq = [tmp_path / "a.fastq", tmp_path / "b.fastq.gz"]
    fastq[0].write_text("".join(f"@{name} x\nACGT\n+\nIIII\n" for name in names[:5]))
    fastq[1].write_bytes(gzip.compress("".join(f"@{name}\nACGU\n+\nIIII\n" for name in names[5:]).encode()))
    many = SampleFiles(
        "native", True, tuple(bams), signal=(tmp_path / "first.pod5", blow5), fastq=tuple(fastq)
    )
    run = open_run([many, control], tiny_run.reference, Config())
    assert run.status_counts["native"] == {ReadStatus.OK: 40}
    assert reads_of(run, tmp_path)["native"] == names


def pod5_read(name: str) -> pod5.Read:
    """Return a read of 100 samples."""
    import datetime
    import uuid

    moment = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    info = pod5.RunInfo(
        acquisition_id="a", acquisition_start_time=moment, adc_max=2047, adc_min=0,
        context_tags={"experiment_type": "rna"}, experiment_name="", flow_cell_id="f",
        flow_cell_product_code="FLO-PRO004RA", protocol_name="", protocol_run_id="",
        protocol_start_time=moment, sample_id="", sample_rate=4000, sequencing_kit="sqk-rna004",
        sequencer_position="", sequencer_position_type="", software="", system_name="",
        system_type="", tracking_id={},
    )  # fmt: skip
    return pod5.Read(
        read_id=uuid.UUID(name),
        pore=pod5.Pore(channel=1, well=1, pore_type="r"),
        calibration=pod5.Calibration(offset=-259.0, scale=0.146),
        median_before=0.0,
        end_reason=pod5.EndReason(pod5.EndReasonEnum.SIGNAL_POSITIVE, forced=False),
        read_number=1,
        run_info=info,
        start_sample=0,
        signal=np.arange(100, dtype=np.int16),
    )


@pytest.mark.parametrize("methods", [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)], ids=str)
def test_every_compression_of_blow5_gives_the_same_signal(tiny_run, tmp_path, methods) -> None:
    def signals() -> list[list[int]]:
        run = opened(tiny_run)
        (_, batch), *_ = read_contig(run.tasks[0], run.write(tmp_path), Config())
        return [row.tolist() for row in batch.signal]

    expected = signals()
    tiny_run.write_signal("native", methods=methods)
    assert signals() == expected


def test_batches_are_bounded_and_cover_each_read_once(tiny_run, tmp_path, monkeypatch) -> None:
    from baleen.inputs import contig_reads

    monkeypatch.setattr(contig_reads, "BATCH_READS", 6)
    run = opened(tiny_run)
    batches = list(read_contig(run.tasks[0], run.write(tmp_path), Config()))
    assert [len(batch) for _, batch in batches] == [6, 6, 6, 2, 6, 6, 6, 2]
    assert [name for _, batch in batches[:4] for name in batch.read_ids] == tiny_run.names["native"][:20]


def test_without_signal_only_alignments_are_read(tiny_run, tmp_path) -> None:
    samples = [SampleFiles(s.name, s.is_native, s.bam) for s in tiny_run.samples()]
    config = Config.from_settings({"signal": False})
    run = open_run(samples, tiny_run.reference, config)
    (_, batch), *_ = read_contig(run.tasks[0], run.write(tmp_path), config)
    assert (run.chemistry, len(batch), len(batch.signal.values)) == (None, 20, 0)


def test_names_that_are_no_uuid_work(tiny_run, tmp_path) -> None:
    names = [f"../../read/{i}" for i in range(40)]
    tiny_run.write_bam("native", names=names)
    tiny_run.write_signal("native", names=names)
    assert reads_of(opened(tiny_run), tmp_path)["native"] == names


def test_a_sheet_names_the_same_samples(tiny_run, tmp_path) -> None:
    sheet = tmp_path / "samples.tsv"
    sheet.write_text(
        "condition\tsample\tbam\tsignal\tfastq\n"
        "native\tnative\tin/native.bam\tin/native.blow5\t\n"
        "control\tivt\tin/ivt.bam\tin/ivt.blow5\t\n"
    )
    assert read_sheet(sheet) == tiny_run.samples()


def test_check_prints_the_funnel_and_writes_nothing(tiny_run) -> None:
    before = sorted(path.name for path in tiny_run.folder.iterdir())
    done = tiny_run.check()
    assert (done.returncode, done.stderr) == (0, "")
    assert "native: 40 reads in the BAM" in done.stdout
    assert "chemistry: rna004, 4000 samples per second" in done.stdout
    assert "2 to call, 0 skipped" in done.stdout
    assert sorted(path.name for path in tiny_run.folder.iterdir()) == before
