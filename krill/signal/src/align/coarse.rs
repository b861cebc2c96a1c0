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

/// Widest band.
pub(super) const WIDEST: usize = 256;

/// How far the pass may stray.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    /// Entries in the band; a multiple of 16.
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
    /// 16 entries of a block each.
    moved: Vec<u16>,
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
        if self.band == NARROW {
            forward::<S, { NARROW.width / LANES }>(self.scratch, self.levels, weight);
        } else {
            forward::<S, { WIDE.width / LANES }>(self.scratch, self.levels, weight);
        }
        trace_back(self.scratch, self.levels.n, self.band.width, block, self.boundaries);
        self.boundaries.push(self.signal.len() as u32);
    }
}

/// Fill the band's offset and the moves of every block; `VECTORS` times 16 is the band's width.
#[inline(always)]
fn forward<S: Simd, const VECTORS: usize>(scratch: &mut Scratch, levels: &Levels, weight: f32) {
    let band = VECTORS * LANES;
    let n_blocks = scratch.blocks.len();
    let last_offset = levels.n.saturating_sub(band);
    let unreached = S::splat(UNREACHED);
    let mut costs = [unreached; VECTORS];
    // As if the entry below the first had just been left.
    let mut below = S::splat(0.0);
    let (mut offset, mut wanted) = (0, 0);
    scratch.offsets.resize(n_blocks, 0);
    scratch.moved.resize(n_blocks * VECTORS, 0);
    let rows = scratch.moved.chunks_exact_mut(VECTORS).zip(&mut scratch.offsets).zip(&scratch.blocks);
    for (t, ((moved, row_offset), &mean)) in rows.enumerate() {
        let must = last_offset.saturating_sub(n_blocks - 1 - t);
        let rises = t > 0 && offset < last_offset && (offset < wanted || offset < must);
        offset += usize::from(rises);
        *row_offset = offset as u32;
        let mean = S::splat(mean);
        let weight = S::splat(weight);
        let (level, ceiling) = (&levels.mean[offset..][..band], &levels.ceiling[offset..][..band]);
        let mut before = below;
        for i in 0..VECTORS {
            let here = costs[i];
            let (step, stay) = if rises {
                (here, S::down_from(here, if i + 1 < VECTORS { costs[i + 1] } else { unreached }))
            } else {
                (S::up_from(here, before), here)
            };
            before = here;
            let difference = S::sub(mean, S::load(level, i * LANES));
            let square = S::min(S::mul(difference, difference), S::load(ceiling, i * LANES));
            costs[i] = S::add(S::min(step, stay), S::mul(weight, square));
            moved[i] = S::less(step, stay);
        }
        below = unreached;
        if t.is_multiple_of(BLOCKS_PER_MOVE) {
            let best = bring_to_zero::<S, VECTORS>(&mut costs);
            wanted = (offset + best).saturating_sub(band / 2);
        }
    }
}

/// Subtract the least cost from all; returns its index.
#[inline(always)]
fn bring_to_zero<S: Simd, const VECTORS: usize>(costs: &mut [S::Lanes; VECTORS]) -> usize {
    let mut least = costs[0];
    for &lanes in &costs[1..] {
        least = S::min(least, lanes);
    }
    let least = S::splat(S::least(least));
    let mut best = 0;
    for i in (0..VECTORS).rev() {
        costs[i] = S::sub(costs[i], least);
        let bits = S::less(costs[i], S::splat(f32::MIN_POSITIVE));
        if bits != 0 {
            best = i * LANES + bits.trailing_zeros() as usize;
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
        let word = scratch.moved[t * (band / LANES) + lane / LANES];
        if word >> (lane % LANES) & 1 == 1 {
            boundaries[entry] = (t * block) as u32;
            entry -= 1;
        }
    }
}
