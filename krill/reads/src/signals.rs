//! BLOW5 on the pump: inside the lock the lengths of records are followed, which is all that must
//! happen in order; they are read, inflated and decoded outside.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::batch::{Batch, Format, Schedule};
use crate::blow5::Blow5;
use crate::blow5_record::Decoder;
use crate::counters::Turn;
use crate::lock::Locked;
use crate::{Destination, Numa, Output, Report, Result, Sink, Source, SourceSettings};

/// A BLOW5 file and where its next record begins.
pub(crate) struct SignalSource {
    file: Blow5,
    next: Locked<Next>,
    schedule: Schedule,
}

/// What is inside the lock.
pub(crate) struct Next {
    at: u64,
    order: u64,
}

impl SignalSource {
    pub(crate) fn open(
        path: &Path,
        schedule: Schedule,
        protect: impl FnOnce(Next) -> Locked<Next>,
    ) -> Result<Self> {
        let file = Blow5::open(path)?;
        let next = protect(Next { at: file.records.0, order: 0 });
        Ok(Self { file, next, schedule })
    }

    pub(crate) fn file(&self) -> &Blow5 {
        &self.file
    }

    /// Fill `batch` with the next records, as stored. False if there are none.
    pub(crate) fn take(&self, batch: &mut Batch, turn: &mut Turn) -> Result<bool> {
        let (start, end, order) = self.next.with(turn, |next| self.follow(next))?;
        if start == end {
            return Ok(false);
        }
        batch.order = order;
        let mate = &mut batch.mates[0];
        mate.place.offset = start;
        self.file.read(start, end - start, &mut mate.text)?;
        Ok(true)
    }

    /// Follow the lengths of records until there are enough bytes.
    fn follow(&self, next: &mut Next) -> Result<(u64, u64, u64)> {
        let (start, end) = (next.at, self.file.records.1);
        let bytes = self.schedule.next(Some(end - start));
        while next.at - start < bytes {
            let Some(size) = self.file.size_at(next.at)? else { break };
            next.at += size;
        }
        next.order += 1;
        Ok((start, next.at, next.order - 1))
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
