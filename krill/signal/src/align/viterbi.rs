//! Best path at the resolution of samples, within sixteen entries around the path so far.

use super::lanes::{LANES, Lanes, down, less, load, min, up};
use super::levels::Levels;
use super::moves::Prior;
use crate::isa::Kernel;

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

impl<const STATES: usize> Kernel for Viterbi<'_, STATES> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        self.moved.clear();
        match self.prior {
            Some(prior) => self.forward(|entry, t| prior.penalties(entry, t)),
            None => self.forward(|_, _| [0.0; LANES]),
        }
        self.trace_back();
    }
}

impl<const STATES: usize> Viterbi<'_, STATES> {
    #[inline(always)]
    fn forward(&mut self, penalties: impl Fn(usize, usize) -> Lanes) {
        let mut costs = [[UNREACHED; LANES]; STATES];
        // As if the last sub-state below entry 0 had just been left.
        let mut entering = 0.0;
        let mut window = 0;
        let (mut level, mut ceiling) = (load(&self.levels.mean, 0), load(&self.levels.ceiling, 0));
        for (t, (&sample, &first)) in self.signal.iter().zip(self.first_entries).enumerate() {
            let below = if first as usize == window {
                up(costs[STATES - 1], entering)
            } else {
                window = first as usize;
                level = load(&self.levels.mean, window);
                ceiling = load(&self.levels.ceiling, window);
                let below = costs[STATES - 1];
                costs = costs.map(|state| down(state, UNREACHED));
                below
            };
            entering = UNREACHED;
            let penalty = penalties(window, t);
            let step: Lanes = std::array::from_fn(|i| below[i] + penalty[i]);
            self.moved.push(advance(&mut costs, step, self.emission(sample, level, ceiling)));
            if t.is_multiple_of(SAMPLES_PER_RESET) {
                reset(&mut costs);
            }
        }
    }

    #[inline(always)]
    fn emission(&self, sample: f32, level: Lanes, ceiling: Lanes) -> Lanes {
        std::array::from_fn(|i| {
            let difference = sample - level[i];
            self.weight * (difference * difference).min(ceiling[i])
        })
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
fn advance<const STATES: usize>(costs: &mut [Lanes; STATES], step: Lanes, emission: Lanes) -> [u16; STATES] {
    let mut moved = [0; STATES];
    for state in (0..STATES).rev() {
        let from = if state == 0 { step } else { costs[state - 1] };
        moved[state] = less(from, costs[state]);
        let least = min(from, costs[state]);
        costs[state] = std::array::from_fn(|i| least[i] + emission[i]);
    }
    moved
}

#[inline(always)]
fn reset<const STATES: usize>(costs: &mut [Lanes; STATES]) {
    let least = costs.iter().flatten().copied().fold(UNREACHED, f32::min);
    for cost in costs.iter_mut().flatten() {
        *cost = (*cost - least).min(UNREACHED);
    }
}
