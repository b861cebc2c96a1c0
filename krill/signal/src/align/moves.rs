//! The basecaller's move table as a soft prior on where entries begin.

use super::fit::{correlation, moments};
use super::path::separate;
use super::scaling::{MAD_TO_STDV, median};
use super::simd::{LANES, Simd};
use super::target::Target;

/// A boundary further than this many widths from its move costs no more.
const LARGEST_PENALTY: f32 = 4.0;

/// Width of the prior, samples: twice the robust spread of path minus moves, within these.
const WIDTH: std::ops::RangeInclusive<f32> = 6.0..=40.0;

/// Entries by which the table may be off.
const MOST_ENTRIES: usize = 6;

/// A table with fewer entries than this inside cannot be told from chance.
const FEWEST_ENTRIES: usize = 16;

/// Correlation of the signal along the table with the levels that shows that it is the read's own.
const LEAST_R: f32 = 0.45;

/// Where each entry is expected to begin. A boundary at sample `t` costs `|t - expected| / width`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prior<'a> {
    expected: &'a [f32],
    per_sample: f32,
}

impl Prior<'_> {
    /// Penalty of entering each entry of the window at sample `t`; a nat costs `unit`.
    #[inline(always)]
    pub(super) fn penalties<S: Simd>(&self, first_entry: usize, t: usize, unit: f32) -> S::Lanes {
        let late = S::sub(S::splat(t as f32), S::load(self.expected, first_entry));
        let zero = S::splat(0.0);
        let distance = S::sub(zero, S::min(late, S::sub(zero, late)));
        S::min(S::mul(distance, S::splat(self.per_sample * unit)), S::splat(LARGEST_PENALTY * unit))
    }
}

/// Memory of the prior, kept between reads.
#[derive(Debug, Default)]
pub(super) struct MoveTable {
    /// Sample at which each base of the read was called, 5' to 3', relative to the aligned signal.
    bases: Vec<f32>,
    /// Sample at which each entry (end pieces included) is expected to begin; padded.
    expected: Vec<f32>,
    width: f32,
    path: Vec<u32>,
    scratch: Vec<f32>,
}

impl MoveTable {
    /// Read the table of one read; false where there is none or it does not fit the basecalls.
    ///
    /// `moves` start at sample `start`; move `i` belongs to base `n_bases - 1 - i`, and the k-mer
    /// around a base is left of its neighbours as far as the target has no called base there.
    pub(super) fn fill(&mut self, moves: &[u8], stride: usize, n_bases: usize, target: &Target) -> bool {
        self.bases.clear();
        let steps = moves.iter().enumerate().filter(|&(_, &step)| step != 0);
        self.bases.extend(steps.map(|(i, _)| (i * stride) as f32));
        if stride == 0 || n_bases == 0 || self.bases.len() != n_bases {
            return false;
        }
        self.bases.reverse();
        self.expected.clear();
        self.expected.push(0.0);
        self.expected.extend(target.read_index.iter().map(|&base| match usize::try_from(base) {
            Ok(base) => self.bases.get(base).copied().unwrap_or(f32::NAN),
            Err(_) => f32::NAN,
        }));
        self.expected.push(f32::NAN);
        interpolate(&mut self.expected, (moves.len() * stride) as f32);
        self.width = *WIDTH.end();
        true
    }

    /// The table as a path: the first sample of each entry, then the end of the signal.
    pub(super) fn as_path(&mut self, n_samples: usize) -> &[u32] {
        self.path.clear();
        self.path.extend(self.expected.iter().map(|&sample| sample.max(0.0) as u32));
        self.path.push(n_samples as u32);
        separate(&mut self.path, 1);
        &self.path
    }

    /// Shift the table by the number of entries that fits the levels best; false if none fits.
    ///
    /// The base that a basecaller reports is not always the one in the middle of the k-mer.
    pub(super) fn register_entries(&mut self, signal: &[f32], level: &[f32]) -> bool {
        self.as_path(signal.len());
        let mean = |pair: &[u32]| moments(&signal[pair[0] as usize..pair[1] as usize]).0;
        self.scratch.clear();
        self.scratch.extend(self.path.windows(2).map(mean));
        let inner = MOST_ENTRIES..self.expected.len().saturating_sub(MOST_ENTRIES);
        if inner.len() < FEWEST_ENTRIES {
            return false;
        }
        let fit = |shift: usize| {
            let seen = &self.scratch[inner.start + shift - MOST_ENTRIES..inner.end + shift - MOST_ENTRIES];
            correlation(seen, &level[inner.clone()])
        };
        let shifts = 0..=2 * MOST_ENTRIES;
        let best = shifts.max_by(|&a, &b| fit(a).total_cmp(&fit(b))).unwrap_or(MOST_ENTRIES);
        let is_good = fit(best) >= LEAST_R;
        let n = self.expected.len();
        if best > MOST_ENTRIES {
            self.expected.copy_within(best - MOST_ENTRIES.., 0);
            self.expected[n - (best - MOST_ENTRIES)..].fill(f32::NAN);
        } else {
            self.expected.copy_within(..n - (MOST_ENTRIES - best), MOST_ENTRIES - best);
            self.expected[1..=MOST_ENTRIES - best].fill(f32::NAN);
            self.expected[0] = 0.0;
        }
        interpolate(&mut self.expected, signal.len() as f32);
        is_good
    }

    /// Shift the table onto a path and take the width of the prior from what remains.
    ///
    /// The shift absorbs the basecaller's register: the base it calls is not the one in the middle
    /// of the k-mer.
    pub(super) fn register(&mut self, boundaries: &[u32]) {
        self.scratch.clear();
        self.scratch.extend(
            boundaries.iter().zip(&self.expected).map(|(&sample, expected)| sample as f32 - expected),
        );
        let shift = median(&mut self.scratch);
        for difference in &mut self.scratch {
            *difference = (*difference - shift).abs();
        }
        self.width = (2.0 * MAD_TO_STDV * median(&mut self.scratch)).clamp(*WIDTH.start(), *WIDTH.end());
        for sample in &mut self.expected {
            *sample += shift;
        }
    }

    /// The prior on `n` entries, padded so that windows may reach beyond the last.
    pub(super) fn prior(&mut self, n_entries: usize) -> Prior<'_> {
        self.expected.resize(n_entries + LANES, f32::MAX);
        Prior { expected: &self.expected, per_sample: 1.0 / self.width }
    }
}

/// Replace runs of NaN by straight lines between their neighbours; `end` is where the signal ends.
fn interpolate(values: &mut [f32], end: f32) {
    let mut known = 0;
    for i in 1..=values.len() {
        let here = values.get(i).copied().unwrap_or(end);
        if here.is_nan() {
            continue;
        }
        let step = (here - values[known]) / (i - known) as f32;
        for j in known + 1..i {
            values[j] = values[j - 1] + step;
        }
        known = i.min(values.len() - 1);
    }
}
