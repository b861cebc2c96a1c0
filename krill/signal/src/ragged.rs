//! Rows of unequal length in one flat array. Checked once, trusted afterwards.

use crate::{Error, Result};

/// Borrowed values with row offsets: row `i` is `values[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, Copy)]
pub struct Ragged<'a, T> {
    values: &'a [T],
    offsets: &'a [i64],
}

impl<'a, T> Ragged<'a, T> {
    /// Check that the offsets start at 0, never fall and end at the number of values.
    pub fn new(values: &'a [T], offsets: &'a [i64]) -> Result<Self> {
        let fail = |problem: String| Err(Error::Offsets { problem });
        match (offsets.first(), offsets.last()) {
            (None, _) | (_, None) => return fail("are empty; a ragged array of n rows has n + 1".into()),
            (Some(&first), _) if first != 0 => return fail(format!("start at {first}, not at 0")),
            (_, Some(&last)) if last != values.len() as i64 => {
                return fail(format!("end at {last} but there are {} values", values.len()));
            }
            _ => {}
        }
        if let Some(i) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            return fail(format!("fall from {} to {} at row {i}", offsets[i], offsets[i + 1]));
        }
        Ok(Self { values, offsets })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, i: usize) -> &'a [T] {
        &self.values[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_slices_between_offsets() {
        let ragged = Ragged::new(&[1, 2, 3], &[0, 2, 2, 3]).expect("valid");
        assert_eq!((ragged.row(0), ragged.row(1), ragged.row(2)), (&[1, 2][..], &[][..], &[3][..]));
    }

    #[test]
    fn bad_offsets_are_named_with_their_values() {
        let error = Ragged::new(&[1, 2, 3, 4, 5], &[0, 7]).expect_err("too long");
        assert_eq!(error.to_string(), "offsets end at 7 but there are 5 values");
        let error = Ragged::new(&[1, 2], &[0, 2, 1, 2]).expect_err("falls");
        assert_eq!(error.to_string(), "offsets fall from 2 to 1 at row 1");
        let error = Ragged::<u8>::new(&[], &[]).expect_err("empty");
        assert_eq!(error.to_string(), "offsets are empty; a ragged array of n rows has n + 1");
    }
}
