//! The passes over one read, and what they leave behind.

use super::clock::{Clock, Stage};
use super::coarse::Coarse;
use super::fit::{Measure, Moments, Noise, Placed, Quality, moments};
use super::levels::Levels;
use super::moves::MoveTable;
use super::posterior::Posterior;
use super::read::Attempt;
use super::scaling::{Rescale, Scaling, from_quantiles};
use super::shares::Shares;
use super::target::Target;
use super::viterbi::Viterbi;
use super::{Mode, Placement, Status, Summary, coarse, fit, posterior, simd, viterbi};
use crate::Isa;
use crate::isa::Kernel;

/// Samples at either edge of a position that the pore's filter mixes with the neighbour's.
const EDGE: usize = 1;

/// Shortest dwell that can spare its edges.
const SPARES_EDGES: usize = 6;

/// Memory of one thread, kept between reads.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub(super) clock: Clock,
    pub(super) target: Target,
    levels: Levels,
    adapted: Levels,
    /// Calibrated current of the whole read.
    pub(super) signal_pa: Vec<f32>,
    /// The same from the start on, on the model's scale.
    signal: Vec<f32>,
    pub(super) values: Vec<f32>,
    boundaries: Vec<u32>,
    moments: Moments,
    shares: Shares,
    pub(super) moves: MoveTable,
    coarse: coarse::Scratch,
    posterior: posterior::Scratch,
    fit: fit::Scratch,
    viterbi: viterbi::Scratch,
}

/// One read on its way through the passes.
pub(super) struct Passes<'a> {
    pub(super) arena: &'a mut Arena,
    isa: Isa,
    start: usize,
    attempt: Option<Attempt>,
    model_noise: f32,
    scaling: Scaling,
    noise: Noise,
    fit_r: f32,
}

impl<'a> Passes<'a> {
    pub(super) fn new(arena: &'a mut Arena, isa: Isa, model_noise: f32) -> Self {
        let noise = Noise { level: model_noise, sample: model_noise };
        let scaling = Scaling { scale: 1.0, shift: 0.0, drift: 0.0 };
        Self { arena, isa, start: 0, attempt: None, model_noise, scaling, noise, fit_r: f32::NAN }
    }

    /// Begin afresh with the signal from `start` on, roughly scaled.
    pub(super) fn begin(&mut self, start: usize, trusts_anchors: bool) {
        let arena = &mut *self.arena;
        self.start = start;
        self.noise = Noise { level: self.model_noise, sample: self.model_noise };
        arena.levels.fill(&arena.target, self.noise.variance(), trusts_anchors);
        self.scaling = from_quantiles(&arena.signal_pa[start..], &arena.target.level, &mut arena.values);
        self.rescale();
        self.arena.clock.charge(Stage::Signal);
    }

    /// Whether the present path is another attempt's.
    pub(super) fn is_not(&self, start: usize, attempt: Attempt) -> bool {
        self.start != start || self.attempt != Some(attempt)
    }

    /// First path by the coarse pass, then the best path near it.
    pub(super) fn try_placing(&mut self, start: usize, attempt: Attempt) -> Quality {
        self.begin(start, attempt.trusts_anchors);
        self.attempt = Some(attempt);
        let arena = &mut *self.arena;
        simd::run(
            self.isa,
            Coarse {
                signal: &arena.signal,
                levels: &arena.levels,
                band: attempt.band,
                stdv: self.noise.level,
                scratch: &mut arena.coarse,
                boundaries: &mut arena.boundaries,
            },
        );
        arena.clock.charge(Stage::Coarse);
        self.fit();
        self.viterbi(false);
        self.fit();
        self.quality()
    }

    fn rescale(&mut self) {
        let arena = &mut *self.arena;
        self.isa.run(Rescale {
            scaling: self.scaling,
            signal_pa: &arena.signal_pa[self.start..],
            start: self.start,
            total: arena.signal_pa.len(),
            scaled: &mut arena.signal,
        });
    }

    /// First path by the move table; false if the signal along it is not the target's.
    pub(super) fn follow_moves(&mut self) -> bool {
        let arena = &mut *self.arena;
        let is_good = arena.moves.register_entries(&arena.signal, &arena.levels.mean);
        arena.boundaries.clear();
        arena.boundaries.extend_from_slice(arena.moves.as_path(arena.signal.len()));
        self.fit();
        self.viterbi(true);
        self.fit();
        is_good
    }

    /// The passes that make the best path into the final one; false if the result is no good.
    pub(super) fn finish(&mut self, mode: Mode, with_moves: bool) -> bool {
        match mode {
            Mode::Standard => self.posterior::<3>(1.4, with_moves),
            Mode::Sharp => self.posterior::<2>(1.0, with_moves),
            Mode::Fast => {}
        }
        if mode != Mode::Fast {
            self.fit();
        }
        self.adapted_viterbi(with_moves);
        self.measure();
        self.adapted_viterbi(with_moves);
        self.fit();
        let quality = self.quality();
        self.fit_r = quality.r;
        self.scaling.is_plausible() && quality.is_acceptable(with_moves)
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
            start: self.start,
            total: self.arena.signal_pa.len(),
        }
    }

    /// Fit scale, shift, drift and noise to the present path and rescale.
    fn fit(&mut self) {
        self.measure();
        let mut scratch = std::mem::take(&mut self.arena.fit);
        let found = self.placed().fit(self.scaling.drift / self.scaling.scale, &mut scratch);
        self.arena.fit = scratch;
        if let Some((step, noise)) = found {
            let scaling = self.scaling.then(step);
            if scaling.is_plausible() {
                (self.scaling, self.noise) = (scaling, noise);
                self.rescale();
                let arena = &mut *self.arena;
                arena.moments.rescale(step, &arena.boundaries, self.start, arena.signal_pa.len());
                arena.levels.set_variance(&arena.target, noise.variance());
            }
        }
        self.arena.clock.charge(Stage::Fit);
    }

    fn quality(&mut self) -> Quality {
        let mut scratch = std::mem::take(&mut self.arena.fit);
        let quality = self.placed().quality(&mut scratch);
        self.arena.fit = scratch;
        self.arena.clock.charge(Stage::Fit);
        quality
    }

    fn dwell(&self) -> f32 {
        self.arena.signal.len() as f32 / self.arena.levels.n as f32
    }

    fn viterbi(&mut self, with_moves: bool) {
        let weight = 0.5 / (self.noise.sample.powi(2) + self.dwell() / 4.0 * self.noise.level.powi(2));
        let arena = &mut *self.arena;
        simd::run(
            self.isa,
            Viterbi::<1> {
                signal: &arena.signal,
                levels: &arena.levels,
                weight,
                prior: with_moves.then(|| arena.moves.prior(arena.levels.n)),
                scratch: &mut arena.viterbi,
                boundaries: &mut arena.boundaries,
            },
        );
        if with_moves {
            arena.moves.register(&arena.boundaries);
        }
        arena.clock.charge(Stage::BestPath);
    }

    /// `blur` widens the noise of levels: more lets a modified base keep its signal.
    fn posterior<const STATES: usize>(&mut self, blur: f32, with_moves: bool) {
        let dwell = self.dwell();
        let weight = 0.5 / (self.noise.sample.powi(2) + dwell * (blur * self.noise.level).powi(2));
        let arena = &mut *self.arena;
        simd::run(
            self.isa,
            Posterior::<STATES> {
                signal: &arena.signal,
                levels: &arena.levels,
                weight,
                prior: with_moves.then(|| arena.moves.prior(arena.levels.n)),
                scratch: &mut arena.posterior,
                shares: &mut arena.shares,
                boundaries: &mut arena.boundaries,
            },
        );
        arena.clock.charge(Stage::Posterior);
    }

    /// Best path on the levels that the read itself shows: puts edges where the current changes.
    fn adapted_viterbi(&mut self, with_moves: bool) {
        let weight = 0.5 / self.noise.sample.powi(2);
        let arena = &mut *self.arena;
        arena.adapted.fill(&arena.target, self.noise.variance(), arena.levels.trusts_anchors);
        let (model, own) = (2.0 / self.noise.level.powi(2), 1.0 / self.noise.sample.powi(2));
        for entry in 1..arena.adapted.n - 1 {
            let n = (arena.boundaries[entry + 1] - arena.boundaries[entry]) as f32;
            let level = &mut arena.adapted.mean[entry];
            *level = (*level * model + n * own * arena.moments.mean[entry]) / (model + n * own);
        }
        simd::run(
            self.isa,
            Viterbi::<2> {
                signal: &arena.signal,
                levels: &arena.adapted,
                weight,
                prior: with_moves.then(|| arena.moves.prior(arena.levels.n)),
                scratch: &mut arena.viterbi,
                boundaries: &mut arena.boundaries,
            },
        );
        arena.clock.charge(Stage::AdaptedPath);
    }

    pub(super) fn summary(&self) -> Summary {
        let Scaling { scale, shift, drift } = self.scaling;
        Summary { status: Status::Ok, scale, shift_pa: shift, drift_pa: drift, fit_r: self.fit_r }
    }

    /// Write the reported positions, rising; returns how many.
    pub(super) fn write(&self, mode: Mode, rows: &mut [Placement]) -> usize {
        self.isa.run(Write { passes: self, mode, rows })
    }
}

struct Write<'a> {
    passes: &'a Passes<'a>,
    mode: Mode,
    rows: &'a mut [Placement],
}

impl Kernel for Write<'_> {
    type Output = usize;

    #[inline(always)]
    fn run(self) -> usize {
        let Self { passes, mode, rows } = self;
        let arena = &*passes.arena;
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
                sample_start: (passes.start + start) as i32,
                sample_end: (passes.start + end) as i32,
                level_mean: mean,
                level_stdv: variance.sqrt(),
                confidence: match mode {
                    Mode::Fast => f32::NAN,
                    _ => arena.shares.confidence(j + 1, start..end),
                },
            };
            n += 1;
        }
        n
    }
}
