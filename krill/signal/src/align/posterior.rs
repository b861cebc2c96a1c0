//! Posterior placement: the sum over all paths, and for each entry the median of its first sample.
//!
//! Dwell is negative binomial: each entry is a chain of sub-states, each left with the same
//! probability per block. Evidence is tempered, because the samples of an event share its error.
//! A modified base moves the levels of several neighbouring entries one way. Each entry therefore has
//! three variants: its level as the model has it, above and below. A shift is rare, but the next entry
//! mostly keeps it. Without them the entries around a modified base lose their signal to others.
//!
//! Computed in linear space, brought back to one size every few blocks: within a window the entries
//! ahead of the best are never further below it than a few dozen nats, and those behind it cannot come
//! back. Values are kept where the posterior is taken: 40 bytes per sample with three sub-states.

use super::levels::Levels;
use super::moves::Prior;
use super::path::{separate, windows};
use super::shares::{CERTAIN, Shares};
use super::simd::{self, LANES, LaneKernel, Simd};

/// The posterior is taken every so many blocks; between them boundaries are interpolated.
const BLOCKS_PER_POINT: usize = 4;

/// Samples per block where the mean dwell is long enough; else each sample is one.
const LARGEST_BLOCK: usize = 2;

/// Shortest mean dwell that is, samples.
const LONG_DWELL: f32 = 12.0;

/// Values are brought back to [`LARGE`] every so many blocks.
const BLOCKS_PER_RESET: usize = 16;

/// What the values of a window add up to after a reset, and what counts as nothing then: single
/// precision ends at 1e38 and 1e-38, and a block changes values by a factor of two at most upwards.
const LARGE: f32 = 1e18;
const NEGLIGIBLE: f32 = 1e-18;

/// `e^-c` is taken as `(1 - c / 2^SQUARINGS)` squared so often: a normal distribution but in its tails.
pub(super) const SQUARINGS: i32 = 2;

/// Largest `c / 2^SQUARINGS`: a block's likelihoods differ by a factor of 16 at most.
pub(super) const LARGEST_EVIDENCE: f32 = 0.5;

/// By how much a modified base shifts levels, picoampere.
pub(super) const SHIFT: f32 = 4.5;

/// Probability of a shift up, and of one down, at any entry.
pub(super) const SHIFTED: f32 = 0.05;

/// Probability that the entry after a shifted one is shifted for the same reason.
pub(super) const KEPT: f32 = 0.8;

/// Level as the model has it, above, below.
const VARIANTS: usize = 3;

/// An entry that keeps more samples than this many mean dwells is a stall (or the poly-A tail).
const STALL: f32 = 4.0;

/// Replaces `boundaries` by posterior medians and fills the posterior on the grid.
pub(super) struct Posterior<'a, const STATES: usize> {
    pub(super) signal: &'a [f32],
    pub(super) levels: &'a Levels,
    /// Cost of a squared picoampere in one sample, nats.
    pub(super) weight: f32,
    pub(super) prior: Option<Prior<'a>>,
    pub(super) scratch: &'a mut Scratch,
    pub(super) shares: &'a mut Shares,
    pub(super) boundaries: &'a mut [u32],
}

/// Memory of the pass, kept between reads.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Values on the grid.
    stored: Vec<f32>,
    /// Means of the blocks, in units of the likelihood.
    blocks: Vec<f32>,
    /// First entry of the window of every block.
    first_entries: Vec<u32>,
    /// Odds of entering an entry in every block.
    odds: Vec<f32>,
    /// Levels and ceilings in units of the likelihood.
    mean: Vec<f32>,
    ceiling: Vec<f32>,
}

impl<const STATES: usize> LaneKernel for Posterior<'_, STATES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let (n_samples, n_entries) = (self.signal.len(), self.levels.n);
        let dwell = n_samples as f32 / n_entries as f32;
        let block = if dwell < LONG_DWELL { 1 } else { LARGEST_BLOCK };
        for boundary in self.boundaries.iter_mut() {
            *boundary /= block as u32;
        }
        let scale = (self.weight * block as f32 / (1 << SQUARINGS) as f32).sqrt();
        let Scratch { stored, blocks, first_entries, odds, mean, ceiling } = self.scratch;
        let factor = scale / block as f32;
        blocks.clear();
        blocks.extend(self.signal.chunks_exact(block).map(|samples| samples.iter().sum::<f32>() * factor));
        windows(self.boundaries, STATES as u32, first_entries);
        fill_odds(self.boundaries, dwell / block as f32, STATES, odds);
        mean.clear();
        mean.extend(self.levels.mean.iter().map(|level| level * scale));
        ceiling.clear();
        let limit = |ceiling: &f32| (ceiling * scale * scale).min(LARGEST_EVIDENCE);
        ceiling.extend(self.levels.ceiling.iter().map(limit));
        let prior = self.prior;
        let walk = Walk::<STATES> { blocks, block, scale, prior, mean, ceiling, odds, first_entries };
        walk.both_ways::<S>(stored, self.shares, n_entries - 1);
        self.shares.place(self.boundaries);
        self.boundaries[n_entries] = n_samples as u32;
        separate(self.boundaries, 1);
    }
}

/// Odds of moving through all sub-states of an entry: slower where the path so far stalls.
fn fill_odds(boundaries: &[u32], dwell: f32, states: usize, odds: &mut Vec<f32>) {
    odds.clear();
    for pair in boundaries.windows(2) {
        let own = (pair[1] - pair[0]) as f32;
        let expected = if own > STALL * dwell { own } else { dwell };
        let leave = (states as f32 / expected).min(0.5);
        odds.resize(pair[1] as usize, (leave / (1.0 - leave)).powi(states as i32));
    }
}

/// Values of every sub-state of the window in every variant, forward or backward.
type States<S, const STATES: usize> = [[<S as Simd>::Lanes; STATES]; VARIANTS];

/// Odds of moving into an entry: as the model has it, shifted one way, and shifted as the one before.
struct Odds<S: Simd> {
    plain: S::Lanes,
    shifted: S::Lanes,
    kept: S::Lanes,
}

/// What both directions read.
struct Walk<'a, const STATES: usize> {
    blocks: &'a [f32],
    /// Samples per block.
    block: usize,
    /// From picoampere to units of the likelihood.
    scale: f32,
    prior: Option<Prior<'a>>,
    mean: &'a [f32],
    ceiling: &'a [f32],
    odds: &'a [f32],
    first_entries: &'a [u32],
}

impl<const STATES: usize> Walk<'_, STATES> {
    /// Forward and backward in one loop: neither waits for the other's results. Whichever reaches a
    /// grid point first leaves its values there for the other.
    #[inline(always)]
    fn both_ways<S: Simd>(&self, stored: &mut Vec<f32>, shares: &mut Shares, last: usize) {
        let n = self.odds.len();
        let per_point = BLOCKS_PER_POINT;
        stored.resize(n.div_ceil(per_point) * pairs(STATES) * LANES, 0.0);
        shares.begin(per_point * self.block, self.first_entries.iter().step_by(per_point).copied());
        let mut end = [0.0; LANES];
        end[last - self.first_entries[n - 1] as usize] = 1.0;
        let mut backward: States<S, STATES> = [[S::load(&end, 0); STATES]; VARIANTS];
        let mut forward: States<S, STATES> = [[S::splat(0.0); STATES]; VARIANTS];
        for (t, from_end) in (0..n).zip((0..n).rev()) {
            self.step_forward::<S>(&mut forward, t);
            if t.is_multiple_of(per_point) {
                meet::<S, STATES>(&forward, t / per_point, t <= from_end, stored, shares);
            }
            if from_end.is_multiple_of(per_point) {
                meet::<S, STATES>(&backward, from_end / per_point, t < from_end, stored, shares);
            }
            self.step_backward::<S>(&mut backward, from_end);
        }
    }

    /// Likelihood of block `t` at each entry of its window, by variant.
    #[inline(always)]
    fn likelihood<S: Simd>(&self, t: usize) -> [S::Lanes; VARIANTS] {
        let first = self.first_entries[t] as usize;
        let difference = S::sub(S::splat(self.blocks[t]), S::load(self.mean, first));
        let ceiling = S::load(self.ceiling, first);
        let shift = S::splat(SHIFT * self.scale);
        let mut of_variant = [difference, S::sub(difference, shift), S::add(difference, shift)];
        for lanes in &mut of_variant {
            *lanes = S::sub(S::splat(1.0), S::min(S::mul(*lanes, *lanes), ceiling));
            for _ in 0..SQUARINGS {
                *lanes = S::mul(*lanes, *lanes);
            }
        }
        of_variant
    }

    /// Odds of moving into each entry of its window at block `t`.
    #[inline(always)]
    fn entry_odds<S: Simd>(&self, t: usize) -> Odds<S> {
        let odds = self.odds[t];
        let plain = S::splat(odds * (1.0 - 2.0 * SHIFTED));
        let (shifted, kept) = (S::splat(odds * SHIFTED), S::splat(odds * KEPT));
        let Some(prior) = self.prior else { return Odds { plain, shifted, kept } };
        let nats = prior.penalties::<S>(self.first_entries[t] as usize, t * self.block, 1.0);
        let factor = exp_minus::<S>(nats);
        Odds { plain: S::mul(plain, factor), shifted: S::mul(shifted, factor), kept: S::mul(kept, factor) }
    }

    #[inline(always)]
    fn step_forward<S: Simd>(&self, forward: &mut States<S, STATES>, t: usize) {
        let likelihood = self.likelihood::<S>(t);
        let odds = self.entry_odds::<S>(t);
        let mut left = [S::splat(0.0); VARIANTS];
        for v in 0..VARIANTS {
            left[v] = forward[v][STATES - 1];
        }
        if t > 0 && self.first_entries[t] != self.first_entries[t - 1] {
            for variant in forward.iter_mut() {
                for state in variant {
                    *state = S::down(*state, 0.0);
                }
            }
        } else {
            let begin = if t == 0 { 1.0 } else { 0.0 };
            left = [S::up(left[0], begin), S::up(left[1], 0.0), S::up(left[2], 0.0)];
        }
        let shifted = S::add(left[1], left[2]);
        let any = S::add(left[0], S::mul(shifted, S::splat(1.0 - KEPT)));
        let anew = S::mul(any, odds.shifted);
        let entering = [
            S::mul(any, odds.plain),
            S::add(anew, S::mul(left[1], odds.kept)),
            S::add(anew, S::mul(left[2], odds.kept)),
        ];
        for v in 0..VARIANTS {
            for s in (0..STATES).rev() {
                let from = if s == 0 { entering[v] } else { forward[v][s - 1] };
                forward[v][s] = S::mul(S::add(forward[v][s], from), likelihood[v]);
            }
        }
        if t.is_multiple_of(BLOCKS_PER_RESET) {
            reset::<S, STATES>(forward);
        }
    }

    /// From the values after block `t` to those after block `t - 1`.
    #[inline(always)]
    fn step_backward<S: Simd>(&self, backward: &mut States<S, STATES>, t: usize) {
        let likelihood = self.likelihood::<S>(t);
        let odds = self.entry_odds::<S>(t);
        for v in 0..VARIANTS {
            for state in &mut backward[v] {
                *state = S::mul(*state, likelihood[v]);
            }
        }
        let entering = [backward[0][0], backward[1][0], backward[2][0]];
        let shifted = S::add(entering[1], entering[2]);
        let any = S::add(S::mul(entering[0], odds.plain), S::mul(shifted, odds.shifted));
        let anew = S::mul(any, S::splat(1.0 - KEPT));
        let mut left =
            [any, S::add(anew, S::mul(entering[1], odds.kept)), S::add(anew, S::mul(entering[2], odds.kept))];
        if t > 0 && self.first_entries[t] != self.first_entries[t - 1] {
            for variant in backward.iter_mut() {
                for state in variant {
                    *state = S::up(*state, 0.0);
                }
            }
        } else {
            for lanes in &mut left {
                *lanes = S::down(*lanes, 0.0);
            }
        }
        for v in 0..VARIANTS {
            for s in 0..STATES {
                let from = if s + 1 < STATES { backward[v][s + 1] } else { left[v] };
                backward[v][s] = S::add(backward[v][s], from);
            }
        }
        if t.is_multiple_of(BLOCKS_PER_RESET) {
            reset::<S, STATES>(backward);
        }
    }
}

/// Leave the values at a grid point, or multiply them with what the other way left there.
///
/// They are kept in half precision, two to a lane: it is memory that this waits for.
#[inline(always)]
fn meet<S: Simd, const STATES: usize>(
    states: &States<S, STATES>,
    point: usize,
    is_first: bool,
    stored: &mut [f32],
    shares: &mut Shares,
) {
    let pairs = pairs(STATES);
    let stored = &mut stored[point * pairs * LANES..][..pairs * LANES];
    let state = |i: usize| if i < VARIANTS * STATES { states[i / STATES][i % STATES] } else { S::splat(0.0) };
    if is_first {
        for i in 0..pairs {
            S::store(S::pack(state(2 * i), state(2 * i + 1)), stored, i * LANES);
        }
        return;
    }
    let mut sums = [S::splat(0.0); 2];
    for i in 0..pairs {
        let other = S::unpack(S::load(stored, i * LANES));
        sums[0] = S::add(sums[0], S::mul(state(2 * i), other[0]));
        sums[1] = S::add(sums[1], S::mul(state(2 * i + 1), other[1]));
    }
    let sum = S::add(sums[0], sums[1]);
    let total = S::sum(sum);
    if total > 0.0 && total.is_finite() {
        let of_lane = S::mul(sum, S::splat(CERTAIN / total));
        let rounded = S::add(S::min(of_lane, S::splat(CERTAIN)), S::splat(0.5));
        shares.set(point, S::to_bytes(rounded));
    }
}

/// Pairs of values per lane, the last with nothing where their number is odd.
const fn pairs(states: usize) -> usize {
    (VARIANTS * states).div_ceil(2)
}

/// Bring the sum back to [`LARGE`], and to nothing what is too small to matter (and slow to compute).
#[inline(always)]
fn reset<S: Simd, const STATES: usize>(states: &mut States<S, STATES>) {
    let mut sums = [S::splat(0.0); VARIANTS];
    for v in 0..VARIANTS {
        for &state in &states[v] {
            sums[v] = S::add(sums[v], state);
        }
    }
    let sum = S::add(S::add(sums[0], sums[1]), sums[2]);
    let factor = S::splat(LARGE / S::sum(sum).max(f32::MIN_POSITIVE));
    for variant in states {
        for state in variant {
            *state = S::or_zero(S::mul(*state, factor), S::splat(NEGLIGIBLE));
        }
    }
}

/// `e^-nats` for 0 to 80 nats; relative error below 4e-6.
#[inline(always)]
fn exp_minus<S: Simd>(nats: S::Lanes) -> S::Lanes {
    let exponent = S::mul(nats, S::splat(std::f32::consts::LOG2_E));
    let rounded = S::add(exponent, S::splat(simd::ROUND));
    let fraction = S::sub(S::sub(rounded, S::splat(simd::ROUND)), exponent);
    // Taylor series of 2^fraction, |fraction| <= 0.5.
    let mut series = S::splat(0.001_333_36);
    for coefficient in [0.009_618_13, 0.055_504_11, 0.240_226_5, std::f32::consts::LN_2, 1.0] {
        series = S::add(S::mul(series, fraction), S::splat(coefficient));
    }
    S::mul(S::half_to_the_integer(rounded), series)
}

#[cfg(test)]
mod tests {
    use super::super::simd::Portable;
    use super::*;

    #[test]
    fn exponentials_are_exact_to_single_precision() {
        for i in 0..8_000 {
            let nats = i as f32 * 0.01;
            let expected = f64::from(-nats).exp();
            let got = f64::from(exp_minus::<Portable>([nats; LANES])[0]);
            assert!((got / expected - 1.0).abs() < 1e-5, "{nats}: {got} {expected}");
        }
    }
}
