//! What a placement says about scale and noise, and whether it is any good.

use super::scaling::{MAD_TO_STDV, SORTED, Scaling, median};
use crate::isa::Kernel;

/// Entries with fewer or more samples than this say little about their level.
const USABLE_DWELL: std::ops::RangeInclusive<u32> = 6..=300;

/// With fewer usable entries the scaling is left as it is.
const FEWEST_USABLE: usize = 30;

/// Residuals beyond this many standard deviations lose weight.
const HUBER: f64 = 1.5;

const ITERATIONS: usize = 3;

/// Drift over a read, picoampere; keeps short reads from finding more.
const EXPECTED_DRIFT: f64 = 2.0;

/// Noise is never taken to be below this, picoampere.
const LEAST_NOISE: f32 = 0.5;

/// Entries over which the worst stretch of a read is judged, and their step.
const STRETCH: usize = 100;

/// Mean and spread of the samples on each entry.
#[derive(Debug, Default)]
pub(super) struct Moments {
    /// Mean, model scale.
    pub(super) mean: Vec<f32>,
    /// Variance.
    pub(super) variance: Vec<f32>,
}

impl Moments {
    /// What they become when the signal is scaled by `step` (drift within an entry is nothing).
    pub(super) fn rescale(&mut self, step: Scaling, boundaries: &[u32], start: usize, total: usize) {
        let factor = 1.0 / step.scale;
        for ((mean, variance), pair) in
            self.mean.iter_mut().zip(&mut self.variance).zip(boundaries.windows(2))
        {
            let middle = start as f32 + (pair[0] + pair[1] - 1) as f32 * 0.5;
            *mean = (*mean - step.shift - step.drift * (middle / total as f32 - 0.5)) * factor;
            *variance *= factor * factor;
        }
    }
}

/// Fills the moments of every entry.
pub(super) struct Measure<'a> {
    pub(super) signal: &'a [f32],
    pub(super) boundaries: &'a [u32],
    pub(super) moments: &'a mut Moments,
}

impl Kernel for Measure<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.moments.mean.clear();
        self.moments.variance.clear();
        for pair in self.boundaries.windows(2) {
            let (mean, variance) = moments(&self.signal[pair[0] as usize..pair[1] as usize]);
            self.moments.mean.push(mean);
            self.moments.variance.push(variance);
        }
    }
}

/// Partial sums that are kept apart, so that additions need not wait for each other.
const PARTS: usize = 8;

/// Mean and variance of a few samples.
#[inline(always)]
pub(super) fn moments(samples: &[f32]) -> (f32, f32) {
    let Some(&origin) = samples.first() else { return (0.0, 0.0) };
    let (mut sums, mut squares) = ([0.0_f32; PARTS], [0.0_f32; PARTS]);
    let chunks = samples.chunks_exact(PARTS);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..PARTS {
            let difference = chunk[i] - origin;
            sums[i] += difference;
            squares[i] += difference * difference;
        }
    }
    let (mut sum, mut square) = (sums.iter().sum::<f32>(), squares.iter().sum::<f32>());
    for sample in rest {
        let difference = sample - origin;
        sum += difference;
        square += difference * difference;
    }
    let n = samples.len() as f32;
    let mean = sum / n;
    (origin + mean, (square / n - mean * mean).max(0.0))
}

/// Noise of a read on the model's scale, picoampere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// Standard deviation of an event's level around the model.
    pub(super) level: f32,
    /// Standard deviation of a sample around its event's level.
    pub(super) sample: f32,
}

impl Noise {
    /// Variance of a sample around its model level.
    pub(super) fn variance(self) -> f32 {
        self.level.powi(2) + self.sample.powi(2)
    }
}

/// How well a placement fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quality {
    /// Correlation of level means with the model.
    pub(super) r: f32,
    /// The lowest of that in stretches of [`STRETCH`] entries.
    pub(super) worst_r: f32,
    /// Share of entries with at most three samples.
    pub(super) short: f32,
}

impl Quality {
    /// Good enough that nothing else need be tried.
    pub(super) fn is_beyond_doubt(self) -> bool {
        self.r >= 0.92 && self.worst_r >= 0.75 && self.short <= 0.35
    }

    /// Good enough to be handed on. Along a move table a path has less freedom to fit a wrong reference.
    pub(super) fn is_acceptable(self, with_moves: bool) -> bool {
        self.r >= if with_moves { 0.65 } else { 0.9 } && self.worst_r >= 0.4 && self.short <= 0.4
    }
}

/// Memory of the fit, kept between reads.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    rows: Vec<Row>,
    residuals: Vec<f32>,
    means: Vec<f32>,
    levels: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    level: f64,
    time: f64,
    mean: f64,
}

/// What a fit looks at; one value per entry in each.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) level: &'a [f32],
    /// Of the entries between the end pieces; negative where an entry only anchors.
    pub(super) position: &'a [i32],
    pub(super) boundaries: &'a [u32],
    pub(super) moments: &'a Moments,
    /// First sample of the placed signal in the whole, and the samples of the whole.
    pub(super) start: usize,
    pub(super) total: usize,
}

impl Placed<'_> {
    /// Entries that are reported; the others may be anything.
    fn entries(&self) -> impl Iterator<Item = usize> {
        (1..self.boundaries.len() - 2).filter(|&entry| self.position[entry - 1] >= 0)
    }

    fn dwell(&self, entry: usize) -> u32 {
        self.boundaries[entry + 1] - self.boundaries[entry]
    }

    /// Regress means on levels and time, robustly; and measure the noise that remains.
    pub(super) fn fit(&self, drift_so_far: f32, scratch: &mut Scratch) -> Option<(Scaling, Noise)> {
        scratch.rows.clear();
        scratch.residuals.clear();
        for entry in self.entries().filter(|&entry| USABLE_DWELL.contains(&self.dwell(entry))) {
            let middle =
                self.start as f64 + f64::from(self.boundaries[entry] + self.boundaries[entry + 1]) / 2.0;
            scratch.rows.push(Row {
                level: f64::from(self.level[entry]),
                time: middle / self.total as f64 - 0.5,
                mean: f64::from(self.moments.mean[entry]),
            });
            scratch.residuals.push(self.moments.variance[entry]);
        }
        if scratch.rows.len() < FEWEST_USABLE {
            return None;
        }
        let sample_variance = median(&mut scratch.residuals);
        let (line, level_noise) = huber(&scratch.rows, f64::from(drift_so_far), &mut scratch.residuals)?;
        let [scale, shift, drift] = line.map(|value| value as f32);
        let noise = Noise {
            level: (level_noise / scale.abs()).max(LEAST_NOISE),
            sample: (sample_variance.sqrt() / scale.abs()).max(LEAST_NOISE),
        };
        Some((Scaling { scale, shift, drift }, noise))
    }

    /// Judge the placement.
    pub(super) fn quality(&self, scratch: &mut Scratch) -> Quality {
        let Scratch { means, levels, .. } = scratch;
        means.clear();
        levels.clear();
        means.extend(self.entries().map(|entry| self.moments.mean[entry]));
        levels.extend(self.entries().map(|entry| self.level[entry]));
        let n = means.len();
        let short = self.entries().filter(|&entry| self.dwell(entry) <= 3).count();
        let stretches =
            (0..n.saturating_sub(STRETCH)).step_by(STRETCH / 2).map(|first| first..first + STRETCH);
        let r = correlation(means, levels);
        let worst_r =
            stretches.map(|stretch| correlation(&means[stretch.clone()], &levels[stretch])).fold(r, f32::min);
        Quality { r, worst_r, short: short as f32 / n as f32 }
    }
}

/// Pearson correlation; 0 where one side is constant.
pub(super) fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len() as f64;
    let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a) - mean_a, f64::from(b) - mean_b);
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    if aa * bb > 0.0 { (ab / (aa * bb).sqrt()) as f32 } else { 0.0 }
}

/// Line `mean = scale * level + shift + drift * time` by iterated weights; and the robust residual.
fn huber(rows: &[Row], drift_so_far: f64, residuals: &mut Vec<f32>) -> Option<([f64; 3], f32)> {
    let mut line = [1.0, 0.0, 0.0];
    let mut stdv = residual_stdv(rows, line, residuals, true);
    for _ in 0..ITERATIONS {
        let limit = HUBER * f64::from(stdv);
        let mut normal = [[0.0; 4]; 3];
        for row in rows {
            let residual = residual(row, line).abs();
            let weight = if residual <= limit { 1.0 } else { limit / residual };
            let (level, time) = (weight * row.level, weight * row.time);
            let upper = [
                [level * row.level, level, level * row.time, level * row.mean],
                [0.0, weight, time, weight * row.mean],
                [0.0, 0.0, time * row.time, time * row.mean],
            ];
            for i in 0..3 {
                for j in i..4 {
                    normal[i][j] += upper[i][j];
                }
            }
        }
        (normal[1][0], normal[2][0], normal[2][1]) = (normal[0][1], normal[0][2], normal[1][2]);
        let prior = (f64::from(stdv) / EXPECTED_DRIFT).powi(2);
        normal[2][2] += prior;
        normal[2][3] -= prior * drift_so_far;
        line = solve(normal)?;
        stdv = residual_stdv(rows, line, residuals, false);
    }
    Some((line, stdv))
}

fn residual(row: &Row, line: [f64; 3]) -> f64 {
    row.mean - line[0] * row.level - line[1] - line[2] * row.time
}

/// Robust standard deviation of the residuals, around their median where `is_centered`.
fn residual_stdv(rows: &[Row], line: [f64; 3], residuals: &mut Vec<f32>, is_centered: bool) -> f32 {
    residuals.clear();
    let thinned = rows.iter().step_by((rows.len() / SORTED).max(1));
    residuals.extend(thinned.map(|row| residual(row, line) as f32));
    let middle = if is_centered { median(residuals) } else { 0.0 };
    for residual in residuals.iter_mut() {
        *residual = (*residual - middle).abs();
    }
    MAD_TO_STDV * median(residuals)
}

/// Solve three equations by elimination with pivots; `None` where they are not independent.
fn solve(mut normal: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for column in 0..3 {
        let pivot =
            (column..3).max_by(|&a, &b| normal[a][column].abs().total_cmp(&normal[b][column].abs()))?;
        normal.swap(column, pivot);
        if normal[column][column].abs() < 1e-9 {
            return None;
        }
        for row in (0..3).filter(|&row| row != column) {
            let factor = normal[row][column] / normal[column][column];
            let pivot_row = normal[column];
            for (value, pivot) in normal[row].iter_mut().zip(pivot_row).skip(column) {
                *value -= factor * pivot;
            }
        }
    }
    Some(std::array::from_fn(|i| normal[i][3] / normal[i][i]))
}
