//! Which vector instructions the kernels run with.
//!
//! A kernel is written once, as plain loops over fixed-size arrays, and compiled once per
//! instruction set: [`Isa::run`] inlines it into a function that enables the features. Rust never
//! contracts a multiplication and an addition by itself, so all of them give the same bits unless a
//! kernel asks for fused ones. `KRILL_ISA=portable|avx2|avx512` forces one that the processor has.

use crate::{Error, Result};

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What every processor of the architecture has (SSE2, NEON); `portable` in `KRILL_ISA`.
    Scalar,
    /// 256-bit vectors and fused multiply-add.
    Avx2,
    /// 512-bit vectors with mask registers and fused multiply-add.
    Avx512,
}

/// A computation that is compiled once per instruction set; mark `run` `#[inline(always)]`.
pub trait Kernel {
    /// What it computes.
    type Output;
    /// Compute.
    fn run(self) -> Self::Output;
}

impl Isa {
    /// Every instruction set that this processor has, narrowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        [Self::Scalar, Self::Avx2, Self::Avx512].into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The widest that this processor has, or the one named by `KRILL_ISA`.
    pub fn selected() -> Result<Self> {
        let widest = Self::available().into_iter().max().unwrap_or(Self::Scalar);
        let Ok(name) = std::env::var("KRILL_ISA") else { return Ok(widest) };
        let asked = match name.as_str() {
            "portable" | "sse2" | "neon" | "scalar" => Self::Scalar,
            "avx2" => Self::Avx2,
            "avx512" => Self::Avx512,
            _ => return Err(environment(format!("is {name:?}, not portable, avx2 or avx512"))),
        };
        if asked.is_available() {
            Ok(asked)
        } else {
            Err(environment(format!("asks for {name}, which this processor lacks")))
        }
    }

    /// Name as `KRILL_ISA` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("fma")
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self == Self::Scalar
    }

    /// Run a kernel compiled for these instructions.
    ///
    /// # Panics
    /// If the processor lacks them; [`Isa::selected`] and [`Isa::available`] give none that it lacks.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        assert!(self.is_available(), "this processor lacks {}", self.name());
        match self {
            // SAFETY: the assertion above found the features.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { run_avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { run_avx2(kernel) },
            _ => kernel.run(),
        }
    }
}

fn environment(problem: String) -> Error {
    Error::Argument { name: "KRILL_ISA", problem }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [f32]);

    impl Kernel for Sum<'_> {
        type Output = f32;
        #[inline(always)]
        fn run(self) -> f32 {
            self.0.iter().sum()
        }
    }

    #[test]
    fn every_available_instruction_set_gives_the_same_bits() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32).sin()).collect();
        let expected = Isa::Scalar.run(Sum(&values)).to_bits();
        for isa in Isa::available() {
            assert_eq!(isa.run(Sum(&values)).to_bits(), expected, "{}", isa.name());
        }
    }
}
