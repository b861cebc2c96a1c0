//! Dynamic time warping between many short signals.
//!
//! [`scalar`] is the definition; `simd` computes 16 pairs at a time with the same bits; `blocks`
//! decides which 16; `coordinate` and `summary` reduce a position's distances to a few numbers per
//! window. Called by the binding with signals that are finite and not empty, which is checked here, once.

pub mod scalar;

mod blocks;
mod coordinate;
pub mod gpu;
mod simd;
mod summary;
mod windows;

pub use coordinate::coordinates;
pub use summary::{Role, SUMMARY_HEAD, summaries};
pub use windows::Positions;

use crate::parallel::Threads;
use crate::{Error, Isa, Result};
use blocks::{Scratch, Set, Setup};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// Signals longer than this are summed in float64: float32 loses digits over so many additions.
pub const LONG_SAMPLES: usize = 1000;

/// What a pair of samples costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cost {
    /// `(a - b)^2`; the distance is the square root of the sum.
    #[default]
    Squared,
    /// `|a - b|`; the distance is the sum.
    Absolute,
}

/// Which distance is wanted; [`scalar::distance`] says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Cost of a pair of samples.
    pub cost: Cost,
    /// Divide the sum by the two lengths together.
    pub normalised: bool,
    /// The first signal may begin anywhere in the second.
    pub open_start: bool,
    /// The first signal may end anywhere in the second.
    pub open_end: bool,
}

/// How a computation is carried out; none of it changes a bit of the result (but the portable
/// path of x86-64 has no fused multiply-add and rounds twice).
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Instruction set.
    pub isa: Isa,
    /// Threads, at least 1.
    pub threads: usize,
}

impl Run {
    /// Do every job, each thread with a scratch of its own.
    fn for_each<J: Send>(self, jobs: Vec<J>, job: impl Fn(&mut Scratch, J) + Sync + Send) -> Result<()> {
        if self.threads == 1 {
            let mut scratch = Scratch::default();
            for one in jobs {
                job(&mut scratch, one);
            }
            return Ok(());
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build().map_err(pool_error)?;
        pool.install(|| jobs.into_par_iter().with_max_len(1).for_each_init(Scratch::default, job));
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
fn pool_error(error: rayon::ThreadPoolBuildError) -> Error {
    Error::Argument { name: "threads", problem: format!("cannot be started: {error}") }
}

/// Distances of all pairs `i < j`, row by row.
pub fn pairwise(signals: &[&[f32]], options: Options, run: Run) -> Result<Vec<f32>> {
    check("signals", signals, &Threads::CALLER)?;
    let n = signals.len();
    let set = Set::new(signals);
    let cells = zeros(n * n.saturating_sub(1) / 2);
    let row_start: Vec<usize> = (0..n).map(|i| i * (2 * n - i - 1) / 2).collect();
    let setup = Setup { isa: run.isa, options };
    run.for_each(set.triangle_tasks(), |scratch, task| {
        set.run(&task, &set, setup, scratch, &mut |i, j, distance| {
            let (i, j) = (i.min(j), i.max(j));
            cells[row_start[i] + j - i - 1].store(distance.to_bits(), Ordering::Relaxed);
        });
    })?;
    Ok(floats(cells))
}

/// Distances of every signal of `a` from every one of `b`, `[a][b]`.
pub fn cross(a: &[&[f32]], b: &[&[f32]], options: Options, run: Run) -> Result<Vec<f32>> {
    check("a", a, &Threads::CALLER)?;
    check("b", b, &Threads::CALLER)?;
    let (queries, candidates) = (Set::new(a), Set::new(b));
    let cells = zeros(a.len() * b.len());
    let setup = Setup { isa: run.isa, options };
    run.for_each(candidates.rectangle_tasks(&queries), |scratch, task| {
        candidates.run(&task, &queries, setup, scratch, &mut |i, j, distance| {
            cells[i * b.len() + j].store(distance.to_bits(), Ordering::Relaxed);
        });
    })?;
    Ok(floats(cells))
}

/// Signals that one thread checks in one go.
const CHECKED_TOGETHER: usize = 4096;

/// Refuse signals without samples or with samples that are no numbers; names the first.
fn check(name: &'static str, signals: &[&[f32]], threads: &Threads) -> Result<()> {
    let is_bad = |signal: &[f32]| signal.is_empty() || !are_finite(signal);
    let parts: Vec<&[&[f32]]> = signals.chunks(CHECKED_TOGETHER).collect();
    let bad = threads.map(parts.len(), |part| parts[part].iter().position(|signal| is_bad(signal)));
    let Some((part, Some(place))) = bad.into_iter().enumerate().find(|(_, place)| place.is_some()) else {
        return Ok(());
    };
    let i = part * CHECKED_TOGETHER + place;
    let problem = match signals[i].iter().position(|sample| !sample.is_finite()) {
        Some(k) => format!("[{i}] has {} at sample {k}; every sample must be finite", signals[i][k]),
        None => format!("[{i}] is empty; every signal needs at least one sample"),
    };
    Err(Error::Argument { name, problem })
}

/// No early end, so that it is done in vectors.
fn are_finite(samples: &[f32]) -> bool {
    samples.iter().fold(true, |finite, sample| finite & sample.is_finite())
}

/// Results that several threads fill, each its own cells, in any order.
fn zeros(n: usize) -> Vec<AtomicU32> {
    std::iter::repeat_with(|| AtomicU32::new(0)).take(n).collect()
}

fn floats(cells: Vec<AtomicU32>) -> Vec<f32> {
    cells.into_iter().map(|cell| f32::from_bits(cell.into_inner())).collect()
}
