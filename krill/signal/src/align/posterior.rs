//! Posterior placement: the sum over all paths, and for each entry the median of its first sample.
//!
//! Dwell is negative binomial: each entry is a chain of sub-states, each left with the same
//! probability per sample. Evidence is tempered, because the samples of an event share its error.
//! Computed in linear space, brought back to one size every few samples: within a window the entries
//! ahead of the best are never further below it than a few dozen nats, and those behind it cannot come
//! back. Values are kept where the posterior is taken: 24 bytes per sample with three sub-states.

use super::levels::Levels;
use super::moves::Prior;
use super::path::separate;
use super::simd::{self, LANES, LaneKernel, ROUND, Simd};

/// Posteriors are taken every so many samples; between them boundaries are interpolated.
pub(super) const GRID: usize = 8;

/// Values are brought back to [`LARGE`] every so many samples.
const SAMPLES_PER_RESET: usize = 16;

/// What the values of a window add up to after a reset, and what counts as nothing then: single
/// precision ends at 1e38 and 1e-38, and a sample changes values by a factor of two at most upwards.
const LARGE: f32 = 1e18;
const NEGLIGIBLE: f32 = 1e-18;

/// A probability of one, and of a half, as it is stored.
const CERTAIN: f32 = 255.0;
const HALF: f32 = 127.5;

/// Largest evidence of one sample, in factors of two.
const LARGEST_EVIDENCE: f32 = 4.0;

/// Replaces `boundaries` by posterior medians and fills the posterior of every window on the grid.
pub(super) struct Posterior<'a, const STATES: usize> {
    pub(super) signal: &'a [f32],
    pub(super) levels: &'a Levels,
    /// Cost of a squared picoampere, nats.
    pub(super) weight: f32,
    /// Odds of leaving a sub-state per sample.
    pub(super) odds: &'a [f32],
    pub(super) prior: Option<Prior<'a>>,
    pub(super) first_entries: &'a [u32],
    /// Memory for values on the grid, kept between reads.
    pub(super) stored: &'a mut Vec<f32>,
    /// Per grid point and lane: probability that the sample belongs to the entry, in 1/255.
    pub(super) probability: &'a mut Vec<[u8; LANES]>,
    pub(super) boundaries: &'a mut [u32],
}

/// Values of every sub-state of the window, forward or backward.
type States<S, const STATES: usize> = [<S as Simd>::Lanes; STATES];

impl<const STATES: usize> LaneKernel for Posterior<'_, STATES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.both_ways::<S>();
        self.place_boundaries();
        separate(self.boundaries, 1);
    }
}

impl<const STATES: usize> Posterior<'_, STATES> {
    /// Forward and backward in one loop: neither waits for the other's results. Whichever reaches a
    /// grid point first leaves its values there for the other.
    #[inline(always)]
    fn both_ways<S: Simd>(&mut self) {
        let n = self.signal.len();
        self.stored.clear();
        self.stored.resize(n.div_ceil(GRID) * STATES * LANES, 0.0);
        self.probability.clear();
        self.probability.resize(n.div_ceil(GRID), [0; LANES]);
        let mut end = [0.0; LANES];
        end[self.levels.n - 1 - self.first_entries[n - 1] as usize] = 1.0;
        let mut backward = [S::load(&end, 0); STATES];
        let mut forward = [S::splat(0.0); STATES];
        for (t, from_end) in (0..n).zip((0..n).rev()) {
            self.step_forward::<S>(&mut forward, t);
            if t.is_multiple_of(GRID) {
                self.meet::<S>(&forward, t, t <= from_end);
            }
            if from_end.is_multiple_of(GRID) {
                self.meet::<S>(&backward, from_end, t < from_end);
            }
            self.step_backward::<S>(&mut backward, from_end);
        }
    }

    /// Leave the values at a grid point, or multiply them with what the other way left there.
    #[inline(always)]
    fn meet<S: Simd>(&mut self, states: &States<S, STATES>, t: usize, is_first: bool) {
        let stored = &mut self.stored[t / GRID * STATES * LANES..][..STATES * LANES];
        if is_first {
            for (s, &state) in states.iter().enumerate() {
                S::store(state, stored, s * LANES);
            }
            return;
        }
        let mut sum = S::splat(0.0);
        for (s, &state) in states.iter().enumerate() {
            sum = S::add(sum, S::mul(state, S::load(stored, s * LANES)));
        }
        let total = simd::sum::<S>(sum);
        if total > 0.0 && total.is_finite() {
            let mut lanes = [0.0; LANES];
            let shares = S::add(S::mul(sum, S::splat(CERTAIN / total)), S::splat(0.5));
            S::store(S::min(shares, S::splat(CERTAIN)), &mut lanes, 0);
            self.probability[t / GRID] = lanes.map(|share| share as u8);
        }
    }

    /// Likelihood of sample `t` at each entry of its window.
    #[inline(always)]
    fn emission<S: Simd>(&self, t: usize) -> S::Lanes {
        let first = self.first_entries[t] as usize;
        let difference = S::sub(S::splat(self.signal[t]), S::load(&self.levels.mean, first));
        let square = S::min(S::mul(difference, difference), S::load(&self.levels.ceiling, first));
        let exponent = S::mul(S::splat(self.weight * LOG2_E), square);
        half_to_the::<S>(S::min(exponent, S::splat(LARGEST_EVIDENCE)))
    }

    /// Odds of moving into each entry of its window at sample `t`.
    #[inline(always)]
    fn entry_odds<S: Simd>(&self, t: usize) -> S::Lanes {
        let odds = S::splat(self.odds[t]);
        let Some(prior) = self.prior else { return odds };
        let nats = prior.penalties::<S>(self.first_entries[t] as usize, t);
        S::mul(odds, half_to_the::<S>(S::mul(S::splat(LOG2_E), nats)))
    }

    #[inline(always)]
    fn step_forward<S: Simd>(&self, forward: &mut States<S, STATES>, t: usize) {
        let emission = self.emission::<S>(t);
        let below = if t == 0 {
            let mut first = [0.0; LANES];
            first[0] = 1.0;
            S::load(&first, 0)
        } else if self.first_entries[t] == self.first_entries[t - 1] {
            S::up(forward[STATES - 1], 0.0)
        } else {
            let below = forward[STATES - 1];
            for state in forward.iter_mut() {
                *state = S::down(*state, 0.0);
            }
            below
        };
        let odds = S::splat(self.odds[t]);
        for s in (0..STATES).rev() {
            let from =
                if s == 0 { S::mul(below, self.entry_odds::<S>(t)) } else { S::mul(forward[s - 1], odds) };
            forward[s] = S::mul(S::add(forward[s], from), emission);
        }
        if t.is_multiple_of(SAMPLES_PER_RESET) {
            reset::<S, STATES>(forward);
        }
    }

    /// From the values after sample `t` to those after sample `t - 1`.
    #[inline(always)]
    fn step_backward<S: Simd>(&self, backward: &mut States<S, STATES>, t: usize) {
        let emission = self.emission::<S>(t);
        let is_moved = t > 0 && self.first_entries[t] != self.first_entries[t - 1];
        let odds = S::splat(self.odds[t]);
        for state in backward.iter_mut() {
            *state = S::mul(*state, emission);
        }
        let entering = S::mul(backward[0], self.entry_odds::<S>(t));
        let above = if is_moved {
            for state in backward.iter_mut() {
                *state = S::up(*state, 0.0);
            }
            entering
        } else {
            S::down(entering, 0.0)
        };
        for s in 0..STATES {
            let from = if s + 1 < STATES { S::mul(backward[s + 1], odds) } else { above };
            backward[s] = S::add(backward[s], from);
        }
        if t.is_multiple_of(SAMPLES_PER_RESET) {
            reset::<S, STATES>(backward);
        }
    }

    /// Walk down the grid and set each entry's boundary to where P(entry reached) passes a half.
    fn place_boundaries(&mut self) {
        let last = self.levels.n - 1;
        let mut after = Reached { counts: [255; LANES], first: last };
        let mut highest = last;
        for (point, shares) in self.probability.iter().enumerate().rev() {
            let first = self.first_entries[point * GRID] as usize;
            let before = Reached::new(shares, first);
            let median = before.median();
            for entry in median + 1..=highest {
                let (low, high) = (before.at(entry), after.at(entry));
                let part = if high > low { (HALF - low) / (high - low) } else { 1.0 };
                let within = 1.0 + (GRID - 1) as f32 * part.clamp(0.0, 1.0);
                self.boundaries[entry] = (point * GRID) as u32 + within as u32;
            }
            highest = highest.min(median);
            after = before;
        }
    }
}

/// `counts[i]` = P(entry >= first + i) at a grid point, in 1/255 (rounding may leave a few more).
struct Reached {
    counts: [u16; LANES],
    first: usize,
}

impl Reached {
    fn new(shares: &[u8; LANES], first: usize) -> Self {
        let mut counts = shares.map(u16::from);
        for i in (0..LANES - 1).rev() {
            counts[i] += counts[i + 1];
        }
        Self { counts, first }
    }

    /// Highest entry that is reached with probability one half.
    fn median(&self) -> usize {
        let reached = self.counts.iter().take_while(|&&count| f32::from(count) >= HALF).count();
        self.first + reached.saturating_sub(1)
    }

    fn at(&self, entry: usize) -> f32 {
        match entry.checked_sub(self.first) {
            None => CERTAIN,
            Some(lane) => self.counts.get(lane).copied().map_or(0.0, f32::from),
        }
    }
}

/// Bring the sum back to [`LARGE`], and to nothing what is too small to matter (and slow to compute).
#[inline(always)]
fn reset<S: Simd, const STATES: usize>(states: &mut States<S, STATES>) {
    let mut sum = states[0];
    for &state in &states[1..] {
        sum = S::add(sum, state);
    }
    let factor = LARGE / simd::sum::<S>(sum).max(f32::MIN_POSITIVE);
    for state in states {
        *state = S::or_zero(S::mul(*state, S::splat(factor)), S::splat(NEGLIGIBLE));
    }
}

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// 2 to the power `-exponent` for exponents of 0 to 120; relative error below 4e-6.
#[inline(always)]
fn half_to_the<S: Simd>(exponent: S::Lanes) -> S::Lanes {
    let rounded = S::add(exponent, S::splat(ROUND));
    let fraction = S::sub(S::sub(rounded, S::splat(ROUND)), exponent);
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
    fn powers_of_a_half_are_exact_to_single_precision() {
        for i in 0..12_000 {
            let exponent = i as f32 * 0.01;
            let expected = (-f64::from(exponent)).exp2();
            let got = f64::from(half_to_the::<Portable>([exponent; LANES])[0]);
            assert!((got / expected - 1.0).abs() < 4e-6, "{exponent}: {got} {expected}");
        }
    }
}
