//! Merge sorted runs into a BAM file and its index: inside the lock records are only selected;
//! they are copied together and deflated outside, and written in order. The file is the same for any number of threads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use krill_reads::bgzf::{Deflater, END, MAX_TEXT_BYTES};
use krill_reads::counters::{Site, Stopwatch, Turn};
use krill_reads::lock::Locked;
use krill_reads::{Destination, Error, LockKind, Output, Report, Result, Sink};
use noodles_bgzf::VirtualPosition;
use noodles_core::Position;
use noodles_csi::binning_index::Indexer;
use noodles_csi::binning_index::index::reference_sequence::bin::Chunk;
use noodles_csi::binning_index::index::reference_sequence::index::LinearIndex;

use crate::index::Reference;
use crate::record::reference_span;
use crate::sort::{DiskRun, Key, MemoryRun};

/// Text of the records a thread takes at once.
const PIECE_BYTES: usize = 1 << 19;
/// BAI cannot hold places beyond this.
const MAX_BAI_LENGTH: u32 = 1 << 29;

/// All runs of a sort.
pub(crate) struct Runs {
    pub(crate) memory: Vec<MemoryRun>,
    pub(crate) disk: Vec<DiskRun>,
}

/// Where the merged records of one piece lie; in order.
#[derive(Default)]
struct Selection {
    /// Run in memory (or [`ON_DISK`]), place and length there.
    parts: Vec<(usize, usize, usize)>,
    /// Records from disk.
    text: Vec<u8>,
    bytes: usize,
}

/// Stands for "in the selection's own text".
const ON_DISK: usize = usize::MAX;

impl Selection {
    /// Copy the records together. This is what touches their bytes, and needs no lock.
    fn gather(&mut self, memory: &[MemoryRun], text: &mut Vec<u8>) {
        text.clear();
        for &(run, at, length) in &self.parts {
            let records = if run == ON_DISK { &self.text } else { &memory[run].records };
            text.extend_from_slice(&records[at..at + length]);
        }
        self.parts.clear();
        self.text.clear();
        self.bytes = 0;
    }
}

/// Runs by the key of their next record, smallest first. Runs in memory come before those on disk.
struct Merger<'a> {
    memory: &'a [MemoryRun],
    /// Next entry of each run in memory.
    next: Vec<usize>,
    disk: Vec<DiskRun>,
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    order: u64,
}

impl<'a> Merger<'a> {
    fn new(memory: &'a [MemoryRun], disk: Vec<DiskRun>) -> Self {
        let mut merger =
            Self { memory, next: vec![0; memory.len()], disk, heap: BinaryHeap::new(), order: 0 };
        let keys = (0..merger.next.len() + merger.disk.len())
            .filter_map(|run| Some(Reverse((merger.key(run)?, run))));
        merger.heap = keys.collect();
        merger
    }

    fn key(&self, run: usize) -> Option<Key> {
        match self.memory.get(run) {
            Some(memory) => memory.entries.get(self.next[run]).map(|entry| entry.key),
            None => self.disk[run - self.memory.len()].key(),
        }
    }

    /// Select the next record of a run.
    fn advance(&mut self, run: usize, selection: &mut Selection) -> Result<()> {
        let (part, length) = if let Some(memory) = self.memory.get(run) {
            let entry = memory.entries[self.next[run]];
            self.next[run] += 1;
            ((run, entry.at), entry.length as usize)
        } else {
            let at = selection.text.len();
            self.disk[run - self.memory.len()].take(&mut selection.text)?;
            ((ON_DISK, at), selection.text.len() - at)
        };
        selection.parts.push((part.0, part.1, length));
        selection.bytes += length;
        Ok(())
    }

    /// Select the next records; the number of the piece, or `None` if there are no more.
    fn take(&mut self, selection: &mut Selection) -> Result<Option<u64>> {
        while selection.bytes < PIECE_BYTES {
            let Some(Reverse((_, first))) = self.heap.pop() else { break };
            // A run is read on for as long as no other has a smaller record.
            let limit = self.heap.peek().map(|Reverse(smallest)| *smallest);
            while self.key(first).is_some_and(|key| limit.is_none_or(|limit| (key, first) < limit)) {
                self.advance(first, selection)?;
                if selection.bytes >= PIECE_BYTES {
                    break;
                }
            }
            if let Some(key) = self.key(first) {
                self.heap.push(Reverse((key, first)));
            }
        }
        if selection.parts.is_empty() {
            return Ok(None);
        }
        self.order += 1;
        Ok(Some(self.order - 1))
    }
}

/// Deflated blocks and where the records in them lie.
#[derive(Default)]
struct Piece {
    blocks: Vec<u8>,
    records: Vec<Indexed>,
}

/// What the index needs to know of a record. Offsets count from the piece's first byte.
struct Indexed {
    context: Option<(usize, Position, Position, bool)>,
    start: (u64, u16),
    end: (u64, u16),
}

/// Deflate records, never cutting one that fits into a block.
fn deflate(text: &[u8], deflater: &mut Deflater, piece: &mut Piece) {
    let mut at = 0;
    let mut block_start = 0;
    let mut pending: Vec<(usize, usize)> = Vec::new();
    while at < text.len() {
        let length = u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]) as usize + 4;
        if at > block_start && at + length - block_start > MAX_TEXT_BYTES {
            close(&text[block_start..at], block_start, (deflater, piece), &mut pending, text);
            block_start = at;
        }
        pending.push((at, at + length));
        at += length;
    }
    close(&text[block_start..], block_start, (deflater, piece), &mut pending, text);
}

/// Write the pending records as blocks: one, or several for a record longer than a block.
fn close(
    part: &[u8],
    part_start: usize,
    (deflater, piece): (&mut Deflater, &mut Piece),
    pending: &mut Vec<(usize, usize)>,
    text: &[u8],
) {
    let mut starts = Vec::new();
    for block in part.chunks(MAX_TEXT_BYTES) {
        starts.push(piece.blocks.len() as u64);
        deflater.block(block, &mut piece.blocks);
    }
    starts.push(piece.blocks.len() as u64);
    // A record that ends with the last block ends at the beginning of the next.
    let place = |at: usize| {
        let inside = at - part_start;
        if inside == part.len() {
            (starts[starts.len() - 1], 0)
        } else {
            (starts[inside / MAX_TEXT_BYTES], (inside % MAX_TEXT_BYTES) as u16)
        }
    };
    for (start, end) in pending.drain(..) {
        let context = context(&text[start + 4..end]);
        piece.records.push(Indexed { context, start: place(start), end: place(end) });
    }
}

/// Reference, first and last base (1-based) of a record, and whether it is mapped.
fn context(record: &[u8]) -> Option<(usize, Position, Position, bool)> {
    let number = |at: usize| i32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    let (reference, position) = (usize::try_from(number(0)).ok()?, usize::try_from(number(4)).ok()?);
    let is_mapped = record[14] & 4 == 0;
    let cigar = 32 + usize::from(record[8]);
    let operations = usize::from(u16::from_le_bytes([record[12], record[13]]));
    let operations: Vec<u32> = (0..operations).map(|i| number(cigar + 4 * i) as u32).collect();
    let span = (reference_span(&operations) as usize).max(1);
    Some((reference, Position::new(position + 1)?, Position::new(position + span)?, is_mapped))
}

/// The BAM file in the making.
struct BamFile {
    path: PathBuf,
    file: krill_reads::FileDestination,
    bytes: u64,
    indexer: Indexer<LinearIndex>,
}

impl Destination for BamFile {
    type Piece = Piece;

    fn append(&mut self, order: u64, piece: &mut Piece) -> Result<()> {
        let place = |(block, inside): (u64, u16)| {
            VirtualPosition::try_from((self.bytes + block, inside)).unwrap_or_default()
        };
        for record in &piece.records {
            let chunk = Chunk::new(place(record.start), place(record.end));
            let added = self.indexer.add_record(record.context, chunk);
            added.map_err(|error| Error::format(&self.path, format!("cannot be indexed: {error}")))?;
        }
        self.bytes += piece.blocks.len() as u64;
        piece.records.clear();
        self.file.append(order, &mut piece.blocks)
    }
}

/// Say so before the work begins if the index could not hold these references.
pub(crate) fn check_lengths(references: &[Reference], output: &Path) -> Result<()> {
    match references.iter().find(|reference| reference.length > MAX_BAI_LENGTH) {
        None => Ok(()),
        Some(Reference { name, length }) => {
            let problem =
                format!("cannot be indexed: {name} has {length} bases, a .bai index holds {MAX_BAI_LENGTH}");
            Err(Error::format(output, problem))
        }
    }
}

/// How the file is written.
#[derive(Clone, Copy)]
pub(crate) struct Writing {
    pub(crate) threads: usize,
    pub(crate) lock: LockKind,
    pub(crate) level: u8,
}

/// Write runs as a BAM file at `path` with its index beside it, whole or not at all.
pub(crate) fn write(
    runs: Runs,
    header: &[u8],
    references: usize,
    path: &Path,
    writing: Writing,
) -> Result<Report> {
    let part = with_suffix(path, ".part");
    let written = write_part(runs, header, references, &part, writing);
    let renamed = written.and_then(|(report, index)| {
        let index_path = with_suffix(path, ".bai");
        noodles_bam::bai::fs::write(&index_path, &index).map_err(Error::io(&index_path))?;
        std::fs::rename(&part, path).map_err(Error::io(path))?;
        Ok(report)
    });
    // The error that stopped the writing is the one to report, not one of tidying up.
    renamed.inspect_err(|_| drop(std::fs::remove_file(&part)))
}

/// The file under its temporary name, and its index.
fn write_part(
    runs: Runs,
    header: &[u8],
    references: usize,
    part: &Path,
    writing: Writing,
) -> Result<(Report, noodles_bam::bai::Index)> {
    let mut file = krill_reads::FileDestination::create(part)?;
    let mut blocks = Vec::new();
    let mut deflater = Deflater::new(writing.level)?;
    header.chunks(MAX_TEXT_BYTES).for_each(|chunk| deflater.block(chunk, &mut blocks));
    let bytes = blocks.len() as u64;
    file.append(0, &mut blocks)?;
    let indexer = Indexer::default();
    let crew = (writing.threads, 1);
    let sink = Sink::new(
        Output::Ordered,
        vec![BamFile { path: part.to_owned(), file, bytes, indexer }],
        writing.lock,
        crew,
    );
    let Runs { memory, disk } = runs;
    let merger = Locked::new(Merger::new(&memory, disk), writing.lock, Site::Input, crew);
    let report = run(&merger, &memory, &sink, writing)?;
    drop(merger);
    let mut bam = sink.into_destinations().remove(0);
    bam.file.append(0, &mut END.to_vec())?;
    bam.file.finish()?;
    Ok((report, bam.indexer.build(references)))
}

fn run(
    merger: &Locked<Merger<'_>>,
    memory: &[MemoryRun],
    sink: &Sink<BamFile>,
    writing: Writing,
) -> Result<Report> {
    let start = std::time::Instant::now();
    let work = |worker: usize| {
        let watch = Stopwatch::start();
        let mut turn = Turn { worker, ..Turn::default() };
        let mut deflater = Deflater::new(writing.level)?;
        let (mut selection, mut text) = (Selection::default(), Vec::with_capacity(PIECE_BYTES * 2));
        let (mut piece, mut pieces) = (Piece::default(), 0);
        while let Some(order) = merger.with(&mut turn, |merger| merger.take(&mut selection))? {
            if krill_reads::interrupt::is_asked() {
                return Err(Error::Stopped);
            }
            selection.gather(memory, &mut text);
            deflate(&text, &mut deflater, &mut piece);
            sink.put(order, &mut piece, &mut turn)?;
            pieces += 1;
        }
        Ok((turn, watch.stop(pieces)))
    };
    let results: Vec<Result<_>> = std::thread::scope(|scope| {
        let stopping = |worker| {
            // A worker that fails lets the others go.
            work(worker).inspect_err(|_| sink.stop())
        };
        let handles: Vec<_> =
            (0..writing.threads).map(|worker| scope.spawn(move || stopping(worker))).collect();
        handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut report = Report { wall: start.elapsed(), ..Report::default() };
    for result in results {
        let (turn, time) = result?;
        report.workers.push(time);
        report.locks.iter_mut().zip(turn.locks).for_each(|(sum, one)| sum.add(one));
    }
    Ok(report)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
