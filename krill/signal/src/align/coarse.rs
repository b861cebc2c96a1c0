//! First placement: block means, a band that follows the best entry, tempered costs.
//!
//! One step per block of a few samples; each block stays on its entry or moves to the next. Both ends
//! are closed, so every path makes the same number of moves and transitions cost nothing.
//! An event's error is shared by all its samples; the costs are tempered (`TEMPER`) because
//! otherwise one long stall costs so much that the band runs away from it.

use super::levels::Levels;
use super::simd::{LANES, LaneKernel, Simd};

/// Samples per block where the read has enough of them.
const LARGEST_BLOCK: usize = 5;

/// The band moves every so many blocks.
const BLOCKS_PER_MOVE: usize = 4;

const UNREACHED: f32 = f32::INFINITY;

/// Bits in a word of the traceback.
const WORD: usize = 64;

/// Widest band.
pub(super) const WIDEST: usize = 256;

/// How far the pass may stray.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    /// Entries in the band; a multiple of 64.
    pub(super) width: usize,
    /// Standard deviations are taken this many times too wide.
    pub(super) temper: f32,
}

/// What every read tries first.
pub(super) const NARROW: Band = Band { width: 128, temper: 2.0 };

/// What it tries when that was no good.
pub(super) const WIDE: Band = Band { width: WIDEST, temper: 3.0 };

/// Memory of the pass, kept between reads.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    blocks: Vec<f32>,
    offsets: Vec<u32>,
    moved: Vec<u64>,
}

/// Places `signal` (model scale) on `levels`; fills the first sample of each entry and the end.
pub(super) struct Coarse<'a> {
    pub(super) signal: &'a [f32],
    pub(super) levels: &'a Levels,
    pub(super) band: Band,
    /// Standard deviation of levels around the model, picoampere.
    pub(super) stdv: f32,
    pub(super) scratch: &'a mut Scratch,
    pub(super) boundaries: &'a mut Vec<u32>,
}

impl LaneKernel for Coarse<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let block = (self.signal.len() / (6 * self.levels.n)).clamp(1, LARGEST_BLOCK);
        self.scratch.blocks.clear();
        let mean = |samples: &[f32]| samples.iter().sum::<f32>() / block as f32;
        self.scratch.blocks.extend(self.signal.chunks_exact(block).map(mean));
        let weight = block as f32 / (2.0 * (self.band.temper * self.stdv).powi(2));
        forward::<S>(self.scratch, self.levels, weight, self.band.width);
        trace_back(self.scratch, self.levels.n, self.band.width, block, self.boundaries);
        self.boundaries.push(self.signal.len() as u32);
    }
}

/// Fill the band's offset and the moves of every block.
#[inline(always)]
fn forward<S: Simd>(scratch: &mut Scratch, levels: &Levels, weight: f32, band: usize) {
    let n_blocks = scratch.blocks.len();
    let last_offset = levels.n.saturating_sub(band);
    let (mut before, mut after) = ([UNREACHED; WIDEST + 2], [UNREACHED; WIDEST + 2]);
    before[0] = 0.0;
    let (mut offset, mut wanted) = (0, 0);
    scratch.offsets.clear();
    scratch.moved.clear();
    for (t, &mean) in scratch.blocks.iter().enumerate() {
        let must = last_offset.saturating_sub(n_blocks - 1 - t);
        let rises = t > 0 && offset < last_offset && (offset < wanted || offset < must);
        let shift = usize::from(rises);
        offset += shift;
        scratch.offsets.push(offset as u32);
        let step = Step { mean, weight, shift, offset, levels };
        for first in (0..band).step_by(WORD) {
            let mut word = 0;
            for part in 0..WORD / LANES {
                let bits = step.advance::<S>(first + part * LANES, &before, &mut after);
                word |= u64::from(bits) << (LANES * part);
            }
            scratch.moved.push(word);
        }
        std::mem::swap(&mut before, &mut after);
        before[0] = UNREACHED;
        before[band + 1] = UNREACHED;
        if t.is_multiple_of(BLOCKS_PER_MOVE) {
            let best = bring_to_zero::<S>(&mut before[1..=band]);
            wanted = (offset + best).saturating_sub(band / 2);
        }
    }
}

/// One block.
struct Step<'a> {
    mean: f32,
    weight: f32,
    /// Entries by which the band has risen since the block before.
    shift: usize,
    offset: usize,
    levels: &'a Levels,
}

impl Step<'_> {
    /// Write the costs of 16 cells after the block; bit `i` says whether cell `i` was moved into.
    /// Cell `i` stands at index `i + 1` of `before` and `after`.
    #[inline(always)]
    fn advance<S: Simd>(&self, first: usize, before: &[f32], after: &mut [f32]) -> u16 {
        let step = S::load(before, first + self.shift);
        let stay = S::load(before, first + self.shift + 1);
        let difference = S::sub(S::splat(self.mean), S::load(&self.levels.mean, self.offset + first));
        let ceiling = S::load(&self.levels.ceiling, self.offset + first);
        let cost = S::mul(S::splat(self.weight), S::min(S::mul(difference, difference), ceiling));
        S::store(S::add(S::min(step, stay), cost), after, first + 1);
        S::less(step, stay)
    }
}

/// Subtract the least cost from all; returns its index.
#[inline(always)]
fn bring_to_zero<S: Simd>(costs: &mut [f32]) -> usize {
    let mut least = S::splat(UNREACHED);
    for i in (0..costs.len()).step_by(LANES) {
        least = S::min(least, S::load(costs, i));
    }
    let mut lanes = [0.0; LANES];
    S::store(least, &mut lanes, 0);
    let least = lanes.iter().copied().fold(UNREACHED, f32::min);
    let mut best = None;
    for i in (0..costs.len()).step_by(LANES) {
        let rest = S::sub(S::load(costs, i), S::splat(least));
        S::store(rest, costs, i);
        let bits = S::less(rest, S::splat(f32::MIN_POSITIVE));
        if best.is_none() && bits != 0 {
            best = Some(i + bits.trailing_zeros() as usize);
        }
    }
    best.unwrap_or(0)
}

fn trace_back(scratch: &Scratch, n: usize, band: usize, block: usize, boundaries: &mut Vec<u32>) {
    boundaries.clear();
    boundaries.resize(n, 0);
    let mut entry = n - 1;
    for t in (1..scratch.blocks.len()).rev() {
        let lane = entry - scratch.offsets[t] as usize;
        let word = scratch.moved[t * (band / WORD) + lane / WORD];
        if word >> (lane % WORD) & 1 == 1 {
            boundaries[entry] = (t * block) as u32;
            entry -= 1;
        }
    }
}
