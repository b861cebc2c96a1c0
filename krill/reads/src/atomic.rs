//! A parsing: an atomic counter is all the workers share; each reads its own piece of the file.
//!
//! Piece `i` owns the records that start behind the first line end at or after its cut, up to those
//! of the next cut. Padded files are cut between blocks, so there nothing needs to be found again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::batch::{Batch, Mate};
use crate::fastq::{MAX_RECORD_BYTES, Start, first_start};
use crate::stream::reading;
use crate::{Error, Result};

/// Text read beyond a cut to find the record start behind it.
const LOOK_AHEAD_BYTES: u64 = 1 << 14;

/// Plain files and their cuts.
pub(crate) struct AtomicReader {
    files: Vec<(PathBuf, File)>,
    /// Cuts of every file, all of the same number; the last is the end of the file.
    cuts: Vec<Vec<u64>>,
    /// Whether cuts are record starts already.
    is_padded: bool,
    next: AtomicUsize,
}

impl AtomicReader {
    pub(crate) fn new(files: Vec<(PathBuf, File)>, cuts: Vec<Vec<u64>>, is_padded: bool) -> Self {
        Self { files, cuts, is_padded, next: AtomicUsize::new(0) }
    }

    /// Fill `batch` with the next piece. False if there is none.
    pub(crate) fn take(&self, batch: &mut Batch) -> Result<bool> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        if piece + 1 >= self.cuts[0].len() {
            return Ok(false);
        }
        batch.order = piece as u64;
        for ((mate, (path, file)), cuts) in batch.mates.iter_mut().zip(&self.files).zip(&self.cuts) {
            let source =
                Piece { file, path, start: cuts[piece], end: cuts[piece + 1], total: cuts[cuts.len() - 1] };
            if self.is_padded { source.fill(mate, source.end)? } else { source.find_records(mate)? }
        }
        Ok(true)
    }
}

/// Bytes of a file between two cuts.
pub(crate) struct Piece<'a> {
    pub(crate) file: &'a File,
    pub(crate) path: &'a Path,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Length of the file.
    pub(crate) total: u64,
}

impl Piece<'_> {
    /// Extend the text so that it reaches from the piece's start to byte `to` of the file.
    pub(crate) fn fill(&self, mate: &mut Mate, to: u64) -> Result<()> {
        mate.place.offset = self.start;
        let before = mate.text.len();
        mate.text.resize((to.min(self.total) - self.start) as usize, 0);
        let at = self.start + before as u64;
        let result = self.file.read_exact_at(&mut mate.text[before..], at);
        result.map_err(|error| reading(self.path, error))
    }

    /// Read the records the piece owns, whole.
    pub(crate) fn find_records(&self, mate: &mut Mate) -> Result<()> {
        self.fill(mate, self.end + LOOK_AHEAD_BYTES)?;
        let first = if self.start == 0 { Some(0) } else { self.search(mate, 0)? };
        let Some(first) = first else {
            mate.text.clear();
            return Ok(());
        };
        if self.end < self.total {
            let end = self.search(mate, (self.end - self.start) as usize)?;
            mate.text.truncate(end.unwrap_or(mate.text.len()));
        }
        mate.text.drain(..first);
        mate.place.offset += first as u64;
        Ok(())
    }

    /// First record start behind the cut at `from`, reading on as far as it takes. `None` if this
    /// piece (for its own start) or the file (for its end) has none.
    fn search(&self, mate: &mut Mate, from: usize) -> Result<Option<usize>> {
        // A record that starts behind the piece's end belongs to a later piece.
        let limit = if from == 0 { (self.end - self.start) as usize } else { usize::MAX };
        loop {
            let reached = self.start + mate.text.len() as u64;
            match first_start(&mate.text, from, limit, reached == self.total) {
                Start::At(at) => return Ok(Some(at)),
                Start::None => return Ok(None),
                Start::MoreText if mate.text.len() > 2 * MAX_RECORD_BYTES => {
                    return Err(Error::format(self.path, "has no record end within 1 GiB: is it FASTQ?"));
                }
                Start::MoreText => self.fill(mate, reached + mate.text.len() as u64)?,
            }
        }
    }
}
