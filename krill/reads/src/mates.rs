//! K parsing of pairs whose files come in order (pipes, gzip): inside the lock a chunk of each file is
//! read, whatever it holds. Outside, each worker finds the records of its own; those of the file that
//! is ahead are handed to the next batch.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Result;
use crate::batch::{Batch, Mate, unequal};
use crate::counters::Turn;
use crate::fastq::Span;
use crate::lock::Locked;
use crate::relay::Relay;
use crate::text::TextReader;

/// Two files whose records belong together in order.
pub(crate) struct MateStreams {
    reader: Locked<TextReader>,
    /// Records without a mate so far, of either file.
    left: Relay<[Rest; 2]>,
    balance: Balance,
}

impl MateStreams {
    pub(crate) fn new(reader: Locked<TextReader>, workers: usize) -> Self {
        let balance = Balance { ratio: f64::to_bits(1.0).into(), ahead: 0.into(), workers };
        Self { reader, left: Relay::new([Rest::default(), Rest::default()]), balance }
    }

    /// Fill `batch` with the next pairs, parsed. False if there are none.
    pub(crate) fn take(&self, batch: &mut Batch, turn: &mut Turn) -> Result<bool> {
        let second_bytes = |bytes| self.balance.second_bytes(bytes);
        let take = |reader: &mut TextReader, batch: &mut Batch| reader.take_mates(batch, second_bytes);
        let Some(ended) = self.reader.take(batch, turn, take)? else { return Ok(false) };
        let [first, second] = batch.mates.as_mut_slice() else { return Ok(false) };
        first.parse()?;
        second.parse()?;
        let ratio = self.balance.ratio_of(first, second);
        let [before_first, before_second] = self.left.pass(batch.order, turn, |mut before| {
            let pairs =
                (before[0].spans.len() + first.spans.len()).min(before[1].spans.len() + second.spans.len());
            let left = [before[0].cut(first, pairs), before[1].cut(second, pairs)];
            if (ended[0] && !left[1].spans.is_empty()) || (ended[1] && !left[0].spans.is_empty()) {
                return Err(unequal(first, second));
            }
            self.balance.set(ratio, &left);
            Ok((left, before))
        })?;
        before_first.put_before(first);
        before_second.put_before(second);
        Ok(true)
    }

    /// Wake workers that wait for others; the run is over.
    pub(crate) fn stop(&self) {
        self.left.stop();
    }
}

/// How much of the second file goes with a chunk of the first, so that neither gets far ahead.
struct Balance {
    /// Bytes of a second record over those of a first, as last seen; the bits of a float.
    ratio: AtomicU64,
    /// Bytes of the second file that wait for the first, less those of the first that wait, in bytes
    /// of the second; the bits of a float.
    ahead: AtomicU64,
    /// Batches that may be under way before a correction is seen.
    workers: usize,
}

impl Balance {
    fn second_bytes(&self, first_bytes: usize) -> usize {
        let load = |value: &AtomicU64| f64::from_bits(value.load(Ordering::Relaxed));
        let wanted = first_bytes as f64 * load(&self.ratio) - load(&self.ahead) / self.workers as f64;
        wanted.max(0.0) as usize
    }

    fn ratio_of(&self, first: &Mate, second: &Mate) -> f64 {
        if first.spans.is_empty() || second.spans.is_empty() {
            return f64::from_bits(self.ratio.load(Ordering::Relaxed));
        }
        let mean = |mate: &Mate| mate.text.len() as f64 / mate.spans.len() as f64;
        mean(second) / mean(first)
    }

    fn set(&self, ratio: f64, left: &[Rest; 2]) {
        let ahead = left[1].text.len() as f64 - left[0].text.len() as f64 * ratio;
        self.ratio.store(ratio.to_bits(), Ordering::Relaxed);
        self.ahead.store(ahead.to_bits(), Ordering::Relaxed);
    }
}

/// Whole records of one file.
#[derive(Default)]
struct Rest {
    text: Vec<u8>,
    spans: Vec<Span>,
}

impl Rest {
    /// Cut off what lies beyond the first `kept` records of these and, behind them, of `mate`.
    fn cut(&mut self, mate: &mut Mate, kept: usize) -> Self {
        if kept >= self.spans.len() {
            return Self::tail(&mut mate.text, &mut mate.spans, kept - self.spans.len());
        }
        let mut beyond = Self::tail(&mut self.text, &mut self.spans, kept);
        beyond.append(&mut mate.text, &mut mate.spans);
        beyond
    }

    /// Take off the records of a text from number `kept` on.
    fn tail(text: &mut Vec<u8>, spans: &mut Vec<Span>, kept: usize) -> Self {
        let Some(start) = spans.get(kept).map(|span| span.name.start - 1) else { return Self::default() };
        let moved = |at: std::ops::Range<usize>| at.start - start..at.end - start;
        let tail = spans.drain(kept..).map(|span| Span {
            name: moved(span.name),
            sequence: moved(span.sequence),
            quality: moved(span.quality),
        });
        Self { spans: tail.collect(), text: text.split_off(start) }
    }

    /// Add the records of a text behind these; nothing is left of it.
    fn append(&mut self, text: &mut Vec<u8>, spans: &mut Vec<Span>) {
        let by = self.text.len();
        let moved = |at: std::ops::Range<usize>| at.start + by..at.end + by;
        self.spans.extend(spans.drain(..).map(|span| Span {
            name: moved(span.name),
            sequence: moved(span.sequence),
            quality: moved(span.quality),
        }));
        self.text.append(text);
    }

    /// Put these records before those of `mate`.
    fn put_before(mut self, mate: &mut Mate) {
        if !self.spans.is_empty() {
            self.append(&mut mate.text, &mut mate.spans);
            (mate.text, mate.spans) = (self.text, self.spans);
        }
    }
}
