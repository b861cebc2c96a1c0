//! A parsing of pairs in ordinary files: nothing is read inside a lock.
//!
//! A counter hands out pieces of the first file. Each worker parses its own and learns from the one
//! before how many records come earlier: one addition handed from piece to piece. The second file is
//! counted in short pieces, by whichever worker first needs to know, so records are found there by
//! their number however much the mates differ in length.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::atomic::Piece;
use crate::batch::{Batch, Mate, Schedule, unequal};
use crate::counters::{Site, Turn};
use crate::relay::Relay;
use crate::{Error, Result, fastq};

/// Longest piece of the second file that is counted at once: a worker reads at most one too many.
const COUNTED_BYTES: u64 = 1 << 16;

/// Two plain files whose records belong together in order.
pub(crate) struct PairReader {
    files: [(PathBuf, File); 2],
    /// Cuts of the first file; the last is its end.
    cuts: Vec<u64>,
    next: AtomicUsize,
    /// Records before each piece of the first file.
    before: Relay<u64>,
    second: Ledger,
}

impl PairReader {
    pub(crate) fn new(files: [(PathBuf, File); 2], totals: [u64; 2], schedule: Schedule) -> Self {
        let mut cuts = schedule.cuts(totals[0]);
        // An empty first file is one empty piece, so that the second is looked at.
        cuts.resize(cuts.len().max(2), totals[0]);
        let step = COUNTED_BYTES.min(schedule.max_bytes);
        let second = Ledger::new(totals[1], step);
        Self { files, cuts, next: AtomicUsize::new(0), before: Relay::new(0), second }
    }

    /// Fill `batch` with the next pairs, parsed. False if there are none.
    pub(crate) fn take(
        &self,
        batch: &mut Batch,
        counted: &mut Option<Mate>,
        turn: &mut Turn,
    ) -> Result<bool> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        if piece + 1 >= self.cuts.len() {
            return Ok(false);
        }
        batch.order = piece as u64;
        let [first, second] = batch.mates.as_mut_slice() else { return Ok(false) };
        let total = self.cuts[self.cuts.len() - 1];
        let (path, file) = &self.files[0];
        Piece { file, path, start: self.cuts[piece], end: self.cuts[piece + 1], total }
            .find_records(first)?;
        first.parse()?;
        let records = first.spans.len() as u64;
        let (start, end) = self.before.pass(batch.order, turn, |start| {
            let end = start + records;
            Ok((end, (start, end)))
        })?;
        let is_last = piece + 2 == self.cuts.len();
        let counted = counted.get_or_insert_with(|| Mate::empty(&self.files[1].0));
        self.count(if is_last { u64::MAX } else { end }, counted, turn)?;
        self.fetch(start, end, second, turn)?;
        if is_last && self.second.lock().records > end {
            return Err(unequal(first, second));
        }
        Ok(true)
    }

    /// Count pieces of the second file, or wait for others who do, until `records` are known.
    fn count(&self, records: u64, mate: &mut Mate, turn: &mut Turn) -> Result<()> {
        while let Some(number) = self.second.claim(records, turn)? {
            mate.clear();
            self.piece(self.second.cut(number), self.second.cut(number + 1)).find_records(mate)?;
            let (mut found, end) = fastq::skip_records(&mate.text, usize::MAX);
            if !mate.text[end..].trim_ascii().is_empty() {
                // A last record without its line end, or damage: let the definition decide.
                mate.parse()?;
                found = mate.spans.len();
            }
            let (start, length) = (mate.place.offset, mate.text.len() as u64);
            self.second.enter(number, Counted { records: found as u64, start, end: start + length }, turn);
        }
        Ok(())
    }

    /// Read records `start..end` of the second file; fewer if it ends early.
    fn fetch(&self, start: u64, end: u64, mate: &mut Mate, turn: &mut Turn) -> Result<()> {
        let (first, from, to) = self.second.find(start, end, turn);
        self.piece(from, to).fill(mate, to)?;
        mate.parse()?;
        let skipped = ((start - first) as usize).min(mate.spans.len());
        mate.spans.drain(..skipped);
        mate.spans.truncate((end - start) as usize);
        Ok(())
    }

    fn piece(&self, start: u64, end: u64) -> Piece<'_> {
        let (path, file) = &self.files[1];
        Piece { file, path, start, end, total: self.second.total }
    }

    /// Wake workers that wait for others; the run is over.
    pub(crate) fn stop(&self) {
        self.before.stop();
        self.second.lock().is_stopped = true;
        self.second.changed.notify_all();
    }
}

/// What a worker found in one piece.
#[derive(Clone, Copy)]
struct Counted {
    records: u64,
    /// Bytes of the file from its first record to the end of its last.
    start: u64,
    end: u64,
}

/// How many records of a file come before which byte, as far as it was counted.
struct Ledger {
    total: u64,
    step: u64,
    state: Mutex<Entries>,
    changed: Condvar,
}

#[derive(Default)]
struct Entries {
    /// Pieces given to a worker.
    claimed: usize,
    /// Pieces counted without a gap.
    done: usize,
    /// Counted, but not all before them are.
    ahead: BTreeMap<usize, Counted>,
    /// Number and byte of the first record of each piece that has one; ascending.
    marks: Vec<(u64, u64)>,
    /// Records of the pieces counted without a gap, and where the last one ends.
    records: u64,
    end: u64,
    is_stopped: bool,
}

impl Ledger {
    fn new(total: u64, step: u64) -> Self {
        Self { total, step, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where piece `number` begins.
    fn cut(&self, number: usize) -> u64 {
        (number as u64).saturating_mul(self.step).min(self.total)
    }

    /// A piece to count for someone who needs to know the first `records` records; `None` if they are
    /// known, or the file has no more. Waits if others are counting the last pieces.
    fn claim(&self, records: u64, turn: &mut Turn) -> Result<Option<usize>> {
        let asked = Instant::now();
        let pieces = self.total.div_ceil(self.step) as usize;
        let is_waiting = |entries: &mut Entries| {
            !entries.is_stopped
                && entries.records < records
                && entries.done < pieces
                && entries.claimed == pieces
        };
        let mut entries =
            self.changed.wait_while(self.lock(), is_waiting).unwrap_or_else(PoisonError::into_inner);
        let taken = Instant::now();
        let is_known = entries.records >= records || entries.done == pieces;
        let claimed = entries.claimed;
        entries.claimed += usize::from(!is_known && !entries.is_stopped);
        let is_stopped = entries.is_stopped;
        drop(entries);
        turn.count(Site::Relay, asked, taken);
        if is_stopped { Err(Error::Stopped) } else { Ok((!is_known).then_some(claimed)) }
    }

    /// Write down what piece `number` holds.
    fn enter(&self, number: usize, counted: Counted, turn: &mut Turn) {
        let asked = Instant::now();
        let mut entries = self.lock();
        let taken = Instant::now();
        entries.ahead.insert(number, counted);
        loop {
            let done = entries.done;
            let Some(next) = entries.ahead.remove(&done) else { break };
            if next.records > 0 {
                let first = entries.records;
                entries.marks.push((first, next.start));
                entries.records += next.records;
                entries.end = next.end;
            }
            entries.done += 1;
        }
        drop(entries);
        self.changed.notify_all();
        turn.count(Site::Relay, asked, taken);
    }

    /// Bytes that hold records `start..end`, and the number of the first record in them.
    fn find(&self, start: u64, end: u64, turn: &mut Turn) -> (u64, u64, u64) {
        let asked = Instant::now();
        let entries = self.lock();
        let taken = Instant::now();
        let marks = &entries.marks;
        let begins = marks.partition_point(|&(record, _)| record <= start);
        let (first, from) = begins.checked_sub(1).map_or((start, 0), |mark| marks[mark]);
        let ends = marks.partition_point(|&(record, _)| record < end);
        let to = marks.get(ends).map_or(entries.end, |&(_, byte)| byte);
        drop(entries);
        turn.count(Site::Relay, asked, taken);
        (first, from, to.max(from))
    }
}
