//! Likelihoods as products of many factors, beyond what an `f64` holds, for all shares of a grid side
//! by side: no logarithm is taken before everything is summed.

/// Shares that are computed together; a grid is cut into blocks of so many.
pub(super) const LANES: usize = 16;

/// Factors, each below 2^127 and above 2^-120, that a mantissa takes before its exponent is taken off.
const MOST_FACTORS: usize = 8;

/// `mantissa * 2^exponent`, not below 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scaled {
    mantissa: f64,
    exponent: i64,
}

impl Scaled {
    pub(super) const ZERO: Self = Self { mantissa: 0.0, exponent: i64::MIN / 4 };

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        Self { mantissa: self.mantissa * other.mantissa, exponent: self.exponent + other.exponent }.tidy()
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        let exponent = self.exponent.max(other.exponent);
        let part = |one: Self| one.mantissa * power_of_two(one.exponent - exponent);
        Self { mantissa: part(self) + part(other), exponent }.tidy()
    }

    pub(super) fn ln(self) -> f64 {
        if self.mantissa == 0.0 {
            return f64::NEG_INFINITY;
        }
        self.mantissa.ln() + self.exponent as f64 * std::f64::consts::LN_2
    }

    /// The same number with its mantissa in 1 .. 2.
    #[inline(always)]
    fn tidy(self) -> Self {
        if self.mantissa == 0.0 {
            return Self::ZERO;
        }
        let (mantissa, exponent) = split(self.mantissa);
        Self { mantissa, exponent: self.exponent + exponent }
    }
}

/// One number for each of [`LANES`] shares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Products {
    mantissa: [f64; LANES],
    exponent: [i64; LANES],
}

impl Products {
    /// The product of `1 + share * excess` over all of `excess`.
    #[inline(always)]
    pub(super) fn of(shares: &[f64; LANES], excess: &[f32]) -> Self {
        let mut out = Self { mantissa: [1.0; LANES], exponent: [0; LANES] };
        for part in excess.chunks(MOST_FACTORS) {
            for &one in part {
                let one = f64::from(one);
                for (mantissa, share) in out.mantissa.iter_mut().zip(shares) {
                    *mantissa *= 1.0 + share * one;
                }
            }
            out.tidy();
        }
        out
    }

    #[inline(always)]
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut out = *self;
        for lane in 0..LANES {
            out.mantissa[lane] *= other.mantissa[lane];
            out.exponent[lane] += other.exponent[lane];
        }
        out
    }

    /// Sum of all numbers, each times its weight.
    #[inline(always)]
    pub(super) fn sum(&self, weights: &[f64; LANES]) -> Scaled {
        let exponent = self.exponent.iter().copied().fold(i64::MIN, i64::max);
        let mut terms = [0.0; LANES];
        for (lane, term) in terms.iter_mut().enumerate() {
            *term = weights[lane] * (self.mantissa[lane] * power_of_two(self.exponent[lane] - exponent));
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                terms[lane] += terms[lane + width];
            }
            width /= 2;
        }
        Scaled { mantissa: terms[0], exponent }.tidy()
    }

    /// Natural logarithms.
    pub(super) fn ln(&self) -> impl Iterator<Item = f64> {
        let lanes = self.mantissa.into_iter().zip(self.exponent);
        lanes.map(|(mantissa, exponent)| Scaled { mantissa, exponent }.ln())
    }

    #[inline(always)]
    fn tidy(&mut self) {
        for (mantissa, exponent) in self.mantissa.iter_mut().zip(&mut self.exponent) {
            let (tidy, taken) = split(*mantissa);
            *mantissa = tidy;
            *exponent += taken;
        }
    }
}

/// Mantissa in 1 .. 2 and exponent of a positive normal number.
#[inline(always)]
fn split(value: f64) -> (f64, i64) {
    let bits = value.to_bits();
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 1.0_f64.to_bits());
    (mantissa, (bits >> 52) as i64 - 1023)
}

/// 2^n for n <= 0; 0 where that is no normal number.
#[inline(always)]
fn power_of_two(n: i64) -> f64 {
    let bits = (n.max(-1023) + 1023) << 52;
    f64::from_bits(bits as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_extreme_factors_keep_their_logarithms() {
        let mut shares = [0.0; LANES];
        for (lane, share) in shares.iter_mut().enumerate() {
            *share = lane as f64 / LANES as f64;
        }
        for n in [0, 1, MOST_FACTORS - 1, MOST_FACTORS, MOST_FACTORS + 1, 300, 4097] {
            for excess in [-1.0_f32, -0.3, 0.0, 1e3, 8e37] {
                let got = Products::of(&shares, &vec![excess; n]);
                for (share, got) in shares.iter().zip(got.ln()) {
                    let want = n as f64 * (share * f64::from(excess)).ln_1p();
                    assert!((got - want).abs() <= 1e-12 * want.abs() + 1e-12 * n as f64, "{n} {excess}");
                }
            }
        }
    }

    #[test]
    fn sums_of_numbers_far_apart_are_their_largest() {
        let shares = std::array::from_fn(|lane| if lane == 3 { 0.5 } else { 0.0 });
        let far = Products::of(&shares, &[1e30; 100]);
        let mut weights = [0.5; LANES];
        assert!((far.sum(&weights).ln() - (100.0 * 5e29_f64.ln() + 0.5_f64.ln())).abs() < 1e-3);
        weights[3] = 0.0;
        assert_eq!(Products::of(&shares, &[]).sum(&weights).ln(), 7.5_f64.ln());
        assert_eq!(far.times(&far).sum(&[0.0; LANES]).ln(), f64::NEG_INFINITY);
    }

    #[test]
    fn scaled_numbers_add_and_multiply() {
        let is_ln = |got: Scaled, want: f64| (got.ln() - want.ln()).abs() < 1e-15;
        let one = Scaled { mantissa: 1.0, exponent: 0 };
        let three = one.plus(one).plus(one);
        assert!(is_ln(three, 3.0));
        assert!(is_ln(three.times(three), 9.0));
        assert!(is_ln(Scaled::ZERO.plus(three), 3.0));
        assert_eq!(Scaled::ZERO.times(three).ln(), f64::NEG_INFINITY);
        let huge = Scaled { mantissa: 1.5, exponent: 1 << 40 };
        assert_eq!(huge.plus(three).ln(), huge.ln());
    }
}
