//! One read: its signal, where it may begin, and the attempts to place it.

use super::clock::Stage;
use super::coarse::{Band, NARROW, WIDE};
use super::passes::{Arena, Passes};
use super::scaling::{Calibrate, winsorise};
use super::start::adapter_end;
use super::target::ReadAlignment;
use super::{Placement, Reads, Settings, Status, Summary};
use crate::pore_model::PoreModel;
use crate::{Error, Isa, Result};

/// A read with fewer positions cannot be told from chance.
pub(super) const FEWEST_POSITIONS: usize = 16;

/// With fewer samples per position there are not enough for a dwell.
pub(super) const FEWEST_SAMPLES: usize = 5;

/// Robust standard deviation of a signal that is none, picoampere.
const LEAST_SPREAD: f32 = 1.0;

/// One way to find a first path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Attempt {
    pub(super) band: Band,
    /// Whether clips and tail must look like the signal.
    pub(super) trusts_anchors: bool,
    is_second_start: bool,
}

/// Tried in this order until one is beyond doubt; else the best is taken.
const ATTEMPTS: [Attempt; 4] = [
    Attempt { band: NARROW, trusts_anchors: true, is_second_start: false },
    Attempt { band: WIDE, trusts_anchors: false, is_second_start: false },
    Attempt { band: WIDE, trusts_anchors: true, is_second_start: true },
    Attempt { band: WIDE, trusts_anchors: false, is_second_start: true },
];

/// What all reads of a call share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) reads: &'a Reads<'a>,
    pub(super) reference: &'a [u8],
    pub(super) model: &'a PoreModel<'a>,
    pub(super) settings: Settings,
    pub(super) isa: Isa,
}

impl Context<'_> {
    /// Align one read; returns how many rows were written and the outcome.
    pub(super) fn align(
        &self,
        read: usize,
        arena: &mut Arena,
        rows: &mut [Placement],
    ) -> Result<(usize, Summary)> {
        if self.reads.is_reverse[read] {
            return Ok((0, Summary::failed(Status::ReverseStrand)));
        }
        arena.clock.start();
        let alignment = ReadAlignment {
            ref_start: self.reads.ref_start[read],
            cigar: self.reads.cigar.row(read),
            sequence: self.reads.sequence.row(read),
        };
        arena.target.fill(alignment, self.reference, self.model).map_err(|_| Error::Argument {
            name: "cigar",
            problem: format!("of read {read} does not fit its sequence and the reference"),
        })?;
        arena.clock.charge(Stage::Target);
        Ok(match self.place(read, arena) {
            Ok(pass) => {
                let n = pass.write(self.settings.mode, rows);
                pass.arena.clock.charge(Stage::Rows);
                (n, pass.summary())
            }
            Err(status) => (0, Summary::failed(status)),
        })
    }

    /// Run the passes; `Err` says why the read has no placement.
    fn place<'a>(&self, read: usize, arena: &'a mut Arena) -> std::result::Result<Passes<'a>, Status> {
        if arena.target.n_reported() < FEWEST_POSITIONS {
            return Err(Status::TooShort);
        }
        let first_start = self.read_signal(read, arena)?;
        let n_entries = arena.target.level.len() + 2;
        if arena.signal_pa.len() - first_start < FEWEST_SAMPLES * n_entries {
            return Err(Status::TooFewSamples);
        }
        let has_moves = self.read_moves(read, arena);
        let mut passes = Passes::new(arena, self.isa, self.model.noise);
        if has_moves {
            passes.begin(self.told_start(read).unwrap_or(0), true);
            if passes.follow_moves() && passes.finish(self.settings.mode, true) {
                return Ok(passes);
            }
        }
        let mut best = None;
        for attempt in ATTEMPTS {
            let start = if attempt.is_second_start {
                self.second_start(read, passes.arena)
            } else {
                Some(first_start)
            };
            let Some(start) =
                start.filter(|start| passes.arena.signal_pa.len() - start >= FEWEST_SAMPLES * n_entries)
            else {
                continue;
            };
            let quality = passes.try_placing(start, attempt);
            if best.is_none_or(|(_, _, r)| quality.r > r) {
                best = Some((start, attempt, quality.r));
            }
            if quality.is_beyond_doubt() {
                break;
            }
        }
        let (start, attempt, _) = best.ok_or(Status::TooFewSamples)?;
        if passes.is_not(start, attempt) {
            passes.try_placing(start, attempt);
        }
        if passes.finish(self.settings.mode, false) { Ok(passes) } else { Err(Status::PoorFit) }
    }

    /// End of the adapter as the basecaller knows it.
    fn told_start(&self, read: usize) -> Option<usize> {
        let trimmed = usize::try_from(self.reads.trimmed_samples[read]).ok()?;
        Some(trimmed.min(self.reads.signal.row(read).len()))
    }

    /// Another place at which the transcript may begin: some basecallers leave the adapter on, and
    /// some reads have none.
    fn second_start(&self, read: usize, arena: &Arena) -> Option<usize> {
        match self.told_start(read) {
            Some(told) => adapter_end(&arena.signal_pa[told..]).map(|end| told + end),
            None => Some(0),
        }
    }

    /// Calibrate and pull in outliers; returns where the transcript is taken to begin at first.
    fn read_signal(&self, read: usize, arena: &mut Arena) -> std::result::Result<usize, Status> {
        let signal = self.reads.signal.row(read);
        let (offset, scale) = (self.reads.offset_adc[read], self.reads.scale_pa[read]);
        let signal_pa = &mut arena.signal_pa;
        self.isa.run(Calibrate { signal, offset, scale_pa: scale, signal_pa });
        let told = self.told_start(read);
        let spread = winsorise(&mut arena.signal_pa, told.unwrap_or(0), self.isa, &mut arena.values);
        if !(spread.is_finite() && spread >= LEAST_SPREAD) {
            return Err(Status::BadSignal);
        }
        Ok(told.or_else(|| adapter_end(&arena.signal_pa)).unwrap_or(0))
    }

    /// Read the move table; false where it is absent, unwanted or at odds with the basecalls.
    fn read_moves(&self, read: usize, arena: &mut Arena) -> bool {
        let stride = usize::try_from(self.reads.move_stride[read]).unwrap_or(0);
        let hard_clipped: usize = self
            .reads
            .cigar
            .row(read)
            .iter()
            .filter(|&entry| entry & 15 == 5)
            .map(|entry| (entry >> 4) as usize)
            .sum();
        let n_bases = self.reads.sequence.row(read).len() + hard_clipped;
        self.settings.use_moves
            && arena.moves.fill(self.reads.moves.row(read), stride, n_bases, &arena.target)
    }
}
