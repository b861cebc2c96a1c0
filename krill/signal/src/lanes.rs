//! Elementwise arithmetic that the compiler turns into vectors, in an order of operations
//! that does not depend on their width.

/// Logical lanes of every loop: two AVX-512 or four AVX2 registers.
pub(crate) const LANES: usize = 32;

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

/// Product of many positive factors as mantissa and exponent: a logarithm paid once.
#[derive(Debug)]
pub(crate) struct Product {
    mantissa: [f32; LANES],
    exponent: [i32; LANES],
    pending: u32,
}

/// Factors multiplied before the exponents are taken off; each may lie in 2^-30 .. 2^30.
const BETWEEN_SPLITS: u32 = 4;

impl Product {
    /// The empty product.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { mantissa: [1.0; LANES], exponent: [0; LANES], pending: 0 }
    }

    /// Multiply lane by lane.
    #[inline(always)]
    pub(crate) fn multiply(&mut self, factor: &[f32; LANES]) {
        for (mantissa, factor) in self.mantissa.iter_mut().zip(factor) {
            *mantissa *= factor;
        }
        self.pending += 1;
        if self.pending == BETWEEN_SPLITS {
            self.split();
        }
    }

    #[inline(always)]
    fn split(&mut self) {
        for i in 0..LANES {
            let bits = self.mantissa[i].to_bits();
            self.exponent[i] += (bits >> 23) as i32 - 127;
            self.mantissa[i] = f32::from_bits((bits & 0x007f_ffff) | 1.0_f32.to_bits());
        }
        self.pending = 0;
    }

    /// Natural logarithm of the whole product.
    #[inline(always)]
    pub(crate) fn ln(mut self) -> f64 {
        self.split();
        let mantissa: f64 = self.mantissa.iter().map(|&m| f64::from(m)).product();
        let exponent: i32 = self.exponent.iter().sum();
        mantissa.ln() + f64::from(exponent) * std::f64::consts::LN_2
    }
}

impl Default for Product {
    fn default() -> Self {
        Self::new()
    }
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
        let mut product = Product::new();
        for _ in 0..1000 {
            product.multiply(&[1e-9; LANES]);
        }
        let want = 1000.0 * LANES as f64 * f64::from(1e-9_f32).ln();
        assert!((product.ln() - want).abs() < 1e-6 * want.abs());
    }
}
