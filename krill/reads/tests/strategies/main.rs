//! Every strategy, lock and sink gives the records that one pass over the text gives.

mod refusals;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use krill_reads::fastq::{self, Place};
use krill_reads::{
    Batch, Destination, Error, LockKind, Numa, Output, Parsing, Report, Result, Sink, Source, SourceSettings,
    bgzf, padded,
};
use proptest::prelude::*;

/// Name, sequence, quality.
type Record = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Records with their place in the input: batch, number in the batch.
#[derive(Default)]
struct Collected(Vec<(u64, Vec<u8>)>);

impl Destination for Collected {
    type Piece = Vec<u8>;

    fn append(&mut self, order: u64, bytes: &mut Vec<u8>) -> Result<()> {
        self.0.push((order, std::mem::take(bytes)));
        Ok(())
    }
}

/// How a run is shared out.
#[derive(Clone, Copy, Debug)]
struct Way {
    parsing: Option<Parsing>,
    lock: LockKind,
    output: Output,
    workers: usize,
    batch_bytes: u64,
}

const PLAIN: Way =
    Way { parsing: None, lock: LockKind::Os, output: Output::Slices, workers: 2, batch_bytes: 64 };

#[expect(clippy::unnecessary_wraps, reason = "the form of a worker")]
fn write_records(batch: &Batch, out: &mut Vec<u8>) -> Result<()> {
    for i in 0..batch.len() {
        for mate in &batch.mates {
            let span = &mate.spans[i];
            for part in [&span.name, &span.sequence, &span.quality] {
                out.extend_from_slice(&mate.text[part.clone()]);
                out.push(b'\n');
            }
        }
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "the form of a worker")]
fn write_bam_records(batch: &Batch, out: &mut Vec<u8>) -> Result<()> {
    for record in &batch.records {
        out.extend_from_slice(&batch.mates[0].text[record.start - 4..record.end]);
    }
    Ok(())
}

/// Run the pump and return what came out, in the order of the input, and whether it came in order.
fn pump(paths: &[PathBuf], way: Way) -> Result<(Vec<u8>, bool, Report)> {
    pump_with(paths, way, write_records)
}

fn pump_with(
    paths: &[PathBuf],
    way: Way,
    work: fn(&Batch, &mut Vec<u8>) -> Result<()>,
) -> Result<(Vec<u8>, bool, Report)> {
    let crew = (way.workers, 2);
    let settings = SourceSettings {
        parsing: way.parsing,
        lock: way.lock,
        workers: crew.0,
        nodes: crew.1,
        batch_bytes: way.batch_bytes,
    };
    let source = Source::open(paths, &settings)?;
    let lanes = (0..way.output.destinations(way.workers)).map(|_| Collected::default()).collect();
    let sink = Sink::new(way.output, lanes, way.lock, crew);
    let report = krill_reads::run(&source, &sink, (way.workers, Numa::Off), |_| Ok(work))?;
    let mut pieces: Vec<_> = sink.into_destinations().into_iter().flat_map(|lane| lane.0).collect();
    let in_order = pieces.is_sorted_by_key(|(order, _)| *order);
    pieces.sort_by_key(|(order, _)| *order);
    Ok((pieces.into_iter().flat_map(|(_, bytes)| bytes).collect(), in_order, report))
}

fn expected(texts: &[&[u8]]) -> Vec<u8> {
    let parsed: Vec<_> =
        texts.iter().map(|text| fastq::parse(text, &Place::start(Path::new("x"))).expect("valid")).collect();
    let mut out = Vec::new();
    for i in 0..parsed[0].len() {
        for (text, spans) in texts.iter().zip(&parsed) {
            let span = &spans[i];
            for part in [&span.name, &span.sequence, &span.quality] {
                out.extend_from_slice(&text[part.clone()]);
                out.push(b'\n');
            }
        }
    }
    out
}

fn save(folder: &Path, name: &str, text: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("room on disk");
    path
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn blocked(text: &[u8], block_bytes: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut deflater = bgzf::Deflater::new(1).expect("valid");
    text.chunks(block_bytes.max(1)).for_each(|chunk| deflater.block(chunk, &mut file));
    file.extend_from_slice(&bgzf::END);
    file
}

/// FASTQ that tries to be mistaken for something else.
fn render(records: &[Record], line_end: &str, blank_lines: &[usize], ends_with_line_end: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for (i, (name, sequence, quality)) in records.iter().enumerate() {
        (0..blank_lines.get(i).copied().unwrap_or(0))
            .for_each(|_| text.extend_from_slice(line_end.as_bytes()));
        for (mark, line) in [("@", name), ("", sequence), ("+", &Vec::new()), ("", quality)] {
            text.extend_from_slice(mark.as_bytes());
            text.extend_from_slice(line);
            text.extend_from_slice(line_end.as_bytes());
        }
    }
    if !ends_with_line_end {
        while text.last().is_some_and(u8::is_ascii_whitespace) && !records.is_empty() {
            text.pop();
            if text.last() != Some(&b'\r') {
                break;
            }
        }
    }
    text
}

prop_compose! {
    fn any_record()(
        name in "[@+a-c][@+ a-c/]{0,5}[@+a-c]",
        sequence in prop_oneof!["[ACGTUN]{0,3}", "[ACGT]{20,90}"],
        marks in prop::collection::vec(prop::sample::select(&b"@+IA!"[..]), 90),
    ) -> Record {
        let quality = marks[..sequence.len()].to_vec();
        (name.into_bytes(), sequence.into_bytes(), quality)
    }
}

prop_compose! {
    fn any_text()(
        records in prop::collection::vec(any_record(), 0..12),
        line_end in prop::sample::select(vec!["\n", "\r\n"]),
        blank_lines in prop::collection::vec(0_usize..3, 12),
        ends in any::<bool>(),
    ) -> Vec<u8> {
        render(&records, line_end, &blank_lines, ends)
    }
}

fn any_output() -> impl Strategy<Value = Output> {
    prop::sample::select(vec![Output::Single, Output::Striped(2), Output::Slices, Output::Ordered])
}

prop_compose! {
    fn any_way()(
        parsing in prop::sample::select(Parsing::ALL.to_vec()),
        lock in prop::sample::select(LockKind::ALL.to_vec()),
        output in any_output(),
        workers in 1_usize..4,
        batch_bytes in 1_u64..300,
    ) -> Way {
        Way { parsing: Some(parsing), lock, output, workers, batch_bytes }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_way_gives_the_records_of_one_pass(text in any_text(), way in any_way(), block in 40_usize..200) {
        let folder = tempfile::tempdir().expect("room on disk");
        let path = save(folder.path(), "reads.fq", &text);
        let expected = expected(&[&text]);
        let plain_way = Way { parsing: way.parsing.filter(|&p| p != Parsing::Block), ..way };
        let (got, in_order, _) = pump(from_ref(&path), plain_way).expect("valid");
        prop_assert_eq!(&expected, &got);
        prop_assert!(in_order || way.output != Output::Ordered);
        let packed = Way { parsing: way.parsing.filter(|p| !matches!(p, Parsing::Block | Parsing::Atomic)), ..way };
        for content in [gzip(&text), blocked(&text, block), blocked(&text, 1)] {
            let path = save(folder.path(), "reads.fq.gz", &content);
            prop_assert_eq!(&expected, &pump(&[path], packed).expect("valid").0);
        }
        let padded_path = folder.path().join("padded.fq");
        padded::pad(&[path], from_ref(&padded_path), 200 + block).expect("fits");
        padded::check(&padded_path).expect("just made");
        prop_assert_eq!(&expected, &pump(&[padded_path], way).expect("valid").0);
    }

    #[test]
    fn every_way_gives_the_pairs_of_one_pass(
        records in prop::collection::vec((any_record(), any_record()), 0..12),
        line_ends in prop::sample::select(vec![("\n", "\r\n"), ("\n", "\n")]),
        blank_lines in prop::collection::vec(0_usize..3, 12),
        way in any_way(),
    ) {
        let folder = tempfile::tempdir().expect("room on disk");
        let (mut first, mut second): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        for (i, (a, b)) in first.iter_mut().zip(&mut second).enumerate() {
            (a.0, b.0) = (format!("r{i}/1 x").into_bytes(), format!("r{i}/2").into_bytes());
        }
        let texts = [render(&first, line_ends.0, &blank_lines, true), render(&second, line_ends.1, &[], false)];
        let paths = [save(folder.path(), "1.fq", &texts[0]), save(folder.path(), "2.fq", &texts[1])];
        let expected = expected(&[&texts[0], &texts[1]]);
        let plain_way = Way { parsing: way.parsing.filter(|&p| p != Parsing::Block), ..way };
        prop_assert_eq!(&expected, &pump(&paths, plain_way).expect("valid").0);
        let padded_paths = [folder.path().join("p1.fq"), folder.path().join("p2.fq")];
        padded::pad(&paths, &padded_paths, 250).expect("fits");
        prop_assert_eq!(&expected, &pump(&padded_paths, way).expect("valid").0);
    }

    #[test]
    fn records_are_found_again_from_every_byte(text in any_text()) {
        let place = Place::start(Path::new("x"));
        let names = |spans: Vec<fastq::Span>, text: &[u8]| -> Vec<Vec<u8>> {
            spans.into_iter().map(|span| text[span.name].to_vec()).collect()
        };
        let whole = names(fastq::parse(&text, &place).expect("valid"), &text);
        for cut in 0..=text.len() {
            let found = match fastq::first_start(&text, cut, usize::MAX, true) {
                fastq::Start::At(at) => at,
                fastq::Start::None => text.len(),
                fastq::Start::MoreText => panic!("the text is whole"),
            };
            let mut halves = names(fastq::parse(&text[..found], &place).expect("whole records"), &text[..found]);
            halves.extend(names(fastq::parse(&text[found..], &place).expect("whole records"), &text[found..]));
            prop_assert_eq!(&whole, &halves, "cut at {}", cut);
            let last = fastq::last_start(&text[..cut]);
            prop_assert!(fastq::parse(&text[..last], &place).is_ok(), "kept from {} at cut {}", last, cut);
        }
    }

    #[test]
    fn a_file_cut_inside_a_record_is_an_error(text in any_text(), way in any_way(), share in 0.0..1.0_f64) {
        let cut = (text.len() as f64 * share) as usize;
        let sequential = fastq::parse(&text[..cut], &Place::start(Path::new("x")));
        let folder = tempfile::tempdir().expect("room on disk");
        let path = save(folder.path(), "reads.fq", &text[..cut]);
        let plain_way = Way { parsing: way.parsing.filter(|&p| p != Parsing::Block), ..way };
        prop_assert_eq!(sequential.is_ok(), pump(from_ref(&path), plain_way).is_ok());
        let packed = save(folder.path(), "reads.fq.gz", &blocked(&text[..cut], 50));
        prop_assert_eq!(sequential.is_ok(), pump(&[packed], Way { parsing: None, ..way }).is_ok());
    }
}

#[test]
fn reads_of_one_base_and_of_a_million_pass_every_strategy() {
    let record =
        |name: &str, length: usize| (name.as_bytes().to_vec(), vec![b'A'; length], vec![b'@'; length]);
    let records =
        [record("short", 1), record("long", 1_000_000), record("short", 1), record("long", 300_000)];
    let text = render(&records, "\n", &[], true);
    let folder = tempfile::tempdir().expect("room on disk");
    let path = save(folder.path(), "reads.fq", &text);
    let packed = save(folder.path(), "reads.fq.gz", &blocked(&text, bgzf::MAX_TEXT_BYTES));
    let expected = expected(&[&text]);
    for parsing in Parsing::ALL.into_iter().filter(|&p| p != Parsing::Block) {
        let way = Way { parsing: Some(parsing), batch_bytes: 50_000, ..PLAIN };
        assert!(expected == pump(from_ref(&path), way).expect("valid").0, "{parsing:?}");
    }
    let inflated = save(folder.path(), "again.fq.gz", &gzip(&text));
    for path in [packed, inflated] {
        assert!(expected == pump(&[path], Way { batch_bytes: 50_000, ..PLAIN }).expect("valid").0);
    }
}

#[test]
fn cuts_one_byte_around_a_record_end_lose_nothing() {
    let records: Vec<Record> =
        (0..40).map(|i| (format!("{i}").into_bytes(), b"ACGT".to_vec(), b"@+@+".to_vec())).collect();
    let text = render(&records, "\n", &[], true);
    let folder = tempfile::tempdir().expect("room on disk");
    let path = save(folder.path(), "reads.fq", &text);
    let expected = expected(&[&text]);
    for batch_bytes in 1..60 {
        for parsing in [Parsing::Chunk, Parsing::Atomic, Parsing::Batch] {
            let way = Way { parsing: Some(parsing), batch_bytes, ..PLAIN };
            assert_eq!(expected, pump(from_ref(&path), way).expect("valid").0, "{parsing:?} {batch_bytes}");
        }
    }
}

#[test]
fn bam_records_that_straddle_pieces_come_whole() {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 // does not deflate, so that there are many pieces
    };
    let header = b"BAM\x01\0\0\0\0\0\0\0\0".to_vec();
    let lengths =
        [40, 70_000, 32, 300_000, 33, 65_533, 36, 500_000].into_iter().chain((0..400).map(|i| 32 + 7 * i));
    let mut records = Vec::new();
    for length in lengths {
        records.extend_from_slice(&u32::to_le_bytes(length));
        records.extend((0..length).map(|_| noise()));
    }
    let folder = tempfile::tempdir().expect("room on disk");
    let path = save(folder.path(), "reads.bam", &blocked(&[&header[..], &records].concat(), 60_000));
    for workers in [1, 4] {
        let way = Way { workers, batch_bytes: 1 << 16, ..PLAIN };
        let (got, _, report) = pump_with(from_ref(&path), way, write_bam_records).expect("valid");
        assert_eq!(408, report.records, "{workers} workers");
        assert!(records == got, "{workers} workers");
    }
}

#[test]
fn mates_that_drift_far_apart_are_matched_by_number() {
    // Long mates first in one file, last in the other: pairs lie half a file apart.
    let record =
        |i: usize, length: usize| (format!("r{i}").into_bytes(), vec![b'A'; length], vec![b'@'; length]);
    let mates = [false, true].map(|second| {
        let length = |i: usize| if (i < 400) == second { 300 } else { 3 };
        render(&(0..800).map(|i| record(i, length(i))).collect::<Vec<_>>(), "\n", &[], true)
    });
    let folder = tempfile::tempdir().expect("room on disk");
    let paths = [save(folder.path(), "1.fq", &mates[0]), save(folder.path(), "2.fq", &mates[1])];
    let expected = expected(&[&mates[0], &mates[1]]);
    for workers in [1, 4] {
        for parsing in [Parsing::Atomic, Parsing::Chunk] {
            let way = Way { parsing: Some(parsing), batch_bytes: 1000, workers, ..PLAIN };
            assert!(expected == pump(&paths, way).expect("valid").0, "{parsing:?}, {workers} workers");
        }
    }
}

#[test]
fn counters_tell_how_often_each_lock_was_taken() {
    let folder = tempfile::tempdir().expect("room on disk");
    let path = save(folder.path(), "reads.fq", &b"@a\nA\n+\nI\n".repeat(100));
    let way = Way { parsing: Some(Parsing::Deferred), output: Output::Single, ..PLAIN };
    let (_, _, report) = pump(from_ref(&path), way).expect("valid");
    // One per read, and one per worker that finds the end.
    assert_eq!((100, 102, 100), (report.records, report.locks[0].acquisitions, report.locks[1].acquisitions));
    let (_, _, report) = pump(&[path], Way { parsing: Some(Parsing::Atomic), ..PLAIN }).expect("valid");
    assert_eq!((100, 0), (report.records, report.locks[0].acquisitions));
    assert_eq!(2, report.workers.len());
}
