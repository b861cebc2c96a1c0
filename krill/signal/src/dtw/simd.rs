//! Same as scalar, 16 pairs at a time: lane `l` of every vector belongs to pair `l`.
//!
//! One source for all instruction sets: plain arrays in functions compiled for each of them. A few
//! rows of the matrix live in registers while the columns pass by; the lowest row of such a block
//! stays in `top`, in cache, for the next. A single pair of rows is bound by the latency of
//! min + fma, so AVX-512 runs two streams (two queries) per loop; on narrower units one vector of
//! 16 is several registers, which gives the same overlap.

use super::blocks::Setup;
use super::{Cost, Options};
use crate::Isa;
use crate::isa::Kernel;

/// Pairs per vector.
pub(super) const LANES: usize = 16;

/// One value of each of the 16 pairs.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Lanes<T>(pub(super) [T; LANES]);

/// What sums are kept in: float32, float64 for long signals.
pub(super) trait Real: Copy + PartialOrd + Send + Sync + 'static {
    const INFINITY: Self;
    const ZERO: Self;
    fn from_sample(sample: f32) -> Self;
    fn square_plus<const FUSED: bool>(a: Self, b: Self, best: Self) -> Self;
    fn absolute_plus(a: Self, b: Self, best: Self) -> Self;
    /// Turn sums over so many samples into distances.
    fn finish(sums: [Self; LANES], totals: [u32; LANES], options: Options) -> [f32; LANES];
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            const INFINITY: Self = <$type>::INFINITY;
            const ZERO: Self = 0.0;

            #[inline(always)]
            fn from_sample(sample: f32) -> Self {
                sample.into()
            }

            // Without the instruction `mul_add` is a call of the C library: two roundings instead.
            #[inline(always)]
            fn square_plus<const FUSED: bool>(a: Self, b: Self, best: Self) -> Self {
                let difference = a - b;
                if FUSED { difference.mul_add(difference, best) } else { difference * difference + best }
            }

            #[inline(always)]
            fn absolute_plus(a: Self, b: Self, best: Self) -> Self {
                (a - b).abs() + best
            }

            #[inline]
            fn finish(mut sums: [Self; LANES], totals: [u32; LANES], options: Options) -> [f32; LANES] {
                if options.normalised {
                    sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum /= total as $type);
                }
                if options.cost == Cost::Squared {
                    sums = sums.map(<$type>::sqrt);
                }
                sums.map(|distance| distance as f32)
            }
        }
    };
}

real!(f32);
real!(f64);

impl<T: Real> Lanes<T> {
    pub(super) const INFINITE: Self = Self([T::INFINITY; LANES]);
    pub(super) const ZERO: Self = Self([T::ZERO; LANES]);

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        let mut out = self;
        for (x, &y) in out.0.iter_mut().zip(&other.0) {
            *x = if *x < y { *x } else { y }; // the vector instruction's own rule, one operation
        }
        out
    }

    #[inline(always)]
    fn cell<const ABSOLUTE: bool, const FUSED: bool>(self, other: Self, best: Self) -> Self {
        let mut out = best;
        for l in 0..LANES {
            out.0[l] = if ABSOLUTE {
                T::absolute_plus(self.0[l], other.0[l], best.0[l])
            } else {
                T::square_plus::<FUSED>(self.0[l], other.0[l], best.0[l])
            };
        }
        out
    }
}

/// One row of `S` queries: a sample of each.
pub(super) trait Row<T, const S: usize>: Copy {
    /// The samples as vectors, one per stream.
    fn vectors(self) -> [Lanes<T>; S];
}

/// The same query in all lanes.
impl<T: Real, const S: usize> Row<T, S> for [T; S] {
    #[inline(always)]
    fn vectors(self) -> [Lanes<T>; S] {
        let mut vectors = [Lanes::ZERO; S]; // a loop: `map` is not always inlined
        for s in 0..S {
            vectors[s] = Lanes([self[s]; LANES]);
        }
        vectors
    }
}

/// A query of its own in each lane.
impl<T: Real, const S: usize> Row<T, S> for [Lanes<T>; S] {
    #[inline(always)]
    fn vectors(self) -> Self {
        self
    }
}

/// The matrix cells of `S` queries against one group of candidates; `D[-1]` is outside, above.
pub(super) struct Sweep<'a, T, Q, const S: usize> {
    /// Samples of the queries.
    pub(super) rows: &'a [Q],
    /// `D[row][-1]`, `[row][stream][lane]`.
    pub(super) edge: &'a [[Lanes<T>; S]],
    /// `D[-1][-1]`.
    pub(super) corner: [Lanes<T>; S],
    /// `D[-1][column]`, the same for all columns.
    pub(super) border: [Lanes<T>; S],
    /// Samples of the candidates, `[column][lane]`.
    pub(super) columns: &'a [Lanes<T>],
    /// Out: the last row, `D[rows - 1][column]`; before, the lowest row of each block.
    pub(super) last: &'a mut [[Lanes<T>; S]],
}

impl<T: Real, Q: Row<T, S>, const S: usize> Sweep<'_, T, Q, S> {
    /// Compute all rows.
    pub(super) fn run(self, setup: Setup) {
        let (isa, absolute) = (setup.isa, setup.options.cost == Cost::Absolute);
        match isa {
            Isa::Avx512 => isa.run(Dispatch::<_, _, S, 6, true> { sweep: self, absolute }),
            Isa::Avx2 => isa.run(Dispatch::<_, _, S, 5, true> { sweep: self, absolute }),
            Isa::Scalar if cfg!(target_arch = "aarch64") => {
                isa.run(Dispatch::<_, _, S, 6, true> { sweep: self, absolute });
            }
            Isa::Scalar => isa.run(Dispatch::<_, _, S, 3, false> { sweep: self, absolute }),
        }
    }

    /// Cut the rows into blocks of nearly equal height, at most `MOST`.
    #[inline(always)]
    fn blocks<const MOST: usize, const ABSOLUTE: bool, const FUSED: bool>(&mut self) {
        let n_blocks = self.rows.len().div_ceil(MOST);
        let (height, n_higher) = (self.rows.len() / n_blocks, self.rows.len() % n_blocks);
        let first = height + usize::from(n_higher > 0);
        self.block_of::<MOST, true, ABSOLUTE, FUSED>(0, first);
        let mut start = first;
        for i in 1..n_blocks {
            let height = height + usize::from(i < n_higher);
            self.block_of::<MOST, false, ABSOLUTE, FUSED>(start, height);
            start += height;
        }
    }

    #[inline(always)]
    fn block_of<const MOST: usize, const FIRST: bool, const ABSOLUTE: bool, const FUSED: bool>(
        &mut self,
        start: usize,
        height: usize,
    ) {
        match height.min(MOST) {
            1 => self.block::<1, FIRST, ABSOLUTE, FUSED>(start),
            2 => self.block::<2, FIRST, ABSOLUTE, FUSED>(start),
            3 => self.block::<3, FIRST, ABSOLUTE, FUSED>(start),
            4 => self.block::<4, FIRST, ABSOLUTE, FUSED>(start),
            5 => self.block::<5, FIRST, ABSOLUTE, FUSED>(start),
            _ => self.block::<6, FIRST, ABSOLUTE, FUSED>(start),
        }
    }

    /// Compute `R` rows; `last` holds the row above them, afterwards their lowest.
    #[inline(always)]
    fn block<const R: usize, const FIRST: bool, const ABSOLUTE: bool, const FUSED: bool>(
        &mut self,
        start: usize,
    ) {
        // Copies, so that the compiler sees that writing `last` does not change them.
        let mut rows = [[Lanes::ZERO; S]; R];
        for (vectors, row) in rows.iter_mut().zip(&self.rows[start..start + R]) {
            *vectors = row.vectors();
        }
        let mut left: [[Lanes<T>; S]; R] = *self.edge[start..].first_chunk().expect("inside the rows");
        let mut corner = if FIRST { self.corner } else { self.edge[start - 1] };
        for (column, last) in self.columns.iter().zip(&mut *self.last) {
            let mut up = if FIRST { self.border } else { *last };
            let mut diagonal = std::mem::replace(&mut corner, up);
            for r in 0..R {
                for s in 0..S {
                    let best = left[r][s].min(diagonal[s]).min(up[s]);
                    diagonal[s] = left[r][s];
                    up[s] = rows[r][s].cell::<ABSOLUTE, FUSED>(*column, best);
                    left[r][s] = up[s];
                }
            }
            *last = up;
        }
    }
}

/// A sweep with at most `MOST` rows in registers; `FUSED` where the processor has the instruction.
struct Dispatch<'a, T, Q, const S: usize, const MOST: usize, const FUSED: bool> {
    sweep: Sweep<'a, T, Q, S>,
    absolute: bool,
}

impl<T: Real, Q: Row<T, S>, const S: usize, const MOST: usize, const FUSED: bool> Kernel
    for Dispatch<'_, T, Q, S, MOST, FUSED>
{
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        if self.absolute {
            self.sweep.blocks::<MOST, true, FUSED>();
        } else {
            self.sweep.blocks::<MOST, false, FUSED>();
        }
    }
}

/// Whether one vector is one register, so that a second stream is needed to fill the ports.
pub(super) fn wants_two_streams(isa: Isa) -> bool {
    isa == Isa::Avx512
}
