//! Blocked gzip without a serial inflater: compressed blocks are read inside the lock, inflated
//! outside. Records that straddle two batches are handed on through the relay.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::batch::{Batch, Format, Schedule};
use crate::bgzf::{self, Inflater};
use crate::counters::Turn;
use crate::fastq::Place;
use crate::lock::Locked;
use crate::relay::Relay;
use crate::stream::{Stream, reading};
use crate::{Error, Result, bam, fastq};

/// Text per compressed byte assumed when a piece is sized.
const INFLATION: u64 = 3;
/// Text inflated at once while the header is sought.
const HEADER_STEP_BYTES: u64 = 1 << 16;

/// What is inside the lock: the file, and the part of a block at the end of the last piece.
pub(crate) struct BlockReader {
    path: PathBuf,
    stream: Box<dyn Stream>,
    rest: Vec<u8>,
    offset: u64,
    total: Option<u64>,
    schedule: Schedule,
    order: u64,
    is_done: bool,
    /// Whether the file must end with the empty block (BAM must; some writers of FASTQ leave it out).
    needs_end: bool,
    has_end: bool,
}

/// A piece of compressed blocks, on its way from the lock to the inflater.
#[derive(Default)]
struct Piece {
    blocks: Vec<u8>,
    offset: u64,
    order: u64,
    is_last: bool,
}

impl BlockReader {
    /// Read whole blocks. False if the last piece was handed out before.
    fn take(&mut self, piece: &mut Piece) -> Result<bool> {
        if self.is_done {
            return Ok(false);
        }
        let target =
            self.schedule.next(self.total.map(|total| total.saturating_sub(self.offset) * INFLATION));
        let bytes = (target / INFLATION).max(1 << 16);
        piece.blocks.clear();
        piece.blocks.append(&mut self.rest);
        let before = piece.blocks.len();
        let result = (&mut self.stream).take(bytes).read_to_end(&mut piece.blocks);
        result.map_err(|error| reading(&self.path, error))?;
        let mut is_last = ((piece.blocks.len() - before) as u64) < bytes;
        let whole = match bgzf::whole_blocks(&piece.blocks) {
            Ok(whole) => whole,
            Err(at) => {
                self.skip_padding(&piece.blocks, at)?;
                piece.blocks.truncate(at);
                is_last = true;
                at
            }
        };
        if is_last && piece.blocks[whole..].iter().all(|&byte| byte == 0) {
            piece.blocks.truncate(whole); // padding shorter than the head of a block
        }
        if whole > 0 {
            self.has_end = piece.blocks[..whole].ends_with(&bgzf::END);
        }
        if is_last && whole < piece.blocks.len() {
            return Err(Error::format(&self.path, "ends inside a block: the file is truncated"));
        }
        self.rest.extend_from_slice(&piece.blocks[whole..]);
        piece.blocks.truncate(whole);
        (piece.offset, piece.order, piece.is_last) = (self.offset, self.order, is_last);
        self.offset += whole as u64;
        self.order += 1;
        self.is_done = is_last;
        self.check_end()?;
        Ok(true)
    }

    /// Zeros that follow the last block are padding, as they are for gzip.
    fn skip_padding(&mut self, blocks: &[u8], at: usize) -> Result<()> {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        let mut is_padding = is_zero(&blocks[at..]);
        while is_padding {
            let next = self.stream.fill_buf().map_err(|error| reading(&self.path, error))?;
            let length = next.len();
            if length == 0 {
                return Ok(());
            }
            is_padding = is_zero(next);
            self.stream.consume(length);
        }
        let path = self.path.display();
        let place = self.offset + at as u64;
        Err(if blocks[at..].starts_with(&[0x1f, 0x8b]) {
            Error::format(&self.path, format!("is bgzip up to byte {place} and plain gzip from there on"))
                .with_hint(format!("gzip -dc {path} | bgzip > NEW.gz"))
        } else {
            Error::format(&self.path, format!("holds no block at byte {place}"))
        })
    }

    fn check_end(&self) -> Result<()> {
        if self.is_done && self.needs_end && !self.has_end {
            let problem = "ends without the block that marks the end: the file is truncated";
            return Err(Error::format(&self.path, problem));
        }
        Ok(())
    }
}

/// Blocks behind a lock, and the relay between their batches.
pub(crate) struct BlockSource {
    reader: Locked<BlockReader>,
    relay: Relay<Vec<u8>>,
    format: Format,
    path: PathBuf,
    /// Header of a BAM file, without the records.
    pub(crate) header: Vec<u8>,
}

impl BlockSource {
    /// Look at the beginning of the text: is it BAM or FASTQ?
    pub(crate) fn open(
        path: &Path,
        stream: Box<dyn Stream>,
        (schedule, total): (Schedule, Option<u64>),
        protect: impl FnOnce(BlockReader) -> Locked<BlockReader>,
    ) -> Result<Self> {
        let mut reader = BlockReader {
            path: path.to_owned(),
            stream,
            rest: Vec::new(),
            offset: 0,
            total,
            schedule: Schedule { max_bytes: HEADER_STEP_BYTES, ..schedule },
            order: 0,
            is_done: false,
            needs_end: false,
            has_end: false,
        };
        let (mut text, mut piece) = (Vec::new(), Piece::default());
        let header_length = loop {
            let has_more = reader.take(&mut piece)?;
            Inflater::default().inflate(&piece.blocks, &mut text, path, piece.offset)?;
            piece.blocks.clear();
            if text.len() >= 4 && !text.starts_with(b"BAM\x01") {
                break 0;
            }
            if let Some(length) = bam::header_length(&text, path)?.filter(|_| text.len() >= 4) {
                break length;
            }
            if !has_more {
                break 0;
            }
        };
        let format = if header_length > 0 { Format::Bam } else { Format::Fastq };
        if format == Format::Fastq && text.starts_with(b"BAM\x01") {
            return Err(Error::format(path, "ends inside its header: the file is truncated"));
        }
        reader.schedule = schedule;
        reader.order = 0;
        reader.needs_end = format == Format::Bam;
        reader.check_end()?;
        // A short file was read to its end by now; its text still has to be handed out.
        reader.is_done = false;
        let records = text.split_off(header_length);
        let relay = Relay::new(records);
        Ok(Self { reader: protect(reader), relay, format, path: path.to_owned(), header: text })
    }

    /// What the text is made of.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Fill `batch` with the next piece. False if there is none.
    pub(crate) fn take(&self, batch: &mut Batch, worker: &mut BlockWorker, turn: &mut Turn) -> Result<bool> {
        let piece = &mut worker.piece;
        if !self.reader.with(turn, |reader| reader.take(piece))? {
            return Ok(false);
        }
        worker.text.clear();
        worker.inflater.inflate(&piece.blocks, &mut worker.text, &self.path, piece.offset)?;
        let (order, place) = (
            piece.order,
            Place { path: self.path.as_path().into(), offset: piece.offset, is_compressed: true },
        );
        let mate = &mut batch.mates[0];
        let text = &mut worker.text;
        batch.order = order;
        if self.format == Format::Fastq {
            // The cut can be found without what came before, so the next batch need not wait for us.
            let cut = if piece.is_last { text.len() } else { fastq::last_start(text) };
            if cut > 0 {
                self.relay.leave(order + 1, text.split_off(cut), turn);
                mate.text = self.relay.take(order, turn)?;
                mate.text.append(text);
            } else {
                mate.text = self.relay.pass(order, turn, |mut joined| {
                    joined.append(text);
                    let cut = if piece.is_last { joined.len() } else { fastq::last_start(&joined) };
                    Ok((joined.split_off(cut), joined))
                })?;
            }
        } else {
            // Only lengths are followed while the next batch waits; bytes are joined afterwards.
            mate.text = self.relay.pass(order, turn, |mut before| {
                let whole =
                    if piece.is_last { usize::MAX } else { bam::whole_records(&before, text, &place)? };
                let left = if let Some(whole) = whole.checked_sub(before.len()) {
                    text.split_off(whole.min(text.len()))
                } else {
                    let mut left = before.split_off(whole);
                    left.append(text);
                    left
                };
                Ok((left, before))
            })?;
            mate.text.append(text);
        }
        mate.place = place;
        Ok(true)
    }

    /// Wake workers that wait for a batch that will not come.
    pub(crate) fn stop(&self) {
        self.relay.stop();
    }
}

/// What a worker needs to take blocks: its inflater and its buffers.
#[derive(Default)]
pub(crate) struct BlockWorker {
    inflater: Inflater,
    piece: Piece,
    text: Vec<u8>,
}
