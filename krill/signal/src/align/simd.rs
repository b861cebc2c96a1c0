//! Sixteen neighbouring entries of the target at once, on each instruction set.
//!
//! Kernels are written once over [`Simd`]. All sets compute the same operations in the same order and
//! none contracts them, so all give the same bits. Kept explicit because compilers take lane shifts
//! and comparison masks of plain arrays through memory, which is three times as slow.

use crate::isa::{Isa, Kernel};

/// Entries in a window.
pub(super) const LANES: usize = 16;

/// Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
pub(super) const ROUND: f32 = 12_582_912.0;

/// Bits of [`ROUND`] plus the exponent bias.
const BIASED_ROUND: u32 = 0x4B40_0000 + 127;

/// Bits of an f32 that [`Simd::pack`] keeps.
const UPPER_HALF: u32 = 0xFFFF_0000;

/// Operations on sixteen lanes.
///
/// The x86 implementations may only be reached through [`run`], which checks the processor.
pub(super) trait Simd: Copy {
    /// Sixteen f32.
    type Lanes: Copy;

    /// All lanes `value`.
    fn splat(value: f32) -> Self::Lanes;
    /// `values[first..first + 16]`.
    fn load(values: &[f32], first: usize) -> Self::Lanes;
    /// To `values[first..first + 16]`.
    fn store(lanes: Self::Lanes, values: &mut [f32], first: usize);
    /// Sum.
    fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// Difference.
    fn sub(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// Product.
    fn mul(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// `a` where `a < b`, else `b`.
    fn min(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// `a` where `a` is no less than `least`, else 0.
    fn or_zero(a: Self::Lanes, least: Self::Lanes) -> Self::Lanes;
    /// Bit `i` says whether `a[i] < b[i]`.
    fn less(a: Self::Lanes, b: Self::Lanes) -> u16;
    /// Lane `i` takes lane `i - 1`; lane 0 takes `first`.
    fn up(lanes: Self::Lanes, first: f32) -> Self::Lanes;
    /// Lane `i` takes lane `i + 1`; the last lane takes `last`.
    fn down(lanes: Self::Lanes, last: f32) -> Self::Lanes;
    /// Sum of all lanes, by halves: short chains of additions, one order everywhere.
    fn sum(lanes: Self::Lanes) -> f32;
    /// Least of all lanes; none is NaN.
    fn least(lanes: Self::Lanes) -> f32;
    /// Lane `i` takes lane `i - 1`; lane 0 takes the last of `before`.
    fn up_from(lanes: Self::Lanes, before: Self::Lanes) -> Self::Lanes;
    /// Lane `i` takes lane `i + 1`; the last lane takes the first of `after`.
    fn down_from(lanes: Self::Lanes, after: Self::Lanes) -> Self::Lanes;
    /// The upper halves of both: eight bits of either's mantissa remain.
    fn pack(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// What [`Simd::pack`] has packed.
    fn unpack(packed: Self::Lanes) -> [Self::Lanes; 2];
    /// Rounded towards zero; lanes hold 0 to 255.9.
    fn to_bytes(lanes: Self::Lanes) -> [u8; LANES];
    /// 2 to the power `-n` where lanes hold `n + ROUND`, `n` of 0 to 126.
    fn half_to_the_integer(lanes: Self::Lanes) -> Self::Lanes;
}

/// A kernel over any [`Simd`]; mark `run` `#[inline(always)]`.
pub(super) trait LaneKernel {
    /// What it computes.
    type Output;
    /// Compute.
    fn run<S: Simd>(self) -> Self::Output;
}

/// Run a kernel with these instructions.
pub(super) fn run<K: LaneKernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => isa.run(With::<x86::Avx512, K>(kernel, std::marker::PhantomData)),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => isa.run(With::<x86::Avx2, K>(kernel, std::marker::PhantomData)),
        _ => isa.run(With::<Portable, K>(kernel, std::marker::PhantomData)),
    }
}

struct With<S, K>(K, std::marker::PhantomData<S>);

impl<S: Simd, K: LaneKernel> Kernel for With<S, K> {
    type Output = K::Output;
    #[inline(always)]
    fn run(self) -> K::Output {
        self.0.run::<S>()
    }
}

/// Plain arrays: the definition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    type Lanes = [f32; LANES];

    #[inline(always)]
    fn splat(value: f32) -> Self::Lanes {
        [value; LANES]
    }
    #[inline(always)]
    fn load(values: &[f32], first: usize) -> Self::Lanes {
        let values = &values[first..first + LANES];
        std::array::from_fn(|i| values[i])
    }
    #[inline(always)]
    fn store(lanes: Self::Lanes, values: &mut [f32], first: usize) {
        values[first..first + LANES].copy_from_slice(&lanes);
    }
    #[inline(always)]
    fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn min(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn or_zero(a: Self::Lanes, least: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| if a[i] >= least[i] { a[i] } else { 0.0 })
    }
    #[inline(always)]
    fn less(a: Self::Lanes, b: Self::Lanes) -> u16 {
        (0..LANES).fold(0, |bits, i| bits | u16::from(a[i] < b[i]) << i)
    }
    #[inline(always)]
    fn up(lanes: Self::Lanes, first: f32) -> Self::Lanes {
        std::array::from_fn(|i| if i == 0 { first } else { lanes[i - 1] })
    }
    #[inline(always)]
    fn down(lanes: Self::Lanes, last: f32) -> Self::Lanes {
        std::array::from_fn(|i| if i == LANES - 1 { last } else { lanes[i + 1] })
    }
    #[inline(always)]
    fn sum(mut lanes: Self::Lanes) -> f32 {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0]
    }
    #[inline(always)]
    fn least(lanes: Self::Lanes) -> f32 {
        lanes.into_iter().fold(f32::INFINITY, f32::min)
    }
    #[inline(always)]
    fn up_from(lanes: Self::Lanes, before: Self::Lanes) -> Self::Lanes {
        Self::up(lanes, before[LANES - 1])
    }
    #[inline(always)]
    fn down_from(lanes: Self::Lanes, after: Self::Lanes) -> Self::Lanes {
        Self::down(lanes, after[0])
    }
    #[inline(always)]
    fn pack(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| f32::from_bits(a[i].to_bits() >> 16 | b[i].to_bits() & UPPER_HALF))
    }
    #[inline(always)]
    fn unpack(packed: Self::Lanes) -> [Self::Lanes; 2] {
        let lower = packed.map(|value| f32::from_bits(value.to_bits() << 16));
        [lower, packed.map(|value| f32::from_bits(value.to_bits() & UPPER_HALF))]
    }
    #[inline(always)]
    fn to_bytes(lanes: Self::Lanes) -> [u8; LANES] {
        lanes.map(|value| value as u8)
    }
    #[inline(always)]
    fn half_to_the_integer(lanes: Self::Lanes) -> Self::Lanes {
        lanes.map(|value| f32::from_bits(BIASED_ROUND.wrapping_sub(value.to_bits()) << 23))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;
