//! The same as `Portable`, in one AVX-512 register or two AVX2 registers.

use std::arch::x86_64::{
    __m256, __m512, _CMP_GE_OQ, _CMP_LT_OQ, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_min_ps, _mm_min_ss,
    _mm_movehdup_ps, _mm_movehl_ps, _mm_storeu_si128, _mm256_add_ps, _mm256_alignr_epi8, _mm256_and_ps,
    _mm256_blend_ps, _mm256_castpd_ps, _mm256_castps_si256, _mm256_castps256_ps128, _mm256_castsi256_ps,
    _mm256_cmp_ps, _mm256_cvttps_epi32, _mm256_extractf128_ps, _mm256_loadu_ps, _mm256_min_ps,
    _mm256_movemask_ps, _mm256_mul_ps, _mm256_or_ps, _mm256_permute2f128_ps, _mm256_permutevar8x32_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi32, _mm256_sub_ps, _mm512_add_ps,
    _mm512_alignr_epi32, _mm512_and_si512, _mm512_castps_pd, _mm512_castps_si512, _mm512_castps512_ps256,
    _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_epi8, _mm512_cvttps_epi32,
    _mm512_extractf64x4_pd, _mm512_loadu_ps, _mm512_maskz_mov_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_or_si512, _mm512_set1_epi32, _mm512_set1_ps, _mm512_slli_epi32, _mm512_srli_epi32,
    _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_ps,
};

use super::{BIASED_ROUND, LANES, Simd, UPPER_HALF};

/// 512-bit vectors.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Avx512;

/// 256-bit vectors.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Avx2;

/// Call an intrinsic that this instruction set has.
macro_rules! have {
    ($e:expr) => {
        // SAFETY: `Isa::run` found the instruction set before anything of it is reached; pointers come
        // from slices of the length that is read or written.
        unsafe { $e }
    };
}

impl Simd for Avx512 {
    type Lanes = __m512;

    #[inline(always)]
    fn splat(value: f32) -> __m512 {
        have!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    fn load(values: &[f32], first: usize) -> __m512 {
        have!(_mm512_loadu_ps(values[first..first + LANES].as_ptr()))
    }
    #[inline(always)]
    fn store(lanes: __m512, values: &mut [f32], first: usize) {
        have!(_mm512_storeu_ps(values[first..first + LANES].as_mut_ptr(), lanes));
    }
    #[inline(always)]
    fn add(a: __m512, b: __m512) -> __m512 {
        have!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(a: __m512, b: __m512) -> __m512 {
        have!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(a: __m512, b: __m512) -> __m512 {
        have!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn min(a: __m512, b: __m512) -> __m512 {
        have!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn or_zero(a: __m512, least: __m512) -> __m512 {
        have!(_mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, least), a))
    }
    #[inline(always)]
    fn less(a: __m512, b: __m512) -> u16 {
        have!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn up(lanes: __m512, first: f32) -> __m512 {
        have!({
            let first = _mm512_castps_si512(_mm512_set1_ps(first));
            _mm512_castsi512_ps(_mm512_alignr_epi32::<15>(_mm512_castps_si512(lanes), first))
        })
    }
    #[inline(always)]
    fn down(lanes: __m512, last: f32) -> __m512 {
        have!({
            let last = _mm512_castps_si512(_mm512_set1_ps(last));
            _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(last, _mm512_castps_si512(lanes)))
        })
    }
    #[inline(always)]
    fn sum(lanes: __m512) -> f32 {
        have!({
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
            sum(_mm256_add_ps(_mm512_castps512_ps256(lanes), high))
        })
    }
    #[inline(always)]
    fn least(lanes: __m512) -> f32 {
        have!({
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
            least(_mm256_min_ps(_mm512_castps512_ps256(lanes), high))
        })
    }
    #[inline(always)]
    fn up_from(lanes: __m512, before: __m512) -> __m512 {
        have!({
            let (lanes, before) = (_mm512_castps_si512(lanes), _mm512_castps_si512(before));
            _mm512_castsi512_ps(_mm512_alignr_epi32::<15>(lanes, before))
        })
    }
    #[inline(always)]
    fn down_from(lanes: __m512, after: __m512) -> __m512 {
        have!({
            let (lanes, after) = (_mm512_castps_si512(lanes), _mm512_castps_si512(after));
            _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(after, lanes))
        })
    }
    #[inline(always)]
    fn pack(a: __m512, b: __m512) -> __m512 {
        have!({
            let low = _mm512_srli_epi32::<16>(_mm512_castps_si512(a));
            let high = _mm512_and_si512(_mm512_castps_si512(b), _mm512_set1_epi32(UPPER_HALF as i32));
            _mm512_castsi512_ps(_mm512_or_si512(low, high))
        })
    }
    #[inline(always)]
    fn unpack(packed: __m512) -> [__m512; 2] {
        have!({
            let packed = _mm512_castps_si512(packed);
            let high = _mm512_and_si512(packed, _mm512_set1_epi32(UPPER_HALF as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(packed)), _mm512_castsi512_ps(high)]
        })
    }
    #[inline(always)]
    fn to_bytes(lanes: __m512) -> [u8; LANES] {
        let mut bytes = [0; LANES];
        have!({
            let packed = _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(lanes));
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), packed);
        });
        bytes
    }
    #[inline(always)]
    fn half_to_the_integer(lanes: __m512) -> __m512 {
        have!({
            let exponent =
                _mm512_sub_epi32(_mm512_set1_epi32(BIASED_ROUND as i32), _mm512_castps_si512(lanes));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        })
    }
}

impl Simd for Avx2 {
    type Lanes = [__m256; 2];

    #[inline(always)]
    fn splat(value: f32) -> [__m256; 2] {
        have!([_mm256_set1_ps(value); 2])
    }
    #[inline(always)]
    fn load(values: &[f32], first: usize) -> [__m256; 2] {
        let values = &values[first..first + LANES];
        have!([_mm256_loadu_ps(values.as_ptr()), _mm256_loadu_ps(values[8..].as_ptr())])
    }
    #[inline(always)]
    fn store(lanes: [__m256; 2], values: &mut [f32], first: usize) {
        let values = &mut values[first..first + LANES];
        have!(_mm256_storeu_ps(values.as_mut_ptr(), lanes[0]));
        have!(_mm256_storeu_ps(values[8..].as_mut_ptr(), lanes[1]));
    }
    #[inline(always)]
    fn add(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        have!([_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn sub(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        have!([_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn mul(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        have!([_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn min(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        have!([_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn or_zero(a: [__m256; 2], least: [__m256; 2]) -> [__m256; 2] {
        have!([
            _mm256_and_ps(a[0], _mm256_cmp_ps::<_CMP_GE_OQ>(a[0], least[0])),
            _mm256_and_ps(a[1], _mm256_cmp_ps::<_CMP_GE_OQ>(a[1], least[1])),
        ])
    }
    #[inline(always)]
    fn less(a: [__m256; 2], b: [__m256; 2]) -> u16 {
        let low = have!(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0])));
        let high = have!(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1])));
        (low | high << 8) as u16
    }
    #[inline(always)]
    fn up(lanes: [__m256; 2], first: f32) -> [__m256; 2] {
        have!({
            let order = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6);
            let low = _mm256_permutevar8x32_ps(lanes[0], order);
            let high = _mm256_permutevar8x32_ps(lanes[1], order);
            [_mm256_blend_ps::<1>(low, _mm256_set1_ps(first)), _mm256_blend_ps::<1>(high, low)]
        })
    }
    #[inline(always)]
    fn down(lanes: [__m256; 2], last: f32) -> [__m256; 2] {
        have!({
            let order = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0);
            let low = _mm256_permutevar8x32_ps(lanes[0], order);
            let high = _mm256_permutevar8x32_ps(lanes[1], order);
            [_mm256_blend_ps::<0x80>(low, high), _mm256_blend_ps::<0x80>(high, _mm256_set1_ps(last))]
        })
    }
    #[inline(always)]
    fn sum(lanes: [__m256; 2]) -> f32 {
        have!(sum(_mm256_add_ps(lanes[0], lanes[1])))
    }
    #[inline(always)]
    fn least(lanes: [__m256; 2]) -> f32 {
        have!(least(_mm256_min_ps(lanes[0], lanes[1])))
    }
    #[inline(always)]
    fn up_from(lanes: [__m256; 2], before: [__m256; 2]) -> [__m256; 2] {
        have!([step_up(before[1], lanes[0]), step_up(lanes[0], lanes[1])])
    }
    #[inline(always)]
    fn down_from(lanes: [__m256; 2], after: [__m256; 2]) -> [__m256; 2] {
        have!([step_down(lanes[0], lanes[1]), step_down(lanes[1], after[0])])
    }
    #[inline(always)]
    fn pack(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        have!([pack(a[0], b[0]), pack(a[1], b[1])])
    }
    #[inline(always)]
    fn unpack(packed: [__m256; 2]) -> [[__m256; 2]; 2] {
        have!([
            [unpack_low(packed[0]), unpack_low(packed[1])],
            [unpack_high(packed[0]), unpack_high(packed[1])]
        ])
    }
    #[inline(always)]
    fn to_bytes(lanes: [__m256; 2]) -> [u8; LANES] {
        let mut whole = [0_i32; LANES];
        have!(_mm256_storeu_si256(whole.as_mut_ptr().cast(), _mm256_cvttps_epi32(lanes[0])));
        have!(_mm256_storeu_si256(whole[8..].as_mut_ptr().cast(), _mm256_cvttps_epi32(lanes[1])));
        whole.map(|value| value as u8)
    }
    #[inline(always)]
    fn half_to_the_integer(lanes: [__m256; 2]) -> [__m256; 2] {
        have!({
            let bias = _mm256_set1_epi32(BIASED_ROUND as i32);
            let low = _mm256_sub_epi32(bias, _mm256_castps_si256(lanes[0]));
            let high = _mm256_sub_epi32(bias, _mm256_castps_si256(lanes[1]));
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(high)),
            ]
        })
    }
}

/// Lane `i` of the result is lane `i - 1` of `high`; lane 0 is the last of `low`.
#[inline]
#[target_feature(enable = "avx2")]
fn step_up(low: __m256, high: __m256) -> __m256 {
    let middle = _mm256_permute2f128_ps::<0x21>(low, high);
    _mm256_castsi256_ps(_mm256_alignr_epi8::<12>(_mm256_castps_si256(high), _mm256_castps_si256(middle)))
}

/// Lane `i` of the result is lane `i + 1` of `low`; the last lane is the first of `high`.
#[inline]
#[target_feature(enable = "avx2")]
fn step_down(low: __m256, high: __m256) -> __m256 {
    let middle = _mm256_permute2f128_ps::<0x21>(low, high);
    _mm256_castsi256_ps(_mm256_alignr_epi8::<4>(_mm256_castps_si256(middle), _mm256_castps_si256(low)))
}

/// Sum by halves.
#[inline]
#[target_feature(enable = "avx2")]
fn sum(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// Least of all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn least(lanes: __m256) -> f32 {
    let four = _mm_min_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn pack(a: __m256, b: __m256) -> __m256 {
    let low = _mm256_castsi256_ps(_mm256_srli_epi32::<16>(_mm256_castps_si256(a)));
    _mm256_or_ps(low, unpack_high(b))
}

#[inline]
#[target_feature(enable = "avx2")]
fn unpack_low(packed: __m256) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(packed)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn unpack_high(packed: __m256) -> __m256 {
    _mm256_and_ps(packed, _mm256_castsi256_ps(_mm256_set1_epi32(UPPER_HALF as i32)))
}
