//! The posterior on a grid of samples: boundaries and confidence from it.

use super::simd::LANES;

/// A probability of one, and of a half, as it is stored.
pub(super) const CERTAIN: f32 = 255.0;
const HALF: f32 = 127.5;

/// Posterior on the grid.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Samples from one point to the next.
    grid: usize,
    points: Vec<Point>,
}

/// Posterior at a grid point.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// First entry of the window.
    first: u32,
    /// In 1/255.
    of_lane: [u8; LANES],
}

impl Shares {
    /// Mean posterior probability that an entry's samples are its own.
    pub(super) fn confidence(&self, entry: usize, samples: std::ops::Range<usize>) -> f32 {
        let last = ((samples.end - 1) / self.grid).min(self.points.len() - 1);
        let first = samples.start.div_ceil(self.grid).min(last);
        let points = &self.points[first..=last];
        let sum: u32 = points
            .iter()
            .map(|point| {
                let lane = entry.wrapping_sub(point.first as usize);
                point.of_lane.get(lane).map_or(0, |&share| u32::from(share))
            })
            .sum();
        sum as f32 / (255 * points.len()) as f32
    }

    /// Begin anew: points every `grid` samples, with the first entries of their windows.
    pub(super) fn begin(&mut self, grid: usize, first_entries: impl Iterator<Item = u32>) {
        self.grid = grid;
        self.points.clear();
        self.points.extend(first_entries.map(|first| Point { first, of_lane: [0; LANES] }));
    }

    /// Set the posterior at a point, in units of [`CERTAIN`].
    #[inline(always)]
    pub(super) fn set(&mut self, point: usize, of_lane: [u8; LANES]) {
        self.points[point].of_lane = of_lane;
    }

    /// Walk down the grid and set each entry's boundary to where P(entry reached) passes a half.
    pub(super) fn place(&self, boundaries: &mut [u32]) {
        let grid = self.grid;
        let last = boundaries.len() - 2;
        let mut after = Reached { counts: [255; LANES], first: last };
        let mut highest = last;
        for (point, at) in self.points.iter().enumerate().rev() {
            let before = Reached::new(at);
            let median = before.median();
            for (entry, boundary) in boundaries.iter_mut().enumerate().take(highest + 1).skip(median + 1) {
                let (low, high) = (before.at(entry), after.at(entry));
                let part = if high > low { (HALF - low) / (high - low) } else { 1.0 };
                let within = 1.0 + (grid - 1) as f32 * part.clamp(0.0, 1.0);
                *boundary = (point * grid) as u32 + within as u32;
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
    fn new(point: &Point) -> Self {
        let mut counts = point.of_lane.map(u16::from);
        for i in (0..LANES - 1).rev() {
            counts[i] += counts[i + 1];
        }
        Self { counts, first: point.first as usize }
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
