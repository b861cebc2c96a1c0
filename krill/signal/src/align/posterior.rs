//! Posterior placement: the sum over all paths, and for each entry the median of its first sample.
//!
//! Dwell is negative binomial: each entry is a chain of sub-states, each left with the same
//! probability per sample. Evidence is tempered, because the samples of an event share its error.
//! Computed in linear space in double precision, brought back to 1 every few samples: within a
//! window the entries ahead of the best are never further below it than a few dozen nats, and those
//! behind it cannot come back. Forward values are kept once per stretch and computed again on the
//! way back, so that memory does not grow with the read.

use super::lanes::{LANES, Lanes, down, load, up};
use super::levels::Levels;
use super::moves::Prior;
use super::path::separate;
use crate::isa::Kernel;

/// Samples between two stored forward values.
const STRETCH: usize = 256;

/// Posteriors are taken every so many samples; between them boundaries are interpolated.
pub(super) const GRID: usize = 4;

/// Values are brought back to 1 every so many samples.
const SAMPLES_PER_RESET: usize = 16;

/// Largest evidence of one sample, in factors of two.
const LARGEST_EVIDENCE: f32 = 60.0;

type Wide = [f64; LANES];

/// Memory of the pass, kept between reads.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    checkpoints: Vec<f64>,
    forward: Vec<f64>,
    emissions: Vec<Lanes>,
}

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
    pub(super) scratch: &'a mut Scratch,
    /// Per grid point and lane: probability that the sample belongs to the entry, in 1/255.
    pub(super) probability: &'a mut Vec<[u8; LANES]>,
    pub(super) boundaries: &'a mut [u32],
}

/// Values of every sub-state of the window, forward or backward.
type States<const STATES: usize> = [Wide; STATES];

impl<const STATES: usize> Kernel for Posterior<'_, STATES> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let odds = self.odds;
        if let Some(prior) = self.prior {
            self.both_ways(|entry, t| {
                prior.penalties(entry, t).map(|nats| odds[t] * half_to_the(LOG2_E * nats))
            });
        } else {
            self.both_ways(|_, t| [odds[t]; LANES]);
        }
        separate(self.boundaries, 1);
    }
}

impl<const STATES: usize> Posterior<'_, STATES> {
    /// `entry_odds` are the odds of moving into each entry of a window at a sample.
    #[inline(always)]
    fn both_ways(&mut self, entry_odds: impl Fn(usize, usize) -> Lanes) {
        let n = self.signal.len();
        self.scratch.checkpoints.clear();
        self.probability.clear();
        self.probability.resize(n.div_ceil(GRID), [0; LANES]);
        let mut forward = [[0.0; LANES]; STATES];
        for start in (0..n).step_by(STRETCH) {
            self.scratch.checkpoints.extend(forward.iter().flatten());
            for t in start..n.min(start + STRETCH) {
                let emission = self.emission(t);
                self.step_forward(&mut forward, t, emission, &entry_odds);
            }
        }
        let last = self.levels.n - 1;
        let mut backward = [[0.0; LANES]; STATES];
        for state in &mut backward {
            state[last - self.first_entries[n - 1] as usize] = 1.0;
        }
        let mut median =
            Median { entry: last, reached: [1.0; LANES], first: self.first_entries[n - 1] as usize };
        for start in (0..n).step_by(STRETCH).rev() {
            self.stretch(start, &mut backward, &mut median, &entry_odds);
        }
    }

    /// Forward again over one stretch, then backward over it.
    #[inline(always)]
    fn stretch(
        &mut self,
        start: usize,
        backward: &mut States<STATES>,
        median: &mut Median,
        entry_odds: &impl Fn(usize, usize) -> Lanes,
    ) {
        let end = self.signal.len().min(start + STRETCH);
        let stored = &self.scratch.checkpoints[start / STRETCH * STATES * LANES..][..STATES * LANES];
        let mut forward: States<STATES> =
            std::array::from_fn(|s| std::array::from_fn(|i| stored[s * LANES + i]));
        self.scratch.forward.clear();
        self.scratch.emissions.clear();
        for t in start..end {
            let emission = self.emission(t);
            self.step_forward(&mut forward, t, emission, entry_odds);
            self.scratch.emissions.push(emission);
            if t.is_multiple_of(GRID) {
                self.scratch.forward.extend(forward.iter().flatten());
            }
        }
        for t in (start..end).rev() {
            if t.is_multiple_of(GRID) {
                let stored = &self.scratch.forward[(t - start) / GRID * STATES * LANES..][..STATES * LANES];
                let posterior = posterior::<STATES>(stored, backward);
                self.take(t, posterior, median);
            }
            let emission = self.scratch.emissions[t - start];
            self.step_backward(backward, t, emission, entry_odds);
        }
    }

    /// Likelihood of sample `t` at each entry of its window.
    #[inline(always)]
    fn emission(&self, t: usize) -> Lanes {
        let first = self.first_entries[t] as usize;
        let (level, ceiling) = (load(&self.levels.mean, first), load(&self.levels.ceiling, first));
        let weight = self.weight * LOG2_E;
        std::array::from_fn(|i| {
            let difference = self.signal[t] - level[i];
            half_to_the((weight * (difference * difference).min(ceiling[i])).min(LARGEST_EVIDENCE))
        })
    }

    #[inline(always)]
    fn step_forward(
        &self,
        forward: &mut States<STATES>,
        t: usize,
        emission: Lanes,
        entry_odds: &impl Fn(usize, usize) -> Lanes,
    ) {
        let first = self.first_entries[t] as usize;
        let entering = entry_odds(first, t);
        let below = if t == 0 {
            up([0.0; LANES], 1.0)
        } else if first == self.first_entries[t - 1] as usize {
            up(forward[STATES - 1], 0.0)
        } else {
            let below = forward[STATES - 1];
            *forward = forward.map(|state| down(state, 0.0));
            below
        };
        let odds = f64::from(self.odds[t]);
        for s in (0..STATES).rev() {
            let from: Wide = if s == 0 {
                std::array::from_fn(|i| below[i] * f64::from(entering[i]))
            } else {
                forward[s - 1].map(|value| value * odds)
            };
            forward[s] = std::array::from_fn(|i| (forward[s][i] + from[i]) * f64::from(emission[i]));
        }
        if t.is_multiple_of(SAMPLES_PER_RESET) {
            reset(forward);
        }
    }

    /// From the values after sample `t` to those after sample `t - 1`.
    #[inline(always)]
    fn step_backward(
        &self,
        backward: &mut States<STATES>,
        t: usize,
        emission: Lanes,
        entry_odds: &impl Fn(usize, usize) -> Lanes,
    ) {
        let first = self.first_entries[t] as usize;
        let is_moved = t > 0 && first != self.first_entries[t - 1] as usize;
        let entry = entry_odds(first, t);
        let odds = f64::from(self.odds[t]);
        for state in backward.iter_mut() {
            *state = std::array::from_fn(|i| state[i] * f64::from(emission[i]));
        }
        let entering: Wide = std::array::from_fn(|i| backward[0][i] * f64::from(entry[i]));
        let above = if is_moved { entering } else { down(entering, 0.0) };
        if is_moved {
            *backward = backward.map(|state| up(state, 0.0));
        }
        for s in 0..STATES {
            let from: Wide = if s + 1 < STATES { backward[s + 1].map(|value| value * odds) } else { above };
            backward[s] = std::array::from_fn(|i| backward[s][i] + from[i]);
        }
        if t.is_multiple_of(SAMPLES_PER_RESET) {
            reset(backward);
        }
    }

    /// Store the posterior of sample `t` and set the boundaries whose median lies before the last point.
    #[inline(always)]
    fn take(&mut self, t: usize, posterior: Wide, median: &mut Median) {
        let first = self.first_entries[t] as usize;
        let total: f64 = posterior.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return;
        }
        let mut reached = posterior.map(|value| value / total);
        self.probability[t / GRID] = reached.map(|value| (255.0 * value + 0.5) as u8);
        for i in (0..LANES - 1).rev() {
            reached[i] += reached[i + 1];
        }
        let mut lane = LANES - 1;
        while lane > 0 && reached[lane] < 0.5 {
            lane -= 1;
        }
        for entry in first + lane + 1..=median.entry {
            let before = reached.get(entry - first).copied().unwrap_or(0.0);
            let after = if entry < median.first { 1.0 } else { median.reached[entry - median.first] };
            let part = if after > before { (0.5 - before) / (after - before) } else { 1.0 };
            self.boundaries[entry] = (t as f64 + 1.0 + (GRID as f64 - 1.0) * part.clamp(0.0, 1.0)) as u32;
        }
        *median = Median { entry: (first + lane).min(median.entry), reached, first };
    }
}

/// State of the walk down from the last entry: `reached[i]` = P(entry >= first + i) at a grid point.
struct Median {
    entry: usize,
    reached: Wide,
    first: usize,
}

#[inline(always)]
fn posterior<const STATES: usize>(forward: &[f64], backward: &States<STATES>) -> Wide {
    std::array::from_fn(|i| (0..STATES).map(|s| forward[s * LANES + i] * backward[s][i]).sum())
}

#[inline(always)]
fn reset<const STATES: usize>(values: &mut States<STATES>) {
    let mut largest = [0.0_f64; LANES];
    for state in values.iter() {
        largest = std::array::from_fn(|i| if state[i] > largest[i] { state[i] } else { largest[i] });
    }
    let factor = 1.0 / largest.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    for state in values.iter_mut() {
        *state = state.map(|value| value * factor);
    }
}

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// 2 to the power `-exponent` for exponents of 0 to 120; relative error below 4e-6.
#[inline(always)]
fn half_to_the(exponent: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let rounded = exponent + ROUND;
    let fraction = (rounded - ROUND) - exponent;
    let integer = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    let power = f32::from_bits(127_u32.wrapping_sub(integer) << 23);
    // Taylor series of 2^fraction, |fraction| <= 0.5.
    let series = 1.0
        + fraction
            * (std::f32::consts::LN_2
                + fraction
                    * (0.240_226_5
                        + fraction * (0.055_504_11 + fraction * (0.009_618_13 + fraction * 0.001_333_36))));
    power * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_a_half_are_exact_to_single_precision() {
        for i in 0..12_000 {
            let exponent = i as f32 * 0.01;
            let expected = (-f64::from(exponent)).exp2();
            let got = f64::from(half_to_the(exponent));
            assert!((got / expected - 1.0).abs() < 4e-6, "{exponent}: {got} {expected}");
        }
    }
}
