//! Expected current of every k-mer of a base sequence.

use crate::{Error, Result};

/// Code of a base that is not A, C, G, T or U.
pub const AMBIGUOUS: u8 = 4;

/// More ambiguous bases than this in one k-mer give the mean of the whole table.
const MOST_AMBIGUOUS: usize = 3;

/// Borrowed table of a pore model: level of k-mer `i`, base-4 number with the 5' base most significant.
#[derive(Debug, Clone, Copy)]
pub struct PoreModel<'a> {
    /// Bases per k-mer.
    pub kmer_size: usize,
    /// Index of the base under test in the k-mer.
    pub center: usize,
    /// Standard deviation of a sample around its k-mer's level, picoampere, before a read tells its own.
    pub noise: f32,
    levels: &'a [f32],
    mean: f32,
}

impl<'a> PoreModel<'a> {
    /// Check that the table has one level per k-mer.
    pub fn new(kmer_size: usize, center: usize, levels: &'a [f32], noise: f32) -> Result<Self> {
        let fail = |problem: String| Err(Error::Argument { name: "model", problem });
        if !(1..=12).contains(&kmer_size) || center >= kmer_size {
            return fail(format!("has k-mers of {kmer_size} with center {center}"));
        }
        if levels.len() != 1 << (2 * kmer_size) {
            return fail(format!("has {} levels for k-mers of {kmer_size}", levels.len()));
        }
        if !(noise > 0.0 && noise.is_finite()) {
            return fail(format!("has noise of {noise} pA"));
        }
        let mean = levels.iter().map(|&level| f64::from(level)).sum::<f64>() / levels.len() as f64;
        Ok(Self { kmer_size, center, noise, levels, mean: mean as f32 })
    }

    /// Level of the k-mer `codes` (0-3, [`AMBIGUOUS`]): the mean over all readings of ambiguous bases.
    #[must_use]
    pub fn level(&self, codes: &[u8]) -> f32 {
        let index = codes.iter().fold(0_usize, |index, &code| index << 2 | usize::from(code & 3));
        match codes.iter().filter(|&&code| code >= AMBIGUOUS).count() {
            0 => self.levels[index],
            n if n <= MOST_AMBIGUOUS => self.mean_over_readings(codes, n),
            _ => self.mean,
        }
    }

    /// Index of the k-mer that `code` begins, from that of the k-mer one base behind.
    #[must_use]
    pub(crate) const fn index_before(&self, index: usize, code: u8) -> usize {
        index >> 2 | ((code & 3) as usize) << (2 * (self.kmer_size - 1))
    }

    /// Level of a k-mer without ambiguous bases.
    #[must_use]
    pub(crate) fn level_of_index(&self, index: usize) -> f32 {
        self.levels[index]
    }

    fn mean_over_readings(&self, codes: &[u8], n_ambiguous: usize) -> f32 {
        let readings = 1_usize << (2 * n_ambiguous);
        let sum: f32 = (0..readings)
            .map(|mut reading| {
                let index = codes.iter().fold(0, |index, &code| {
                    let digit = if code < AMBIGUOUS {
                        usize::from(code)
                    } else {
                        let digit = reading & 3;
                        reading >>= 2;
                        digit
                    };
                    index << 2 | digit
                });
                self.levels[index]
            })
            .sum();
        sum / readings as f32
    }
}

/// Code of an ASCII base: A 0, C 1, G 2, T and U 3, anything else [`AMBIGUOUS`].
#[must_use]
pub const fn base_code(base: u8) -> u8 {
    match base {
        b'A' | b'a' => 0,
        b'C' | b'c' => 1,
        b'G' | b'g' => 2,
        b'T' | b't' | b'U' | b'u' => 3,
        _ => AMBIGUOUS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_bases_give_the_mean_of_their_readings() {
        let levels: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let model = PoreModel::new(2, 0, &levels, 3.0).expect("valid");
        assert_eq!(model.level(&[1, 2]), 6.0);
        assert_eq!(model.level(&[1, AMBIGUOUS]), 5.5);
        assert_eq!(model.level(&[AMBIGUOUS, 2]), 8.0);
        assert_eq!(model.level(&[AMBIGUOUS, AMBIGUOUS]), 7.5);
    }

    #[test]
    fn a_table_of_the_wrong_size_is_named() {
        let error = PoreModel::new(2, 0, &[0.0; 15], 3.0).expect_err("one level is missing");
        assert_eq!(error.to_string(), "model has 15 levels for k-mers of 2");
    }
}
