//! What happens inside the lock for text that comes in order: O, D, B, L and K parsing.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batch, Mate, Schedule};
use crate::counters::{Site, Turn};
use crate::fastq::{self, MAX_RECORD_BYTES};
use crate::feed::Queue;
use crate::lock::Locked;
use crate::padded::Layout;
use crate::parsing::Parsing;
use crate::stream::{Stream, reading};
use crate::{Error, Result};

/// Text read ahead by the parsers that go through it byte by byte.
const READ_AHEAD_BYTES: usize = 1 << 18;

/// One file, read in order.
struct File {
    path: PathBuf,
    stream: Box<dyn Stream>,
    /// Read but not yet handed out: `ahead[at..]`.
    ahead: Vec<u8>,
    at: usize,
    is_at_end: bool,
    /// Bytes handed out.
    offset: u64,
}

impl File {
    fn new(path: &Path, stream: Box<dyn Stream>) -> Self {
        Self { path: path.to_owned(), stream, ahead: Vec::new(), at: 0, is_at_end: false, offset: 0 }
    }

    /// Append up to `bytes` of the stream to `text`, in as few calls to the system as it allows.
    fn read(&mut self, bytes: usize, text: &mut Vec<u8>) -> Result<()> {
        let mut missing = bytes;
        while missing > 0 {
            let ready = match self.stream.fill_buf() {
                Ok([]) => break,
                Ok(ready) => &ready[..ready.len().min(missing)],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(reading(&self.path, error)),
            };
            text.extend_from_slice(ready);
            let length = ready.len();
            self.stream.consume(length);
            missing -= length;
        }
        self.is_at_end = missing > 0;
        Ok(())
    }

    /// Copy one record byte by byte until its four line ends were seen. False at the end of the file.
    fn copy_record(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        let (mut lines, mut line_start) = (0, text.len());
        let record_start = text.len();
        loop {
            if self.at == self.ahead.len() {
                if self.is_at_end {
                    break;
                }
                let mut ahead = std::mem::take(&mut self.ahead);
                ahead.clear();
                self.read(READ_AHEAD_BYTES, &mut ahead)?;
                (self.ahead, self.at) = (ahead, 0);
                continue;
            }
            let byte = self.ahead[self.at];
            self.at += 1;
            text.push(byte);
            if byte == b'\n' {
                let is_blank = matches!(&text[line_start..], b"\n" | b"\r\n");
                // Blank lines stand between records; inside one they are an empty read.
                lines += usize::from(lines > 0 || !is_blank);
                line_start = text.len();
                if lines == 4 {
                    break;
                }
            }
        }
        self.offset += (text.len() - record_start) as u64;
        if text.len() - record_start > MAX_RECORD_BYTES {
            return Err(self.too_long());
        }
        Ok(text.len() > record_start)
    }

    /// Read about `bytes` at once, hand out the whole records among them, keep the rest.
    fn take_chunk(&mut self, bytes: usize, mate: &mut Mate) -> Result<()> {
        mate.text.extend_from_slice(&self.ahead);
        self.ahead.clear();
        loop {
            self.read_on(bytes, mate)?;
            if self.is_at_end {
                break;
            }
            let mut cut = fastq::last_start(mate.last_piece());
            // A record may have begun before the last piece: look at everything.
            if cut == 0 && mate.join() {
                cut = fastq::last_start(&mate.text);
            }
            if cut > 0 {
                let last = mate.last_piece();
                self.ahead.extend_from_slice(&last[cut..]);
                last.truncate(cut);
                break;
            }
            if mate.text.len() > MAX_RECORD_BYTES {
                return Err(self.too_long());
            }
        }
        self.offset += mate.length() as u64;
        Ok(())
    }

    /// Add about `bytes` of the stream to the text: in its pieces, where it has such, else copied.
    fn read_on(&mut self, bytes: usize, mate: &mut Mate) -> Result<()> {
        let mut missing = bytes;
        while missing > 0 {
            let Some(piece) = self.stream.take_piece() else { return self.read(bytes, &mut mate.text) };
            let piece = piece.map_err(|error| reading(&self.path, error))?;
            self.is_at_end = piece.is_empty();
            if self.is_at_end {
                break;
            }
            missing = missing.saturating_sub(piece.len());
            mate.pieces.push(piece);
        }
        Ok(())
    }

    fn copy_block(&mut self, bytes: usize, text: &mut Vec<u8>) -> Result<()> {
        self.read(bytes, text)?;
        self.offset += text.len() as u64;
        Ok(())
    }

    fn too_long(&self) -> Error {
        Error::format(
            &self.path,
            format!("has no record end within 1 GiB from byte {}: is it FASTQ?", self.offset),
        )
    }
}

/// One file or two mates, and how they are taken apart.
pub(crate) struct TextReader {
    files: Vec<File>,
    parsing: Parsing,
    layout: Option<Layout>,
    schedule: Schedule,
    /// Length of the first file, where it can be known.
    total: Option<u64>,
    order: u64,
    is_done: bool,
}

impl Locked<TextReader> {
    /// Let the reader take a piece inside the lock. It is joined outside, where inflating threads are
    /// woken too; waiting for those is told apart.
    pub(crate) fn take<R>(
        &self,
        batch: &mut Batch,
        turn: &mut Turn,
        take: impl FnOnce(&mut TextReader, &mut Batch) -> Result<R>,
    ) -> Result<R> {
        let (taken, waited, queues) =
            self.with(turn, |reader| (take(reader, batch), reader.waited(), reader.queues()));
        turn.count_wait(Site::Input, waited);
        queues.iter().flatten().for_each(|queue| queue.refill());
        batch.mates.iter_mut().for_each(|mate| _ = mate.join());
        taken
    }
}

impl TextReader {
    pub(crate) fn new(
        streams: Vec<(PathBuf, Box<dyn Stream>)>,
        parsing: Parsing,
        layout: Option<Layout>,
        (schedule, total): (Schedule, Option<u64>),
    ) -> Self {
        let files = streams.into_iter().map(|(path, stream)| File::new(&path, stream)).collect();
        Self { files, parsing, layout, schedule, total, order: 0, is_done: false }
    }

    /// Bytes the next piece should have.
    pub(crate) fn target(&self) -> usize {
        self.schedule.next(self.total.map(|total| total.saturating_sub(self.files[0].offset))) as usize
    }

    /// Time spent waiting for inflating threads since the last call.
    fn waited(&mut self) -> Duration {
        self.files.iter_mut().map(|file| file.stream.waited()).sum()
    }

    /// Where inflating threads put pieces of the files.
    fn queues(&self) -> [Option<Arc<Queue>>; 2] {
        [0, 1].map(|i| self.files.get(i).and_then(|file| file.stream.queue()))
    }

    /// Fill `batch` with the next piece. False if there is none. This runs inside the lock.
    pub(crate) fn take(&mut self, batch: &mut Batch) -> Result<bool> {
        if self.is_done {
            return Ok(false);
        }
        let target = self.target();
        for (file, mate) in self.files.iter().zip(&mut batch.mates) {
            mate.place.offset = file.offset;
        }
        match self.parsing {
            Parsing::Original => {
                self.take_records(batch, 1)?;
                batch.mates.iter_mut().try_for_each(Mate::parse)?;
            }
            Parsing::Deferred => self.take_records(batch, 1)?,
            Parsing::Batch => self.take_records(batch, target)?,
            Parsing::Block => self.take_blocks(batch, target)?,
            Parsing::Chunk | Parsing::Atomic => {
                self.files[0].take_chunk(target, &mut batch.mates[0])?;
            }
        }
        batch.order = self.order;
        self.order += 1;
        self.is_done = batch.mates.iter().all(|mate| mate.length() == 0);
        Ok(!self.is_done)
    }

    /// One record of each file in turn, until the first has given `bytes`.
    fn take_records(&mut self, batch: &mut Batch, bytes: usize) -> Result<()> {
        while batch.mates[0].text.len() < bytes {
            let mut has_more = false;
            for (file, mate) in self.files.iter_mut().zip(&mut batch.mates) {
                has_more |= file.copy_record(&mut mate.text)?;
            }
            if !has_more {
                break;
            }
        }
        Ok(())
    }

    fn take_blocks(&mut self, batch: &mut Batch, bytes: usize) -> Result<()> {
        let block = self.layout.as_ref().map_or(bytes, |layout| layout.block_bytes);
        let bytes = (bytes / block).max(1) * block;
        for (file, mate) in self.files.iter_mut().zip(&mut batch.mates) {
            file.copy_block(bytes, &mut mate.text)?;
        }
        Ok(())
    }

    /// Fill `batch` with a chunk of either file, that of the second as long as `second_bytes` says of the
    /// first's; tell which files end with it. `None` behind the last, which may be empty: records may
    /// still wait for it. This runs inside the lock.
    pub(crate) fn take_mates(
        &mut self,
        batch: &mut Batch,
        second_bytes: impl Fn(usize) -> usize,
    ) -> Result<Option<[bool; 2]>> {
        let target = self.target();
        let [first, second] = self.files.as_mut_slice() else { return Ok(None) };
        if self.is_done {
            return Ok(None);
        }
        let [mate, other] = batch.mates.as_mut_slice() else { return Ok(None) };
        (mate.place.offset, other.place.offset) = (first.offset, second.offset);
        first.take_chunk(target, mate)?;
        let bytes = if first.is_at_end { target } else { second_bytes(target) };
        if bytes > 0 {
            second.take_chunk(bytes, other)?;
        }
        batch.order = self.order;
        self.order += 1;
        self.is_done = mate.length() == 0 && other.length() == 0;
        Ok(Some([first.is_at_end, second.is_at_end]))
    }
}
