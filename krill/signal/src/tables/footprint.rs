//! A shift that shows in several rows at once: one number of known precision per row and column.

use super::{Table, median};
use crate::isa::{Isa, Kernel};
use crate::{Error, Result};

/// Shares of a shift in the rows around it, and what its precision is worth.
#[derive(Debug, Clone)]
pub struct Footprint {
    /// Share of the shift in rows `-n ..= n`.
    pub shares: Vec<f32>,
    /// Least share of the full footprint's precision.
    pub least_precision: f32,
    /// Columns that the noise of all rows is worth beside the row's own controls.
    pub prior: f64,
}

/// What [`Footprint::shifts`] returns, each `rows x columns`.
#[derive(Debug, Default, Clone)]
pub struct Shifts {
    /// In the unit of the spread; 0 where absent.
    pub value: Vec<f32>,
    /// 1 / variance; 0 = absent.
    pub precision: Vec<f32>,
    /// The same before each row's own noise.
    pub plain_precision: Vec<f32>,
}

/// Squared control shifts count up to so much in the noise of all rows, and in that of one.
const MOST_SQUARE: f32 = 16.0;
const MOST_SQUARE_OF_ROW: f32 = 9.0;

impl Footprint {
    /// Match the footprint to standardised values; `spread` is that of each row.
    pub fn shifts(&self, standard: Table<'_>, spread: &[f32]) -> Result<Shifts> {
        let fail = |name, problem: String| Err(Error::Argument { name, problem });
        if spread.len() != standard.rows {
            return fail("spread", format!("has {} entries for {} rows", spread.len(), standard.rows));
        }
        if self.shares.len().is_multiple_of(2) {
            return fail("shares", format!("are {}: an odd number has a middle", self.shares.len()));
        }
        let mut out = Isa::selected()?.run(Matching { footprint: self, standard, spread });
        let Table { rows, is_control, .. } = standard;
        let matched = Table { rows, values: &out.value, weight: &out.precision, is_control };
        let noise = (0..rows).filter_map(|row| mean_square(&matched, row, 0.0, MOST_SQUARE));
        let noise = median(&mut noise.collect::<Vec<_>>()).unwrap_or(1.0);
        let scale = if noise > 0.0 { (1.0 / noise) as f32 } else { 1.0 };
        out.plain_precision = out.precision.iter().map(|precision| precision * scale).collect();
        let scaled = Table { rows, values: &out.value, weight: &out.plain_precision, is_control };
        let columns = standard.columns();
        for (row, scale) in self.row_scales(&scaled).into_iter().enumerate() {
            let cells = row * columns..(row + 1) * columns;
            for (precision, plain) in out.precision[cells.clone()].iter_mut().zip(&out.plain_precision[cells])
            {
                *precision = plain * scale;
            }
        }
        Ok(out)
    }

    /// 1 / noise of each row, shrunken to the median over rows.
    fn row_scales(&self, shifts: &Table<'_>) -> Vec<f32> {
        let squares: Vec<_> = (0..shifts.rows)
            .map(|row| mean_square(shifts, row, mean(shifts, row, |_, h| h).0, MOST_SQUARE_OF_ROW))
            .collect();
        let median = median(&mut squares.iter().flatten().copied().collect::<Vec<_>>()).unwrap_or(1.0);
        let scale = |(row, square): (usize, &Option<f64>)| {
            let n = shifts.controls(row).count() as f64;
            let noise = (self.prior * median + n * square.unwrap_or(0.0)) / (self.prior + n);
            (1.0 / noise.max(1e-6)) as f32
        };
        squares.iter().enumerate().map(scale).collect()
    }
}

/// Shifts, with precisions as if standardised values had a variance of 1.
struct Matching<'a> {
    footprint: &'a Footprint,
    standard: Table<'a>,
    spread: &'a [f32],
}

impl Kernel for Matching<'_> {
    type Output = Shifts;
    #[inline(always)]
    fn run(self) -> Shifts {
        let (rows, columns) = (self.standard.rows, self.standard.columns());
        let middle = self.footprint.shares.len() / 2;
        let (mut value, mut precision) = (vec![0.0_f32; rows * columns], vec![0.0_f32; rows * columns]);
        for row in 0..rows {
            let cells = row * columns..(row + 1) * columns;
            let (value, precision) = (&mut value[cells.clone()], &mut precision[cells]);
            let mut full = 0.0;
            for (place, &share) in self.footprint.shares.iter().enumerate() {
                let Some(there) = (row + place).checked_sub(middle).filter(|there| *there < rows) else {
                    continue;
                };
                let (z, weight) = self.standard.row(there);
                let factor = share / self.spread[there];
                for i in 0..columns {
                    value[i] += factor * weight[i] * z[i];
                    precision[i] += factor * factor * weight[i];
                }
                full += factor * factor;
            }
            let least = self.footprint.least_precision * full;
            for i in 0..columns {
                let is_kept = precision[i] >= least && precision[i] > 0.0;
                value[i] = if is_kept { value[i] / precision[i] } else { 0.0 };
                precision[i] = if is_kept { precision[i] } else { 0.0 };
            }
        }
        Shifts { value, precision, plain_precision: vec![] }
    }
}

/// Mean squared deviation of a row's controls from `center` in units of their precision, each at most
/// `most`; none without controls.
fn mean_square(shifts: &Table<'_>, row: usize, center: f32, most: f32) -> Option<f64> {
    let squares = shifts.controls(row).map(|(y, h)| f64::from(((y - center) * (y - center) * h).min(most)));
    let (sum, n) = squares.fold((0.0, 0_usize), |(sum, n), square| (sum + square, n + 1));
    (n > 0).then(|| sum / n as f64)
}

/// Weighted mean of a row's controls and the sum of their weights; 0 without controls.
fn mean(shifts: &Table<'_>, row: usize, weight: impl Fn(f32, f32) -> f32) -> (f32, f32) {
    let (sum, total) = shifts.controls(row).fold((0.0, 0.0), |(sum, total), (y, h)| {
        let weight = weight(y, h);
        (sum + weight * y, total + weight)
    });
    (sum / f32::max(total, 1e-12), total)
}

/// Standard deviations beyond which a control weighs less, and what that adds to the mean's variance.
const ROBUST_SD: f32 = 2.0;
const ROBUST_VARIANCE: f32 = 1.1;

/// Mean of the controls of each row, one robust step, and its standard error; weights are precisions.
/// 0 and 1 without controls.
#[must_use]
pub fn control_center(shifts: Table<'_>) -> (Vec<f32>, Vec<f32>) {
    let of_row = |row: usize| {
        let (first, total) = mean(&shifts, row, |_, h| h);
        if total <= 0.0 {
            return (0.0, 1.0);
        }
        let robust = |y: f32, h: f32| h * (ROBUST_SD / ((y - first).abs() * h.sqrt()).max(1e-6)).min(1.0);
        let (center, total) = mean(&shifts, row, robust);
        (center, (ROBUST_VARIANCE / total.max(1e-12)).sqrt())
    };
    (0..shifts.rows).map(of_row).unzip()
}
