//! Log likelihood that a second component gains, by EM: quick, and comparable between rows
//! that share measurements. Knows numbers only; called through `krill.grid`.

use crate::grid::Measurements;
use crate::isa::{Isa, Kernel};
use crate::lanes::{Buffer, exp, ln_product};
use crate::parallel::map_rows;
use crate::{Error, Result};

/// Where the EM starts and how strongly it holds the shift to zero.
#[derive(Debug, Clone)]
pub struct Starts {
    /// First shifts, in standard deviations of the first group.
    pub shifts: Vec<f32>,
    /// First share of each start.
    pub shares: Vec<f32>,
    /// Variance of the shift's normal prior, in squared units of the values.
    pub shift_variance: f32,
    /// EM steps from each start.
    pub steps: usize,
}

/// Measurements of a row, padded; precision 0 = padding.
struct Row {
    n: usize,
    values: Buffer,
    precision: Buffer,
    other_sum: f32,       // sum of precision * value of the second group
    other_precision: f32, // sum of its precision
}

/// Sums of the first group that one step needs.
#[derive(Default, Clone, Copy)]
struct Sums {
    members: f32,
    precision: f32, // of members
    value: f32,     // precision * value of members
}

/// Buffers of a step.
struct Work {
    member: Buffer,
    mixed: Buffer,
}

impl Row {
    fn of(data: &Measurements<'_>, index: usize) -> Self {
        let (values, precision) = data.first_group(index);
        let (mut sum, mut total) = (0.0, 0.0);
        for (value, h) in data.second_group(index) {
            sum += h * value;
            total += h;
        }
        Self {
            n: values.len(),
            values: Buffer::padded(&values),
            precision: Buffer::padded(&precision),
            other_sum: sum,
            other_precision: total,
        }
    }

    /// Add up members of the shifted component, and the log likelihood ratio of the first group.
    #[inline(always)]
    fn step(&self, (center, shift, share): (f32, f32, f32), work: &mut Work) -> (Sums, f64) {
        let n = self.values.len();
        let (values, precision) = (&self.values[..n], &self.precision[..n]);
        let (member, mixed) = (&mut work.member[..n], &mut work.mixed[..n]);
        for i in 0..n {
            // ln density ratio, held where the exponential stays finite
            let log_ratio = shift * precision[i] * (values[i] - center - 0.5 * shift);
            let weighted = share * exp(log_ratio.clamp(-60.0, 20.0));
            mixed[i] = 1.0 - share + weighted;
            member[i] = weighted / mixed[i];
        }
        member[self.n..].fill(0.0);
        mixed[self.n..].fill(1.0);
        let mut lanes = [[0.0_f32; 3]; 16];
        let blocks = member.chunks_exact(16).zip(values.chunks_exact(16)).zip(precision.chunks_exact(16));
        for ((member, values), precision) in blocks {
            for (i, lane) in lanes.iter_mut().enumerate() {
                let weight = member[i] * precision[i];
                lane[0] += member[i];
                lane[1] += weight;
                lane[2] += weight * values[i];
            }
        }
        let sum = |k: usize| lanes.iter().map(|lane| lane[k]).sum();
        let sums = Sums { members: sum(0), precision: sum(1), value: sum(2) };
        (sums, ln_product(mixed))
    }

    /// Best gain over all starts.
    #[inline(always)]
    fn gain(&self, starts: &Starts) -> f64 {
        let total: f32 = self.precision.iter().sum();
        let pairs = || self.values.iter().zip(self.precision.iter());
        let sum: f32 = pairs().map(|(value, h)| value * h).sum();
        let all = total + self.other_precision;
        if total <= 0.0 || all <= 0.0 {
            return 0.0;
        }
        let pooled = (sum + self.other_sum) / all;
        let mean = sum / total;
        let n = self.n as f32;
        let zeros = || Buffer::zeros(self.values.len());
        let mut work = Work { member: zeros(), mixed: zeros() };
        let square: f32 = pairs().map(|(value, h)| h * (value - mean) * (value - mean)).sum();
        let unit = (square / total).sqrt().max((n / total).sqrt());
        let first_center =
            if self.other_precision > 0.0 { self.other_sum / self.other_precision } else { pooled };
        let mut best = 0.0_f64;
        for (&start, &start_share) in starts.shifts.iter().zip(&starts.shares) {
            let (mut center, mut shift, mut share) = (first_center, start * unit, start_share);
            for _ in 0..starts.steps {
                let (sums, _) = self.step((center, shift, share), &mut work);
                center = (sum + self.other_sum - shift * sums.precision) / all;
                shift =
                    (sums.value - center * sums.precision) / (sums.precision + 1.0 / starts.shift_variance);
                share = ((sums.members + 1e-3) / (n + 2e-3)).clamp(1e-4, 0.9999);
            }
            let (_, ratio) = self.step((center, shift, share), &mut work);
            let moved = self.moved(sum, total, pooled, center);
            let prior = -0.5 * f64::from(shift * shift / starts.shift_variance);
            best = best.max(ratio + moved + prior);
        }
        best
    }

    /// ln likelihood of all measurements without shift, at `center` less at `pooled`.
    fn moved(&self, sum: f32, total: f32, pooled: f32, center: f32) -> f64 {
        let (sum, total) = (f64::from(sum + self.other_sum), f64::from(total + self.other_precision));
        let (pooled, center) = (f64::from(pooled), f64::from(center));
        (center - pooled) * sum - 0.5 * (center * center - pooled * pooled) * total
    }
}

struct GainKernel<'a> {
    row: &'a Row,
    starts: &'a Starts,
}

impl Kernel for GainKernel<'_> {
    type Output = f64;
    #[inline(always)]
    fn run(self) -> f64 {
        self.row.gain(self.starts)
    }
}

impl Starts {
    /// Gain of every row: ln P(data | first group mixed) - ln P(data | nothing shifted), at the best
    /// of the starts, with the prior of the shift; at least 0.
    pub fn gains(&self, data: Measurements<'_>, threads: usize) -> Result<Vec<f64>> {
        if self.shift_variance.is_nan() || self.shift_variance <= 0.0 {
            let problem = format!("must be above 0, not {}", self.shift_variance);
            return Err(Error::Argument { name: "shift_variance", problem });
        }
        let isa = Isa::selected()?;
        map_rows(data.rows(), threads, |i| isa.run(GainKernel { row: &Row::of(&data, i), starts: self }))
    }
}
