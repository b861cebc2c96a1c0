//! BLOW5 on the pump: a counter hands out pieces of the file, which are read, inflated and decoded
//! side by side.
//!
//! Where a record begins is known from the lengths of those before it. So each worker reads its
//! piece, is told by the one before where its first record begins, follows the lengths through the
//! bytes it holds, and tells the next: no byte is read while others wait.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::batch::{Batch, Format, Schedule};
use crate::blow5::{Blow5, SIZE_BYTES};
use crate::blow5_record::Decoder;
use crate::counters::Turn;
use crate::relay::Relay;
use crate::{Destination, Numa, Output, Report, Result, Sink, Source, SourceSettings};

/// A BLOW5 file and its pieces. A piece owns the records that begin in it.
pub(crate) struct SignalSource {
    file: Blow5,
    /// Where pieces begin; the last is the end of the records.
    cuts: Vec<u64>,
    next: AtomicUsize,
    /// Where the first record at or behind the beginning of each piece begins.
    begins: Relay<u64>,
}

impl SignalSource {
    pub(crate) fn open(path: &Path, schedule: Schedule) -> Result<Self> {
        let file = Blow5::open(path)?;
        let (start, end) = file.records;
        let cuts = schedule.cuts(end - start).iter().map(|cut| start + cut).collect();
        Ok(Self { file, cuts, next: AtomicUsize::new(0), begins: Relay::new(start) })
    }

    pub(crate) fn file(&self) -> &Blow5 {
        &self.file
    }

    /// Fill `batch` with the records of the next piece, as stored. False if there is none.
    pub(crate) fn take(&self, batch: &mut Batch, turn: &mut Turn) -> Result<bool> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(&[start, end]) = self.cuts.get(piece..).and_then(<[u64]>::first_chunk) else {
            return Ok(false);
        };
        batch.order = piece as u64;
        let mate = &mut batch.mates[0];
        // A length field that begins in the piece may end behind it.
        let read = (end + SIZE_BYTES - 1).min(self.file.records.1) - start;
        self.file.read(start, read, &mut mate.text)?;
        let (first, last) = self.begins.pass(batch.order, turn, |first| {
            let mut last = first;
            while last < end {
                last += self.file.size_in(&mate.text[(last - start) as usize..], last)?;
            }
            Ok((last, (first, last)))
        })?;
        if last > first {
            self.file.read_on(start, last - start, &mut mate.text)?;
            mate.text.drain(..(first - start) as usize);
        } else {
            mate.text.clear();
        }
        mate.place.offset = first;
        Ok(true)
    }

    /// Wake workers that wait for a batch that will not come.
    pub(crate) fn stop(&self) {
        self.begins.stop();
    }
}

/// Takes nothing: results of a run that only measures.
struct Nothing;

impl Destination for Nothing {
    type Piece = ();

    fn append(&mut self, _order: u64, _piece: &mut ()) -> Result<()> {
        Ok(())
    }
}

/// Decode every signal of a BLOW5 file; what it cost, and the number of samples.
pub fn decode_all(path: &Path, settings: &SourceSettings, numa: Numa) -> Result<(Report, u64)> {
    let source = Source::open_signals(path, settings)?;
    let Some(file) = source.signals() else { return Ok((Report::default(), 0)) };
    let crew = (settings.workers, settings.nodes);
    let nothing = (0..settings.workers).map(|_| Nothing).collect();
    let sink = Sink::new(Output::Slices, nothing, settings.lock, crew);
    let samples = AtomicU64::new(0);
    let report = crate::run(&source, &sink, (settings.workers, numa), |_| {
        let (mut decoder, mut signal, samples) = (Decoder::new(file), Vec::new(), &samples);
        Ok(move |batch: &Batch, _out: &mut ()| {
            let mate = &batch.mates[0];
            debug_assert_eq!(Format::Blow5, batch.format);
            for record in &batch.records {
                signal.clear();
                let at = mate.place.offset + record.start as u64;
                let found = decoder.decode(at, &mate.text[record.clone()], &mut signal)?;
                samples.fetch_add(found.samples as u64, Ordering::Relaxed);
            }
            Ok(())
        })
    })?;
    Ok((report, samples.into_inner()))
}
