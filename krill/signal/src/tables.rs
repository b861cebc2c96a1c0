//! Tables of one value per row and column, rows along a molecule, columns measurements of it: each
//! row is held against the columns that are taken as its control. Knows numbers only; called through
//! `krill.tables`.
//!
//! Sums run in an order that does not depend on the vector width of the CPU.

mod footprint;
mod null;

use crate::{Error, Result};

pub use footprint::{Footprint, Shifts, control_center};
pub use null::{Moderation, Standardised, Trend, standardise};

/// `rows x columns`, row-major. A weight of 0 = absent.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    rows: usize,
    values: &'a [f32],
    weight: &'a [f32],
    is_control: &'a [bool],
}

impl<'a> Table<'a> {
    /// Check the shapes; `is_control` has an entry per column.
    pub fn new(rows: usize, values: &'a [f32], weight: &'a [f32], is_control: &'a [bool]) -> Result<Self> {
        let cells = rows * is_control.len();
        if values.len() != cells || weight.len() != cells {
            let problem =
                format!("has {} values for {rows} rows of {} columns", values.len(), is_control.len());
            return Err(Error::Argument { name: "values", problem });
        }
        Ok(Self { rows, values, weight, is_control })
    }

    fn columns(&self) -> usize {
        self.is_control.len()
    }

    /// Values and weights of a row.
    #[inline(always)]
    fn row(&self, row: usize) -> (&'a [f32], &'a [f32]) {
        let cells = row * self.columns()..(row + 1) * self.columns();
        (&self.values[cells.clone()], &self.weight[cells])
    }

    /// Values and weights of the controls that are present in a row.
    #[inline(always)]
    fn controls(&self, row: usize) -> impl Iterator<Item = (f32, f32)> {
        let (values, weight) = self.row(row);
        let all = values.iter().zip(weight).zip(self.is_control);
        all.filter(|((_, weight), is_control)| **is_control && **weight > 0.0).map(|((v, w), _)| (*v, *w))
    }
}

/// Middle value, the mean of both where their number is even; none of nothing.
fn median(values: &mut [f64]) -> Option<f64> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let (below, &mut high, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    let low = below.iter().copied().max_by(f64::total_cmp).filter(|_| n.is_multiple_of(2));
    Some(f64::midpoint(low.unwrap_or(high), high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_few_and_many() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [4.0, 1.0]), Some(2.5));
        assert_eq!(median(&mut [9.0, -1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [5.0, 1.0, 4.0, 2.0]), Some(3.0));
    }
}
