//! What a worker gets: raw text of whole records, and how long the next piece should be.

use std::ops::Range;
use std::path::Path;

use crate::fastq::{self, Place, Span};
use crate::{Error, Result, bam, blow5};

/// What the text of a batch is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// FASTQ text, one or two mates.
    Fastq,
    /// BAM records, each with its length before it.
    Bam,
    /// BLOW5 records, each with its length before it.
    Blow5,
}

/// Whole records of one file.
#[derive(Debug, Clone)]
pub struct Mate {
    /// The raw bytes.
    pub text: Vec<u8>,
    /// What follows the text, handed over without copying; joined outside the lock.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Where they come from.
    pub place: Place,
    /// FASTQ records in the text, once found.
    pub spans: Vec<Span>,
    /// Whether `spans` was filled inside the lock (`O` parsing).
    pub is_parsed: bool,
}

impl Mate {
    /// Nothing of this file yet.
    #[must_use]
    pub fn empty(path: &Path) -> Self {
        let place = Place::start(path);
        Self { text: Vec::new(), pieces: Vec::new(), place, spans: Vec::new(), is_parsed: false }
    }

    /// Bytes of the text and its pieces.
    pub(crate) fn length(&self) -> usize {
        self.text.len() + self.pieces.iter().map(Vec::len).sum::<usize>()
    }

    /// The last piece, or the text if there is none.
    pub(crate) fn last_piece(&mut self) -> &mut Vec<u8> {
        self.pieces.last_mut().unwrap_or(&mut self.text)
    }

    /// Copy the pieces to the end of the text. Whether there were any.
    pub(crate) fn join(&mut self) -> bool {
        self.text.reserve(self.pieces.iter().map(Vec::len).sum());
        self.pieces.iter().for_each(|piece| self.text.extend_from_slice(piece));
        !std::mem::take(&mut self.pieces).is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
        self.spans.clear();
        self.is_parsed = false;
    }

    /// Find the records, unless that was done inside the lock.
    pub fn parse(&mut self) -> Result<()> {
        if !self.is_parsed {
            self.spans = fastq::parse(&self.text, &self.place)?;
            self.is_parsed = true;
        }
        Ok(())
    }
}

/// One piece of the input, handed to one worker.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Number of the batch in the order of the input, from 0 without gaps.
    pub order: u64,
    /// What the text is.
    pub format: Format,
    /// One text per file: one, or two of paired reads.
    pub mates: Vec<Mate>,
    /// BAM or BLOW5 records in the first text. BLOW5: with their length.
    pub records: Vec<Range<usize>>,
}

impl Batch {
    /// An empty batch for these files; reuse it from call to call, its buffers stay warm.
    #[must_use]
    pub fn new(format: Format, paths: &[impl AsRef<Path>]) -> Self {
        let mates = paths.iter().map(|path| Mate::empty(path.as_ref())).collect();
        Self { order: 0, format, mates, records: Vec::new() }
    }

    /// Forget the content, keep the memory.
    pub fn clear(&mut self) {
        self.mates.iter_mut().for_each(Mate::clear);
        self.records.clear();
    }

    /// Find the records. Mates must agree in number and name.
    pub fn parse(&mut self) -> Result<()> {
        let mate = &self.mates[0];
        match self.format {
            Format::Fastq => {}
            Format::Bam => {
                self.records = bam::records(&mate.text, &mate.place)?;
                return Ok(());
            }
            Format::Blow5 => {
                self.records = blow5::records(&mate.text);
                return Ok(());
            }
        }
        self.mates.iter_mut().try_for_each(Mate::parse)?;
        if let [first, second] = self.mates.as_slice() { check_mates(first, second) } else { Ok(()) }
    }

    /// Number of records (of pairs, for two mates) once parsed.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.format {
            Format::Fastq => self.mates[0].spans.len(),
            Format::Bam | Format::Blow5 => self.records.len(),
        }
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn check_mates(first: &Mate, second: &Mate) -> Result<()> {
    if first.spans.len() != second.spans.len() {
        return Err(unequal(first, second));
    }
    for (a, b) in first.spans.iter().zip(&second.spans) {
        let (a, b) = (&first.text[a.name.clone()], &second.text[b.name.clone()]);
        if pair_name(a) != pair_name(b) {
            let (a, b) = (String::from_utf8_lossy(pair_name(a)), String::from_utf8_lossy(pair_name(b)));
            let problem = format!("read {b} stands where its mate in {} is {a}", first.place.path.display());
            return Err(Error::format(&second.place.path, problem));
        }
    }
    Ok(())
}

/// Two files of a pair do not hold the same number of reads.
pub(crate) fn unequal(first: &Mate, second: &Mate) -> Error {
    let problem = format!("does not hold as many reads as {}", first.place.path.display());
    Error::format(&second.place.path, problem)
}

/// Read name up to the first blank, without `/1` or `/2`.
#[must_use]
pub fn pair_name(name: &[u8]) -> &[u8] {
    let end = name.iter().position(u8::is_ascii_whitespace).unwrap_or(name.len());
    let name = &name[..end];
    if name.len() > 2 && matches!(name, [.., b'/', b'0'..=b'9']) { &name[..name.len() - 2] } else { name }
}

/// Guided self-scheduling in bytes: long pieces first, short ones at the end, so that no worker is
/// left alone with a long one.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Longest piece.
    pub max_bytes: u64,
    /// Shortest piece.
    pub min_bytes: u64,
    /// Workers that share the rest.
    pub workers: u64,
}

impl Schedule {
    /// Length of the next piece where `remaining` bytes are left; unknown for a pipe.
    #[must_use]
    pub fn next(&self, remaining: Option<u64>) -> u64 {
        let Some(remaining) = remaining else { return self.max_bytes };
        (remaining / (2 * self.workers)).clamp(self.min_bytes, self.max_bytes)
    }

    /// All cuts of a file of `total` bytes, from 0 to `total`.
    #[must_use]
    pub fn cuts(&self, total: u64) -> Vec<u64> {
        let mut cuts = vec![0];
        let mut at = 0;
        while at < total {
            at = (at + self.next(Some(total - at))).min(total);
            cuts.push(at);
        }
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_shrink_towards_the_end_and_cover_the_file() {
        let schedule = Schedule { max_bytes: 100, min_bytes: 10, workers: 2 };
        let cuts = schedule.cuts(1000);
        let pieces: Vec<u64> = cuts.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!((Some(&0), Some(&1000)), (cuts.first(), cuts.last()));
        assert_eq!(Some(&100), pieces.first());
        assert!(pieces.windows(2).all(|w| w[0] >= w[1]), "{pieces:?}");
        assert_eq!(vec![0], schedule.cuts(0));
    }

    #[test]
    fn pair_names_lose_their_mate_number() {
        assert_eq!(b"r1", pair_name(b"r1/2 comment"));
        assert_eq!(b"r1/x", pair_name(b"r1/x"));
    }
}
