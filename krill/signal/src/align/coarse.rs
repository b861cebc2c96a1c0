//! First placement: block means, a band that follows the best entry, tempered costs.
//!
//! One step per block of a few samples; each block stays on its entry or moves to the next. Both ends
//! are closed, so every path makes the same number of moves and transitions cost nothing.
//! An event's error is shared by all its samples; the costs are tempered (`TEMPER`) because
//! otherwise one long stall costs so much that the band runs away from it.

use super::levels::Levels;
use crate::isa::Kernel;

/// Samples per block where the read has enough of them.
const LARGEST_BLOCK: usize = 5;

/// The band moves every so many blocks.
const BLOCKS_PER_MOVE: usize = 4;

const UNREACHED: f32 = f32::INFINITY;
const CHUNK: usize = 16;

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

impl Kernel for Coarse<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let block = (self.signal.len() / (6 * self.levels.n)).clamp(1, LARGEST_BLOCK);
        self.scratch.blocks.clear();
        let mean = |samples: &[f32]| samples.iter().sum::<f32>() / block as f32;
        self.scratch.blocks.extend(self.signal.chunks_exact(block).map(mean));
        let weight = block as f32 / (2.0 * (self.band.temper * self.stdv).powi(2));
        forward(self.scratch, self.levels, weight, self.band.width);
        trace_back(self.scratch, self.levels.n, self.band.width, block, self.boundaries);
        self.boundaries.push(self.signal.len() as u32);
    }
}

/// Fill the band's offset and the moves of every block.
#[inline(always)]
fn forward(scratch: &mut Scratch, levels: &Levels, weight: f32, band: usize) {
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
        for first in (0..band).step_by(4 * CHUNK) {
            let mut word = 0;
            for part in 0..4 {
                let i = first + part * CHUNK;
                let chunk =
                    Chunk { stay: &before[i + shift + 1..], step: &before[i + shift..], at: offset + i };
                let bits = chunk.advance(mean, weight, levels, &mut after[i + 1..]);
                word |= u64::from(bits) << (CHUNK * part);
            }
            scratch.moved.push(word);
        }
        std::mem::swap(&mut before, &mut after);
        before[0] = UNREACHED;
        before[band + 1] = UNREACHED;
        if t.is_multiple_of(BLOCKS_PER_MOVE) {
            let (best, least) = best_entry(&before[1..=band]);
            wanted = (offset + best).saturating_sub(band / 2);
            before[1..=band].iter_mut().for_each(|cost| *cost -= least);
        }
    }
}

/// Sixteen cells of one step: what they cost before the block, staying or moving in from below.
struct Chunk<'a> {
    stay: &'a [f32],
    step: &'a [f32],
    at: usize,
}

impl Chunk<'_> {
    /// Write the costs after the block; bit `i` says whether cell `i` was moved into.
    #[inline(always)]
    fn advance(&self, mean: f32, weight: f32, levels: &Levels, after: &mut [f32]) -> u16 {
        let (stay, step, after) = (&self.stay[..CHUNK], &self.step[..CHUNK], &mut after[..CHUNK]);
        let level = &levels.mean[self.at..self.at + CHUNK];
        let ceiling = &levels.ceiling[self.at..self.at + CHUNK];
        let mut bits = 0;
        for i in 0..CHUNK {
            let difference = mean - level[i];
            let cost = weight * (difference * difference).min(ceiling[i]);
            let moves = step[i] < stay[i];
            after[i] = if moves { step[i] } else { stay[i] } + cost;
            bits |= u16::from(moves) << i;
        }
        bits
    }
}

#[inline(always)]
fn best_entry(costs: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::INFINITY);
    for (i, &cost) in costs.iter().enumerate() {
        if cost < best.1 {
            best = (i, cost);
        }
    }
    best
}

fn trace_back(scratch: &Scratch, n: usize, band: usize, block: usize, boundaries: &mut Vec<u32>) {
    boundaries.clear();
    boundaries.resize(n, 0);
    let mut entry = n - 1;
    for t in (1..scratch.blocks.len()).rev() {
        let lane = entry - scratch.offsets[t] as usize;
        let word = scratch.moved[t * (band / 64) + lane / 64];
        if word >> (lane % 64) & 1 == 1 {
            boundaries[entry] = (t * block) as u32;
            entry -= 1;
        }
    }
}
