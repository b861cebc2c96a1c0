//! From stored signal to the scale of the pore model.

use crate::isa::{Isa, Kernel};

/// Every how many samples one is taken where order statistics suffice.
const THINNING: usize = 7;

/// About so many values are enough where order statistics are taken.
pub(super) const SORTED: usize = 500;

/// Samples further than this many robust standard deviations from the median are pulled in.
const WINSOR: f32 = 5.0;

/// From median absolute deviation to standard deviation of a normal distribution.
pub(super) const MAD_TO_STDV: f32 = 1.4826;

/// model level = (pA - shift - drift (t / T - 0.5)) / scale, t counted in the whole signal of T samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scaling {
    pub(super) scale: f32,
    pub(super) shift: f32,
    pub(super) drift: f32,
}

impl Scaling {
    /// This scaling followed by `next`, which was fitted to signal that this one had scaled.
    pub(super) fn then(self, next: Self) -> Self {
        Self {
            scale: self.scale * next.scale,
            shift: self.shift + self.scale * next.shift,
            drift: self.drift + self.scale * next.drift,
        }
    }

    /// Whether a pore could have done this: no inversion, no blow-up, only numbers.
    pub(super) fn is_plausible(self) -> bool {
        (0.2..5.0).contains(&self.scale) && self.shift.abs() < 1000.0 && self.drift.abs() < 100.0
    }
}

/// Scales the samples from `start` on of a signal of `total` samples.
pub(super) struct Rescale<'a> {
    pub(super) scaling: Scaling,
    pub(super) signal_pa: &'a [f32],
    pub(super) start: usize,
    pub(super) total: usize,
    pub(super) scaled: &'a mut Vec<f32>,
}

impl Kernel for Rescale<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Scaling { scale, shift, drift } = self.scaling;
        let per_sample = drift / self.total as f32;
        let shift = shift - 0.5 * drift + per_sample * self.start as f32;
        let factor = 1.0 / scale;
        self.scaled.resize(self.signal_pa.len(), 0.0);
        for (i, (scaled, &pa)) in (0_i32..).zip(self.scaled.iter_mut().zip(self.signal_pa)) {
            *scaled = (pa - shift - per_sample * i as f32) * factor;
        }
    }
}

/// Turns stored current into picoampere.
pub(super) struct Calibrate<'a> {
    pub(super) signal: &'a [i16],
    pub(super) offset: f32,
    pub(super) scale_pa: f32,
    pub(super) signal_pa: &'a mut Vec<f32>,
}

impl Kernel for Calibrate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.signal_pa.resize(self.signal.len(), 0.0);
        for (pa, &adc) in self.signal_pa.iter_mut().zip(self.signal) {
            *pa = (f32::from(adc) + self.offset) * self.scale_pa;
        }
    }
}

/// Pulls values in between two bounds.
struct Clamp<'a> {
    values: &'a mut [f32],
    low: f32,
    high: f32,
}

impl Kernel for Clamp<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.values {
            *value = value.max(self.low).min(self.high);
        }
    }
}

/// Pull outliers (spikes, saturation) in, in place, by what lies from `start` on; returns the robust
/// standard deviation of that.
pub(super) fn winsorise(signal_pa: &mut [f32], start: usize, isa: Isa, scratch: &mut Vec<f32>) -> f32 {
    scratch.clear();
    scratch.extend(signal_pa[start..].iter().step_by(THINNING));
    let middle = median(scratch);
    for value in scratch.iter_mut() {
        *value = (*value - middle).abs();
    }
    let stdv = MAD_TO_STDV * median(scratch);
    let (low, high) = (middle - WINSOR * stdv, middle + WINSOR * stdv);
    isa.run(Clamp { values: signal_pa, low, high });
    stdv
}

/// Line through the deciles of the signal and of the levels it was made by.
pub(super) fn from_quantiles(signal_pa: &[f32], levels: &[f32], scratch: &mut Vec<f32>) -> Scaling {
    let signal = deciles(signal_pa.iter().step_by((signal_pa.len() / SORTED).max(1)), scratch);
    let model = deciles(levels.iter().step_by((levels.len() / SORTED).max(1)), scratch);
    let mean = |values: &[f32; 9]| values.iter().sum::<f32>() / 9.0;
    let (mean_signal, mean_model) = (mean(&signal), mean(&model));
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (y, x) in signal.iter().zip(&model) {
        covariance += (y - mean_signal) * (x - mean_model);
        variance += (x - mean_model).powi(2);
    }
    let scale = covariance / variance.max(f32::MIN_POSITIVE);
    Scaling { scale, shift: mean_signal - scale * mean_model, drift: 0.0 }
}

fn deciles<'a>(values: impl Iterator<Item = &'a f32>, scratch: &mut Vec<f32>) -> [f32; 9] {
    scratch.clear();
    scratch.extend(values);
    scratch.sort_unstable_by(f32::total_cmp);
    std::array::from_fn(|i| scratch[(scratch.len() - 1) * (i + 1) / 10])
}

/// Median (the upper of two middle values); reorders the values. 0 if there is none.
pub(super) fn median(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalings_compose() {
        let first = Scaling { scale: 2.0, shift: 3.0, drift: 1.0 };
        let next = Scaling { scale: 1.5, shift: -1.0, drift: 0.5 };
        let signal = [80.0, 90.0, 100.0, 110.0];
        let apply = |scaling, signal_pa: &[f32]| {
            let mut scaled = Vec::new();
            Rescale { scaling, signal_pa, start: 2, total: 8, scaled: &mut scaled }.run();
            scaled
        };
        let (expected, twice) = (apply(next, &apply(first, &signal)), apply(first.then(next), &signal));
        for (expected, got) in expected.iter().zip(&twice) {
            assert!((expected - got).abs() < 1e-4, "{expected} {got}");
        }
    }

    #[test]
    fn deciles_recover_scale_and_shift() {
        let levels: Vec<f32> = (0..500).map(|i| 80.0 + 20.0 * (i as f32 * 0.7).sin()).collect();
        let signal: Vec<f32> = levels.iter().flat_map(|level| [1.1 * level - 6.0; 20]).collect();
        let found = from_quantiles(&signal, &levels, &mut Vec::new());
        assert!((found.scale - 1.1).abs() < 0.02 && (found.shift + 6.0).abs() < 2.0, "{found:?}");
    }
}
