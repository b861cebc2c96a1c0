//! The passes over one read, and what they leave behind.

use super::coarse::{ATTEMPTS, Attempt, Coarse};
use super::fit::{Measure, Moments, Noise, Placed, Quality, moments};
use super::lanes::LANES;
use super::levels::Levels;
use super::moves::MoveTable;
use super::path::windows;
use super::posterior::{GRID, Posterior};
use super::scaling::{Scaling, from_quantiles, winsorise};
use super::start::adapter_end;
use super::target::{ReadAlignment, Target};
use super::viterbi::Viterbi;
use super::{Mode, Placement, Reads, Settings, Status, Summary, coarse, fit, posterior};
use crate::pore_model::PoreModel;
use crate::{Error, Isa, Result};

/// A read with fewer positions cannot be told from chance.
pub(super) const FEWEST_POSITIONS: usize = 16;

/// With fewer samples per position there are not enough for a dwell.
pub(super) const FEWEST_SAMPLES: usize = 5;

/// Robust standard deviation of a signal that is none, picoampere.
const LEAST_SPREAD: f32 = 1.0;

/// A placement is good with at least these correlations (read, worst stretch) and at most this share
/// of entries with three samples or fewer.
const LEAST_R: f32 = -0.85;
const LEAST_WORST_R: f32 = -1.5;
const MOST_SHORT: f32 = 1.35;

/// An entry that keeps more samples than this many mean dwells is a stall (or the poly-A tail).
const STALL: f32 = 4.0;

/// Samples at either edge of a position that the pore's filter mixes with the neighbour's.
const EDGE: usize = 1;

/// Shortest dwell that can spare its edges.
const SPARES_EDGES: usize = 6;

/// What all reads of a call share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) reads: &'a Reads<'a>,
    pub(super) reference: &'a [u8],
    pub(super) model: &'a PoreModel<'a>,
    pub(super) settings: Settings,
    pub(super) isa: Isa,
}

/// Memory of one thread, kept between reads.
#[derive(Debug, Default)]
pub(super) struct Arena {
    target: Target,
    levels: Levels,
    adapted: Levels,
    signal_pa: Vec<f32>,
    signal: Vec<f32>,
    values: Vec<f32>,
    boundaries: Vec<u32>,
    first_entries: Vec<u32>,
    moments: Moments,
    odds: Vec<f32>,
    probability: Vec<[u8; LANES]>,
    moves: MoveTable,
    coarse: coarse::Scratch,
    posterior: posterior::Scratch,
    fit: fit::Scratch,
    best_path: Vec<[u16; 1]>,
    adapted_path: Vec<[u16; 2]>,
}

/// Where in the whole signal the placed part lies.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    total: usize,
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
        let alignment = ReadAlignment {
            ref_start: self.reads.ref_start[read],
            cigar: self.reads.cigar.row(read),
            sequence: self.reads.sequence.row(read),
        };
        arena.target.fill(alignment, self.reference, self.model).map_err(|_| Error::Argument {
            name: "cigar",
            problem: format!("of read {read} does not fit its sequence and the reference"),
        })?;
        Ok(match self.place(read, arena) {
            Ok(pass) => (pass.write(self, rows), pass.summary()),
            Err(status) => (0, Summary::failed(status)),
        })
    }

    /// Run the passes; `Err` says why the read has no placement.
    fn place<'a>(&self, read: usize, arena: &'a mut Arena) -> std::result::Result<Passes<'a>, Status> {
        if arena.target.n_reported() < FEWEST_POSITIONS {
            return Err(Status::TooShort);
        }
        let span = self.read_signal(read, arena)?;
        arena.levels.fill(&arena.target, 2.0 * self.model.noise.powi(2));
        if arena.signal_pa.len() < FEWEST_SAMPLES * arena.levels.n {
            return Err(Status::TooFewSamples);
        }
        let scaling = from_quantiles(&arena.signal_pa, &arena.target.level, &mut arena.values);
        let noise = Noise { level: self.model.noise, sample: self.model.noise };
        let has_moves = self.read_moves(read, arena);
        let mut passes = Passes { arena, isa: self.isa, span, scaling, noise, fit_r: f32::NAN };
        if has_moves && passes.follow_moves() && passes.refine(self.settings.mode, true) {
            return Ok(passes);
        }
        for attempt in ATTEMPTS {
            (passes.scaling, passes.noise) = (scaling, noise);
            passes.coarse(attempt);
            if passes.refine(self.settings.mode, false) {
                return Ok(passes);
            }
        }
        Err(Status::PoorFit)
    }

    /// Calibrate, cut off the adapter, pull in outliers.
    fn read_signal(&self, read: usize, arena: &mut Arena) -> std::result::Result<Span, Status> {
        let signal = self.reads.signal.row(read);
        let (offset, scale) = (self.reads.offset_adc[read], self.reads.scale_pa[read]);
        arena.signal_pa.clear();
        arena.signal_pa.extend(signal.iter().map(|&adc| (f32::from(adc) + offset) * scale));
        let start = if let Ok(trimmed) = usize::try_from(self.reads.trimmed_samples[read]) {
            trimmed.min(signal.len())
        } else {
            winsorise(&mut arena.signal_pa, &mut arena.values);
            adapter_end(&arena.signal_pa).unwrap_or(0)
        };
        arena.signal_pa.drain(..start);
        let spread = winsorise(&mut arena.signal_pa, &mut arena.values);
        if spread.is_finite() && spread >= LEAST_SPREAD {
            Ok(Span { start, total: signal.len() })
        } else {
            Err(Status::BadSignal)
        }
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

/// One read on its way through the passes.
struct Passes<'a> {
    arena: &'a mut Arena,
    isa: Isa,
    span: Span,
    scaling: Scaling,
    noise: Noise,
    fit_r: f32,
}

impl Passes<'_> {
    fn rescale(&mut self) {
        let arena = &mut *self.arena;
        self.scaling.apply(&arena.signal_pa, self.span.start, self.span.total, &mut arena.signal);
    }

    fn coarse(&mut self, attempt: Attempt) {
        self.rescale();
        let arena = &mut *self.arena;
        self.isa.run(Coarse {
            signal: &arena.signal,
            levels: &arena.levels,
            attempt,
            stdv: self.noise.level,
            scratch: &mut arena.coarse,
            boundaries: &mut arena.boundaries,
        });
    }

    /// Take the move table as the first path; false if the signal along it is not the target's.
    fn follow_moves(&mut self) -> bool {
        self.rescale();
        let arena = &mut *self.arena;
        let is_good = arena.moves.register_entries(&arena.signal, &arena.levels.mean);
        arena.boundaries.clear();
        arena.boundaries.extend_from_slice(arena.moves.as_path(arena.signal.len()));
        is_good
    }

    /// All passes after the first path; false if the result is no good.
    fn refine(&mut self, mode: Mode, with_moves: bool) -> bool {
        self.fit();
        self.viterbi(with_moves);
        self.fit();
        match mode {
            Mode::Standard => self.posterior::<3>(1.4, with_moves),
            Mode::Sharp => self.posterior::<2>(1.0, with_moves),
            Mode::Fast => {}
        }
        if mode != Mode::Fast {
            self.fit();
        }
        self.adapted_viterbi(with_moves);
        self.fit();
        let quality = self.quality();
        self.fit_r = quality.r;
        self.scaling.is_plausible()
            && quality.r >= LEAST_R
            && quality.worst_r >= LEAST_WORST_R
            && quality.short <= MOST_SHORT
    }

    fn measure(&mut self) {
        let arena = &mut *self.arena;
        let measure =
            Measure { signal: &arena.signal, boundaries: &arena.boundaries, moments: &mut arena.moments };
        self.isa.run(measure);
    }

    fn placed(&self) -> Placed<'_> {
        Placed {
            level: &self.arena.levels.mean,
            position: &self.arena.target.position,
            boundaries: &self.arena.boundaries,
            moments: &self.arena.moments,
            start: self.span.start,
            total: self.span.total,
        }
    }

    /// Fit scale, shift, drift and noise to the present path and rescale.
    fn fit(&mut self) {
        self.measure();
        let mut scratch = std::mem::take(&mut self.arena.fit);
        let found = self.placed().fit(&mut scratch);
        self.arena.fit = scratch;
        if let Some((step, noise)) = found {
            let scaling = self.scaling.then(step);
            if scaling.is_plausible() {
                (self.scaling, self.noise) = (scaling, noise);
                self.rescale();
                self.measure();
                let arena = &mut *self.arena;
                arena.levels.set_variance(&arena.target, noise.variance());
            }
        }
    }

    fn quality(&mut self) -> Quality {
        let mut scratch = std::mem::take(&mut self.arena.fit);
        let quality = self.placed().quality(&mut scratch);
        self.arena.fit = scratch;
        quality
    }

    fn dwell(&self) -> f32 {
        self.arena.signal.len() as f32 / self.arena.levels.n as f32
    }

    fn viterbi(&mut self, with_moves: bool) {
        let weight = 0.5 / (self.noise.sample.powi(2) + self.dwell() / 4.0 * self.noise.level.powi(2));
        let arena = &mut *self.arena;
        windows(&arena.boundaries, &mut arena.first_entries);
        self.isa.run(Viterbi {
            signal: &arena.signal,
            levels: &arena.levels,
            weight,
            prior: with_moves.then(|| arena.moves.prior(arena.levels.n)),
            first_entries: &arena.first_entries,
            moved: &mut arena.best_path,
            boundaries: &mut arena.boundaries,
        });
        if with_moves {
            arena.moves.register(&arena.boundaries);
        }
    }

    /// `blur` widens the noise of levels: more lets a modified base keep its signal.
    fn posterior<const STATES: usize>(&mut self, blur: f32, with_moves: bool) {
        let dwell = self.dwell();
        let weight = 0.5 / (self.noise.sample.powi(2) + dwell * (blur * self.noise.level).powi(2));
        let arena = &mut *self.arena;
        windows(&arena.boundaries, &mut arena.first_entries);
        fill_odds(&arena.boundaries, dwell, STATES, &mut arena.odds);
        self.isa.run(Posterior::<STATES> {
            signal: &arena.signal,
            levels: &arena.levels,
            weight,
            odds: &arena.odds,
            prior: with_moves.then(|| arena.moves.prior(arena.levels.n)),
            first_entries: &arena.first_entries,
            scratch: &mut arena.posterior,
            probability: &mut arena.probability,
            boundaries: &mut arena.boundaries,
        });
    }

    /// Best path on the levels that the read itself shows: puts edges where the current changes.
    fn adapted_viterbi(&mut self, with_moves: bool) {
        let weight = 0.5 / self.noise.sample.powi(2);
        let arena = &mut *self.arena;
        arena.adapted.fill(&arena.target, self.noise.variance());
        let (model, own) = (1.0 / self.noise.level.powi(2), 1.0 / self.noise.sample.powi(2));
        for entry in 1..arena.adapted.n - 1 {
            let n = (arena.boundaries[entry + 1] - arena.boundaries[entry]) as f32;
            let level = &mut arena.adapted.mean[entry];
            *level = (*level * model + n * own * arena.moments.mean[entry]) / (model + n * own);
        }
        windows(&arena.boundaries, &mut arena.first_entries);
        self.isa.run(Viterbi {
            signal: &arena.signal,
            levels: &arena.adapted,
            weight,
            prior: with_moves.then(|| arena.moves.prior(arena.levels.n)),
            first_entries: &arena.first_entries,
            moved: &mut arena.adapted_path,
            boundaries: &mut arena.boundaries,
        });
    }

    fn summary(&self) -> Summary {
        let Scaling { scale, shift, drift } = self.scaling;
        Summary { status: Status::Ok, scale, shift_pa: shift, drift_pa: drift, fit_r: self.fit_r }
    }

    /// Write the reported positions, rising; returns how many.
    fn write(&self, context: &Context<'_>, rows: &mut [Placement]) -> usize {
        let arena = &*self.arena;
        let mut n = 0;
        for (j, &position) in arena.target.position.iter().enumerate().rev() {
            if position < 0 {
                continue;
            }
            let (start, end) = (arena.boundaries[j + 1] as usize, arena.boundaries[j + 2] as usize);
            let edge = if end - start >= SPARES_EDGES { EDGE } else { 0 };
            let (mean, variance) = moments(&arena.signal[start + edge..end - edge]);
            rows[n] = Placement {
                position,
                sample_start: (self.span.start + start) as i32,
                sample_end: (self.span.start + end) as i32,
                level_mean: mean,
                level_stdv: variance.sqrt(),
                confidence: if context.settings.mode == Mode::Fast {
                    f32::NAN
                } else {
                    self.confidence(j + 1)
                },
            };
            n += 1;
        }
        n
    }

    /// Mean posterior probability that an entry's samples are its own.
    fn confidence(&self, entry: usize) -> f32 {
        let arena = &*self.arena;
        let (start, end) = (arena.boundaries[entry] as usize, arena.boundaries[entry + 1] as usize);
        let first = start.div_ceil(GRID).min((end - 1) / GRID);
        let last = ((end - 1) / GRID).max(first);
        let mut sum = 0;
        for point in first..=last {
            let window = arena.first_entries[point * GRID] as usize;
            let lane = entry.wrapping_sub(window);
            sum += arena.probability[point].get(lane).map_or(0, |&share| u32::from(share));
        }
        sum as f32 / (255 * (last - first + 1)) as f32
    }
}

/// Odds of leaving a sub-state at each sample: slower where the path so far stalls.
fn fill_odds(boundaries: &[u32], dwell: f32, states: usize, odds: &mut Vec<f32>) {
    odds.clear();
    for pair in boundaries.windows(2) {
        let own = (pair[1] - pair[0]) as f32;
        let expected = if own > STALL * dwell { own } else { dwell };
        let leave = (states as f32 / expected).min(0.5);
        odds.resize(pair[1] as usize, leave / (1.0 - leave));
    }
}
