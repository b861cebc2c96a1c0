//! Dynamic time warping on GPUs: the same calls and bits as on the processor.
//!
//! `matrix` decides which pairs share a warp, `pack` lays them out as the kernels in `kernels/` want
//! them (`batch`), `serve` shares them out among devices as their memory allows, which `pool` keeps.
//! A `device` is a trait: [`crate::cuda`] opens real ones, tests stand in for one.

mod batch;
mod device;
mod matrix;
mod pack;
mod pool;
mod serve;

pub use batch::{Batch, layout};
pub use device::{Device, Kernel, Launch, Memory, Slot};
pub use pool::Pool;
pub use serve::Share;

use super::blocks::canonical_order;
use super::windows::Positions;
use super::{Options, Role, SUMMARY_HEAD, are_finite, check, coordinate};
use crate::parallel::Threads;
use crate::{Error, Result};
use matrix::{Finish, Matrix, Parts};
use pack::Wanted;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals of a block of a large matrix: enough to fill a device, few enough for its memory.
const BLOCK: usize = 1024;

/// Devices and how much of them may be used.
pub struct Gpus<'a, D> {
    /// At least one.
    pub devices: &'a [D],
    /// Of each.
    pub share: Share,
    /// They check, plan and pack.
    pub threads: Threads,
}

impl<D: Device> Gpus<'_, D> {
    /// Same as [`super::pairwise`]; ends must be closed.
    pub fn pairwise(&self, signals: &[&[f32]], options: Options) -> Result<Vec<f32>> {
        check("signals", signals, &self.threads)?;
        refuse_open_ends(options)?;
        let order = canonical_order(signals);
        let blocks: Vec<&[usize]> = order.chunks(BLOCK).collect();
        let pairs: Vec<(usize, usize)> =
            (0..blocks.len()).flat_map(|a| (a..blocks.len()).map(move |b| (a, b))).collect();
        let make = |k: usize| {
            let (a, b) = pairs[k];
            if a == b {
                return Parts { both: blocks[a].to_vec(), ..Parts::default() };
            }
            Parts { queries: blocks[a].to_vec(), references: blocks[b].to_vec(), ..Parts::default() }
        };
        let n = signals.len();
        let row_start = |i: usize| i * (2 * n - i - 1) / 2;
        let window = |i: usize| signals[i];
        self.distances((pairs.len(), make), window, options, n * n.saturating_sub(1) / 2, |a, b| {
            let (i, j) = (a.min(b), a.max(b));
            (i < j).then(|| row_start(i) + j - i - 1)
        })
    }

    /// Same as [`super::cross`].
    pub fn cross(&self, a: &[&[f32]], b: &[&[f32]], options: Options) -> Result<Vec<f32>> {
        check("a", a, &self.threads)?;
        check("b", b, &self.threads)?;
        let n_queries = a.len();
        let (rows, columns) = (canonical_order(a), canonical_order(b));
        let columns: Vec<usize> = columns.into_iter().map(|j| n_queries + j).collect();
        let (row_blocks, column_blocks): (Vec<_>, Vec<_>) =
            (rows.chunks(BLOCK).collect(), columns.chunks(BLOCK).collect());
        let make = |k: usize| Parts {
            both: Vec::new(),
            queries: row_blocks[k / column_blocks.len()].to_vec(),
            references: column_blocks[k % column_blocks.len()].to_vec(),
        };
        let window = |i: usize| if i < n_queries { a[i] } else { b[i - n_queries] };
        let n_blocks = row_blocks.len() * column_blocks.len();
        self.distances((n_blocks, make), window, options, a.len() * b.len(), |i, j| {
            Some(i * b.len() + j - n_queries)
        })
    }

    /// Same as [`super::coordinates`].
    pub fn coordinates(&self, positions: Positions<'_>, is_landmark: &[bool]) -> Result<Vec<f32>> {
        let windows = positions.intervals()?;
        let make = |own: std::ops::Range<usize>| {
            let order = canonical_order(&windows[own.clone()]).into_iter().map(|i| own.start + i);
            let (both, queries) = order.partition(|&i| is_landmark[i]);
            Parts { both, queries, references: Vec::new() }
        };
        let options = Options { normalised: true, ..Options::default() };
        let label = |i: usize| if is_landmark[i] { coordinate::mean(windows[i]).to_bits() } else { 0 };
        self.per_window(
            positions.offsets,
            &windows,
            make,
            label,
            Wanted { options, finish: Finish::Coordinate },
        )
    }

    /// Same as [`super::summaries`]; ends must be closed.
    pub fn summaries(
        &self,
        positions: Positions<'_>,
        roles: &[Role],
        n_nearest: usize,
        options: Options,
    ) -> Result<Vec<f32>> {
        refuse_open_ends(options)?;
        let windows = positions.intervals()?;
        let make = |own: std::ops::Range<usize>| {
            let mut parts = Parts::default();
            for i in canonical_order(&windows[own.clone()]).into_iter().map(|i| own.start + i) {
                match (roles[i].is_query, roles[i].is_reference) {
                    (true, true) => parts.both.push(i),
                    (true, false) => parts.queries.push(i),
                    (false, true) => parts.references.push(i),
                    (false, false) => {}
                }
            }
            parts
        };
        let label = |i: usize| roles[i].fold.cast_unsigned();
        let finish = Finish::Summary(n_nearest);
        self.per_window(positions.offsets, &windows, make, label, Wanted { options, finish })
    }

    /// Distances of the pairs of these blocks, each written where `place(query, reference)` says.
    fn distances<'w>(
        &self,
        (n_blocks, make): (usize, impl Fn(usize) -> Parts + Sync),
        window: impl Fn(usize) -> &'w [f32] + Sync,
        options: Options,
        n_results: usize,
        place: impl Fn(usize, usize) -> Option<usize> + Sync,
    ) -> Result<Vec<f32>> {
        let wanted = Wanted { options, finish: Finish::Distances };
        let results = Mutex::new(vec![0.0; n_results]);
        let matrix = |k: usize| Matrix::new(&make(k), &window, |_| 0, (options, wanted.finish));
        serve::serve(self, wanted, (n_blocks, matrix), &|matrix, distances| {
            let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (reference, row) in matrix.references().zip(distances.chunks(matrix.n_queries)) {
                for (&query, &distance) in matrix.ids.iter().zip(row) {
                    if let Some(place) = place(query, matrix.ids[reference]) {
                        results[place] = distance;
                    }
                }
            }
        })?;
        Ok(results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Numbers of every window that is a query; NaN for the others.
    ///
    /// Whether samples are numbers is seen by who plans a position, so that no device waits until all
    /// have been looked at.
    fn per_window(
        &self,
        offsets: &[i64],
        windows: &[&[f32]],
        make: impl Fn(std::ops::Range<usize>) -> Parts + Sync,
        label: impl Fn(usize) -> u64 + Sync,
        wanted: Wanted,
    ) -> Result<Vec<f32>> {
        let n_numbers = wanted.finish.n_numbers();
        if windows.iter().any(|window| window.is_empty()) {
            check("window", windows, &self.threads)?;
        }
        let all_finite = AtomicBool::new(true);
        let results = Mutex::new(vec![f32::NAN; windows.len() * n_numbers]);
        let n_positions = offsets.len().saturating_sub(1);
        let matrix = |k: usize| {
            let own = offsets[k] as usize..offsets[k + 1] as usize;
            if !windows[own.clone()].iter().all(|window| are_finite(window)) {
                all_finite.store(false, Ordering::Relaxed);
            }
            Matrix::new(&make(own), |i| windows[i], &label, (wanted.options, wanted.finish))
        };
        serve::serve(self, wanted, (n_positions, matrix), &|matrix, numbers| {
            let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (&id, own) in matrix.ids.iter().zip(numbers.chunks(n_numbers)) {
                results[id * n_numbers..(id + 1) * n_numbers].copy_from_slice(own);
            }
        })?;
        if !all_finite.into_inner() {
            check("window", windows, &self.threads)?;
        }
        Ok(results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn refuse_open_ends(options: Options) -> Result<()> {
    if options.open_start || options.open_end {
        let problem = "open ends make the distance depend on the order of a pair".to_owned();
        return Err(Error::Argument { name: "options", problem });
    }
    Ok(())
}

// The kernels know it as a constant of their own; see summary.h.
const _: () = assert!(SUMMARY_HEAD == 3);
