//! Elementwise arithmetic that the compiler turns into vectors, in an order of operations
//! that does not depend on their width.

use std::ops::{Deref, DerefMut};

/// Buffers are padded to a multiple of this many values, but for those that fit into one or two
/// vectors of 16.
const LANES: usize = 64;

/// How many values are computed for `n`.
pub(crate) fn padded(n: usize) -> usize {
    if n <= LANES / 2 { n.next_multiple_of(LANES / 4) } else { n.next_multiple_of(LANES) }
}

/// Values that begin at a cache line: vectors across two of them cost twice.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    start: usize,
}

impl Buffer {
    /// So many zeros.
    pub(crate) fn zeros(length: usize) -> Self {
        const CACHE_LINE: usize = 64;
        let mut values = vec![0.0; length + CACHE_LINE / size_of::<f32>() - 1];
        let start = values.as_ptr().align_offset(CACHE_LINE).min(values.len() - length);
        values.truncate(start + length);
        Self { values, start }
    }

    /// These values, then zeros.
    pub(crate) fn padded(values: &[f32]) -> Self {
        let mut buffer = Self::zeros(padded(values.len()));
        buffer[..values.len()].copy_from_slice(values);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.values[self.start..]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..]
    }
}

/// e^x for x <= 87, relative error below 3e-7; 0 below -87.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "names of the formula")]
pub(crate) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
    let floor = x.max(-87.0);
    let t = floor * std::f32::consts::LOG2_E + MAGIC;
    let n = t - MAGIC;
    // ln 2 in two parts, so that the product with n is exact
    let r = (floor - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits((t.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    if x < -87.0 { 0.0 } else { p * power }
}

/// Logarithm of the product of positive values; they are used up. The length is 0 or a power of
/// two times an odd number, best a multiple of 16.
#[inline(always)]
pub(crate) fn ln_product(values: &mut [f32]) -> f64 {
    let mut exponent = 0_i64;
    let mut length = values.len();
    let mut bound = MOST_MANTISSAS; // each value may be below 2^bound
    while length > 16 && length.is_multiple_of(2) {
        if 2 * bound > MOST_MANTISSAS {
            exponent += take_exponents(&mut values[..length]);
            bound = 1;
        }
        length /= 2;
        let (low, high) = values.split_at_mut(length);
        let high = &high[..length];
        for i in 0..length {
            low[i] *= high[i];
        }
        bound *= 2;
    }
    exponent += take_exponents(&mut values[..length]);
    let mantissa: f64 = values[..length].chunks(512).map(|part| product(part).ln()).sum();
    mantissa + exponent as f64 * std::f64::consts::LN_2
}

/// Mantissas in 1 .. 2 that may be multiplied before the exponents are taken off again.
const MOST_MANTISSAS: u32 = 64;

fn product(mantissas: &[f32]) -> f64 {
    mantissas.iter().map(|&m| f64::from(m)).product()
}

/// Leave the mantissas, in 1 .. 2; return the sum of the exponents.
#[inline(always)]
fn take_exponents(values: &mut [f32]) -> i64 {
    let mut exponent = 0_i32;
    for value in values.iter() {
        exponent += (value.to_bits() >> 23) as i32 - 127;
    }
    for value in values {
        *value = f32::from_bits((value.to_bits() & 0x007f_ffff) | 1.0_f32.to_bits());
    }
    i64::from(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_libm() {
        for i in -8700..=200 {
            let x = i as f32 * 0.01;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 3e-7 * want, "exp({x})");
        }
        assert_eq!(exp(-1000.0), 0.0);
    }

    #[test]
    fn product_of_extreme_factors_keeps_its_logarithm() {
        for n in [0, LANES / 4, LANES / 2, LANES, 31 * LANES, 64 * LANES] {
            for factor in [1e-3_f32, 0.7, 1e9] {
                let want = n as f64 * f64::from(factor).ln();
                let got = ln_product(&mut vec![factor; n]);
                assert!((got - want).abs() <= 1e-6 * want.abs(), "{n} {factor}");
            }
        }
    }
}
