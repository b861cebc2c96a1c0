//! Event alignment: where the samples of each read lie on the reference.
//!
//! Every position gets at least one sample and every sample after the adapter belongs somewhere.
//! [`align_batch`] takes the reads of one contig; the binding calls it. `read` runs the passes over one
//! read: `target` (what passed the pore), `start` (end of the adapter), `scaling`, `coarse` (banded,
//! block means), then at the resolution of samples `viterbi`, `posterior`, `viterbi` with the levels
//! the read itself shows, each followed by a `fit` of scale, drift and noise. `moves` adds the
//! basecaller's table as a soft prior; `clock` says what each step costs; `twin` are the kernels again,
//! slow and obviously right, for tests. Results do not depend on the number of threads: reads are
//! independent and each is computed by one thread.

mod clock;
mod coarse;
mod fit;
mod levels;
mod moves;
mod passes;
mod path;
mod posterior;
mod read;
mod scaling;
mod shares;
mod simd;
mod start;
mod target;
#[cfg(test)]
mod twin;
mod viterbi;

use std::sync::{Mutex, PoisonError};

use crate::pore_model::PoreModel;
use crate::{Error, Isa, Ragged, Result};
pub use clock::{Seconds, Stage};
use passes::Arena;
use read::Context;

/// Columns of a batch of reads of one contig; one entry or row per read.
#[derive(Debug, Clone, Copy)]
pub struct Reads<'a> {
    /// First aligned reference index.
    pub ref_start: &'a [i32],
    /// Whether the read maps to the reverse strand; such reads are not aligned.
    pub is_reverse: &'a [bool],
    /// BAM encoding.
    pub cigar: Ragged<'a, u32>,
    /// ASCII bases, reference orientation, soft clips included.
    pub sequence: Ragged<'a, u8>,
    /// One 0 or 1 per stride, signal order.
    pub moves: Ragged<'a, u8>,
    /// Samples per move; 0 = no moves.
    pub move_stride: &'a [i32],
    /// Stored current.
    pub signal: Ragged<'a, i16>,
    /// Samples before the transcript and before the moves; -1 = unknown.
    pub trimmed_samples: &'a [i32],
    /// Calibration: picoampere = (signal + offset) * scale.
    pub offset_adc: &'a [f32],
    /// See `offset_adc`.
    pub scale_pa: &'a [f32],
}

/// What is traded for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Posterior with evidence tempered enough to keep modified bases' levels.
    Standard,
    /// Best path only: quick, but it takes signal from modified bases.
    Fast,
    /// Posterior with sharper boundaries on unmodified bases.
    Sharp,
}

/// How a batch is aligned.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Which passes run.
    pub mode: Mode,
    /// Whether move tables are used where there are some.
    pub use_moves: bool,
    /// Threads of this call.
    pub threads: usize,
}

/// Where a read's way ended; the numbers are those of `krill.ReadStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Aligned.
    Ok = 0,
    /// Maps to the reverse strand, which direct RNA cannot.
    ReverseStrand = 3,
    /// Fewer than [`read::FEWEST_POSITIONS`] positions.
    TooShort = 10,
    /// Fewer than [`read::FEWEST_SAMPLES`] samples per position.
    TooFewSamples = 11,
    /// Constant or absurd current.
    BadSignal = 12,
    /// The placement does not look like the reference.
    PoorFit = 14,
}

/// One placed position.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Placement {
    /// Reference index of the base under test.
    pub position: i32,
    /// First sample.
    pub sample_start: i32,
    /// One past the last sample.
    pub sample_end: i32,
    /// Mean on the model's scale, picoampere.
    pub level_mean: f32,
    /// Standard deviation on the model's scale.
    pub level_stdv: f32,
    /// Mean posterior probability of the samples.
    pub confidence: f32,
}

/// Outcome of one read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Where its way ended.
    pub status: Status,
    /// model level = (pA - shift - drift (t / T - 0.5)) / scale.
    pub scale: f32,
    /// See `scale`.
    pub shift_pa: f32,
    /// See `scale`.
    pub drift_pa: f32,
    /// Correlation of level means with the model; NaN for a failed read.
    pub fit_r: f32,
}

/// Placements of all reads, by read and rising position.
#[derive(Debug, Default)]
pub struct Alignments {
    /// Rows `read_offsets[i]..read_offsets[i + 1]` are read `i`'s.
    pub read_offsets: Vec<i64>,
    /// All rows.
    pub rows: Vec<Placement>,
    /// One per read.
    pub reads: Vec<Summary>,
    /// Spent on each stage, all threads together.
    pub seconds: Seconds,
}

/// Align the reads of one contig to `reference` (ASCII bases of the whole contig).
pub fn align_batch(
    reads: &Reads<'_>,
    reference: &[u8],
    model: &PoreModel<'_>,
    settings: Settings,
) -> Result<Alignments> {
    check(reads)?;
    let context = Context { reads, reference, model, settings, isa: Isa::selected()? };
    let capacity: Vec<usize> =
        (0..reads.ref_start.len()).map(|i| target::most_reported(reads.cigar.row(i))).collect();
    let mut rows = vec![Placement::default(); capacity.iter().sum()];
    let mut outcomes = vec![Ok((0, Summary::failed(Status::PoorFit))); capacity.len()];
    let mut rest = rows.as_mut_slice();
    let slots = capacity.iter().zip(&mut outcomes).enumerate().map(|(read, (&n, outcome))| {
        let (slot, after) = std::mem::take(&mut rest).split_at_mut(n);
        rest = after;
        (read, slot, outcome)
    });
    let slots = Mutex::new(slots);
    let seconds = Mutex::new(Seconds::default());
    let work = || {
        let mut arena = Arena::default();
        loop {
            let next = slots.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((read, slot, outcome)) = next else { break };
            *outcome = context.align(read, &mut arena, slot);
        }
        let mut all = seconds.lock().unwrap_or_else(PoisonError::into_inner);
        for (all, own) in all.iter_mut().zip(arena.clock.seconds) {
            *all += own;
        }
    };
    if settings.threads == 1 {
        work(); // in the caller's thread: it may be one of many
    } else {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads)
            .build()
            .map_err(|error| Error::Argument { name: "threads", problem: error.to_string() })?;
        pool.broadcast(|_| work());
    }
    let mut found = gather(rows, &capacity, outcomes)?;
    found.seconds = seconds.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(found)
}

/// Close the gaps that reads left which needed fewer rows than they might have.
fn gather(
    mut rows: Vec<Placement>,
    capacity: &[usize],
    outcomes: Vec<Result<(usize, Summary)>>,
) -> Result<Alignments> {
    let mut found = Alignments { read_offsets: vec![0], ..Alignments::default() };
    let (mut from, mut to) = (0, 0);
    for (outcome, capacity) in outcomes.into_iter().zip(capacity) {
        let (n, summary) = outcome?;
        rows.copy_within(from..from + n, to);
        from += capacity;
        to += n;
        found.read_offsets.push(to as i64);
        found.reads.push(summary);
    }
    rows.truncate(to);
    found.rows = rows;
    Ok(found)
}

fn check(reads: &Reads<'_>) -> Result<()> {
    let n = reads.ref_start.len();
    let lengths = [
        ("is_reverse", reads.is_reverse.len()),
        ("cigar", reads.cigar.len()),
        ("sequence", reads.sequence.len()),
        ("moves", reads.moves.len()),
        ("move_stride", reads.move_stride.len()),
        ("signal", reads.signal.len()),
        ("trimmed_samples", reads.trimmed_samples.len()),
        ("offset_adc", reads.offset_adc.len()),
        ("scale_pa", reads.scale_pa.len()),
    ];
    match lengths.iter().find(|&&(_, length)| length != n) {
        Some(&(name, length)) => {
            Err(Error::Argument { name, problem: format!("has {length} rows for {n} reads") })
        }
        None => Ok(()),
    }
}

impl Summary {
    const fn failed(status: Status) -> Self {
        Self { status, scale: f32::NAN, shift_pa: f32::NAN, drift_pa: f32::NAN, fit_r: f32::NAN }
    }
}
