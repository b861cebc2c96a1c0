//! Best path at the resolution of samples, within sixteen entries around the path so far.

use super::levels::Levels;
use super::moves::Prior;
use super::path::{separate, window};
use super::simd::{LaneKernel, Simd};

/// Costs are brought back to zero every so many samples, so that single precision suffices.
const SAMPLES_PER_RESET: usize = 256;

const UNREACHED: f32 = 1e30;

/// Memory of the pass, kept between reads.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Per sample and sub-state, whether each entry of the window was moved into.
    moved: Vec<u16>,
    /// The path so far.
    path: Vec<u32>,
}

/// Each entry takes at least `STATES` samples; replaces `boundaries`.
pub(super) struct Viterbi<'a, const STATES: usize> {
    pub(super) signal: &'a [f32],
    pub(super) levels: &'a Levels,
    /// Cost of a squared picoampere, nats: what the prior weighs against.
    pub(super) weight: f32,
    pub(super) prior: Option<Prior<'a>>,
    pub(super) scratch: &'a mut Scratch,
    pub(super) boundaries: &'a mut [u32],
}

impl<const STATES: usize> LaneKernel for Viterbi<'_, STATES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        separate(self.boundaries, STATES as u32);
        self.scratch.path.clear();
        self.scratch.path.extend_from_slice(self.boundaries);
        self.scratch.moved.resize(self.signal.len() * STATES, 0);
        self.forward::<S>();
        self.trace_back();
    }
}

impl<const STATES: usize> Viterbi<'_, STATES> {
    /// Samples while the path so far is on an entry, and the first entry of the window then.
    fn stretch(&self, entry: usize) -> (std::ops::Range<usize>, usize) {
        let path = &self.scratch.path;
        (path[entry] as usize..path[entry + 1] as usize, window(entry, self.levels.n))
    }

    /// Costs are in squared picoampere.
    #[inline(always)]
    fn forward<S: Simd>(&mut self) {
        let mut costs = [S::splat(UNREACHED); STATES];
        // As if the last sub-state below entry 0 had just been left.
        let mut step = S::up(S::splat(UNREACHED), 0.0);
        let mut before = 0;
        for entry in 0..self.levels.n {
            let (samples, first) = self.stretch(entry);
            if first != before {
                before = first;
                step = costs[STATES - 1];
                for state in &mut costs {
                    *state = S::down(*state, UNREACHED);
                }
            }
            let (level, ceiling) = (S::load(&self.levels.mean, first), S::load(&self.levels.ceiling, first));
            let rows =
                self.scratch.moved[samples.start * STATES..samples.end * STATES].chunks_exact_mut(STATES);
            for ((t, &sample), moved) in samples.clone().zip(&self.signal[samples]).zip(rows) {
                if let Some(prior) = self.prior {
                    step = S::add(step, prior.penalties::<S>(first, t, 1.0 / self.weight));
                }
                let difference = S::sub(S::splat(sample), level);
                let emission = S::min(S::mul(difference, difference), ceiling);
                advance::<S, STATES>(&mut costs, step, emission, moved);
                if t.is_multiple_of(SAMPLES_PER_RESET) {
                    reset::<S, STATES>(&mut costs);
                }
                step = S::up(costs[STATES - 1], UNREACHED);
            }
        }
    }

    fn trace_back(&mut self) {
        let mut entry = self.levels.n - 1;
        let mut state = STATES - 1;
        for stretch in (0..self.levels.n).rev() {
            let (samples, first) = self.stretch(stretch);
            for t in (samples.start.max(1)..samples.end).rev() {
                if self.scratch.moved[t * STATES + state] >> (entry - first) & 1 == 1 {
                    if state == 0 {
                        self.boundaries[entry] = t as u32;
                        entry -= 1;
                        state = STATES - 1;
                    } else {
                        state -= 1;
                    }
                }
            }
        }
    }
}

/// One sample: from the last sub-state down, so that each reads its predecessor before it changes.
#[inline(always)]
fn advance<S: Simd, const STATES: usize>(
    costs: &mut [S::Lanes; STATES],
    step: S::Lanes,
    emission: S::Lanes,
    moved: &mut [u16],
) {
    for state in (0..STATES).rev() {
        let from = if state == 0 { step } else { costs[state - 1] };
        moved[state] = S::less(from, costs[state]);
        costs[state] = S::add(S::min(from, costs[state]), emission);
    }
}

#[inline(always)]
fn reset<S: Simd, const STATES: usize>(costs: &mut [S::Lanes; STATES]) {
    let mut least = costs[0];
    for &state in &costs[1..] {
        least = S::min(least, state);
    }
    let least = S::splat(S::least(least));
    for state in costs {
        *state = S::min(S::sub(*state, least), S::splat(UNREACHED));
    }
}
