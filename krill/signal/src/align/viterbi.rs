//! Best path at the resolution of samples, within sixteen entries around the path so far.

use super::levels::Levels;
use super::moves::Prior;
use super::simd::{LANES, LaneKernel, Simd};

/// Costs are brought back to zero every so many samples, so that single precision suffices.
const SAMPLES_PER_RESET: usize = 256;

const UNREACHED: f32 = 1e30;

/// Each entry takes at least `STATES` samples; replaces `boundaries`.
pub(super) struct Viterbi<'a, const STATES: usize> {
    pub(super) signal: &'a [f32],
    pub(super) levels: &'a Levels,
    /// Cost of a squared picoampere.
    pub(super) weight: f32,
    pub(super) prior: Option<Prior<'a>>,
    pub(super) first_entries: &'a [u32],
    pub(super) moved: &'a mut Vec<[u16; STATES]>,
    pub(super) boundaries: &'a mut [u32],
}

impl<const STATES: usize> LaneKernel for Viterbi<'_, STATES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.moved.clear();
        self.forward::<S>();
        self.trace_back();
    }
}

impl<const STATES: usize> Viterbi<'_, STATES> {
    #[inline(always)]
    fn forward<S: Simd>(&mut self) {
        let mut costs = [S::splat(UNREACHED); STATES];
        // As if the last sub-state below entry 0 had just been left.
        let mut entering = 0.0;
        let mut window = 0;
        let (mut level, mut ceiling) = (S::load(&self.levels.mean, 0), S::load(&self.levels.ceiling, 0));
        let weight = S::splat(self.weight);
        for (t, (&sample, &first)) in self.signal.iter().zip(self.first_entries).enumerate() {
            let below = if first as usize == window {
                S::up(costs[STATES - 1], entering)
            } else {
                window = first as usize;
                level = S::load(&self.levels.mean, window);
                ceiling = S::load(&self.levels.ceiling, window);
                let below = costs[STATES - 1];
                for state in &mut costs {
                    *state = S::down(*state, UNREACHED);
                }
                below
            };
            entering = UNREACHED;
            let step = match self.prior {
                Some(prior) => S::add(below, prior.penalties::<S>(window, t)),
                None => below,
            };
            let difference = S::sub(S::splat(sample), level);
            let emission = S::mul(weight, S::min(S::mul(difference, difference), ceiling));
            self.moved.push(advance::<S, STATES>(&mut costs, step, emission));
            if t.is_multiple_of(SAMPLES_PER_RESET) {
                reset::<S, STATES>(&mut costs);
            }
        }
    }

    fn trace_back(&mut self) {
        let mut entry = self.levels.n - 1;
        let mut state = STATES - 1;
        for t in (1..self.signal.len()).rev() {
            let lane = entry - self.first_entries[t] as usize;
            if self.moved[t][state] >> lane & 1 == 1 {
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

/// One sample: from the last sub-state down, so that each reads its predecessor before it changes.
#[inline(always)]
fn advance<S: Simd, const STATES: usize>(
    costs: &mut [S::Lanes; STATES],
    step: S::Lanes,
    emission: S::Lanes,
) -> [u16; STATES] {
    let mut moved = [0; STATES];
    for state in (0..STATES).rev() {
        let from = if state == 0 { step } else { costs[state - 1] };
        moved[state] = S::less(from, costs[state]);
        costs[state] = S::add(S::min(from, costs[state]), emission);
    }
    moved
}

#[inline(always)]
fn reset<S: Simd, const STATES: usize>(costs: &mut [S::Lanes; STATES]) {
    let mut values = [0.0; LANES];
    let mut least = UNREACHED;
    for &state in costs.iter() {
        S::store(state, &mut values, 0);
        least = values.iter().copied().fold(least, f32::min);
    }
    for state in costs {
        *state = S::min(S::sub(*state, S::splat(least)), S::splat(UNREACHED));
    }
}
