//! Each window's distances to the reference windows of its position, reduced to a few numbers, so
//! that no matrix leaves the engine.

use super::blocks::{Scratch, Set, Setup, canonical_order};
use super::windows::{Position, Positions};
use super::{Options, Run};
use crate::Result;

/// What a window is asked for and used as.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// It is described.
    pub is_query: bool,
    /// Others are described by their distances to it.
    pub is_reference: bool,
    /// Windows of one fold are no references to each other.
    pub fold: i64,
}

/// Numbers before the nearest distances: mean, median, how many there are.
pub const SUMMARY_HEAD: usize = 3;

/// For every window mean, median and number of its distances, then the `n_nearest` smallest,
/// rising; NaN where there are none, or fewer, and for windows that are no queries.
pub fn summaries(
    positions: Positions<'_>,
    roles: &[Role],
    n_nearest: usize,
    options: Options,
    run: Run,
) -> Result<Vec<f32>> {
    let windows = positions.windows()?;
    let width = SUMMARY_HEAD + n_nearest;
    let mut results = vec![f32::NAN; windows.len() * width];
    let setup = Setup { isa: run.isa, options };
    run.for_each(positions.cut(&windows, roles, &mut results, width), |scratch, position| {
        summarise(position, width, setup, scratch);
    })?;
    Ok(results)
}

/// Windows of a position by role, in canonical order, so that sums do not depend on the reads'.
struct Parts {
    /// Queries that are references too, then the other queries.
    queries: Vec<usize>,
    /// References that are queries too, then the other references.
    references: Vec<usize>,
    n_both: usize,
}

impl Parts {
    fn new(windows: &[&[f32]], roles: &[Role]) -> Self {
        let order = canonical_order(windows);
        let of = |is_query: bool, is_reference: bool| {
            let wanted =
                move |&i: &usize| roles[i].is_query == is_query && roles[i].is_reference == is_reference;
            order.iter().copied().filter(wanted).collect::<Vec<_>>()
        };
        let both = of(true, true);
        Self {
            queries: [both.clone(), of(true, false)].concat(),
            references: [both.clone(), of(false, true)].concat(),
            n_both: both.len(),
        }
    }
}

fn summarise(position: Position<'_, Role>, width: usize, setup: Setup, scratch: &mut Scratch) {
    let Position { windows, labels: roles, results } = position;
    let parts = Parts::new(windows, roles);
    let distances = needed_distances(windows, &parts, setup, scratch);
    let mut kept = Vec::with_capacity(parts.references.len());
    for (&i, row) in parts.queries.iter().zip(distances.chunks(parts.references.len().max(1))) {
        kept.clear();
        let others =
            parts.references.iter().zip(row).filter(|&(&j, _)| j != i && roles[j].fold != roles[i].fold);
        kept.extend(others.map(|(_, &distance)| distance));
        reduce(&mut kept, &mut results[i * width..(i + 1) * width]);
    }
}

/// `[query][reference]`, each pair computed once.
fn needed_distances(windows: &[&[f32]], parts: &Parts, setup: Setup, scratch: &mut Scratch) -> Vec<f32> {
    let pick = |some: &[usize]| some.iter().map(|&i| windows[i]).collect::<Vec<&[f32]>>();
    let n = parts.references.len();
    let n_both = parts.n_both;
    let mut distances = vec![0.0; parts.queries.len() * n];
    let both = pick(&parts.references[..n_both]);
    let set = Set::new(&both);
    for task in set.triangle_tasks() {
        set.run(&task, &set, setup, scratch, &mut |i, j, distance| {
            distances[i * n + j] = distance;
            distances[j * n + i] = distance;
        });
    }
    let mut rectangle = |first_query: usize, last_query: usize, first_reference: usize| {
        let (rows, columns) =
            (pick(&parts.queries[first_query..last_query]), pick(&parts.references[first_reference..]));
        let (queries, references) = (Set::new(&rows), Set::new(&columns));
        for task in references.rectangle_tasks(&queries) {
            references.run(&task, &queries, setup, scratch, &mut |i, j, distance| {
                distances[(first_query + i) * n + first_reference + j] = distance;
            });
        }
    };
    rectangle(0, n_both, n_both);
    rectangle(n_both, parts.queries.len(), 0);
    distances
}

/// Mean, median, number and smallest of these distances; reorders them.
fn reduce(distances: &mut [f32], results: &mut [f32]) {
    let n = distances.len();
    results[2] = n as f32;
    if n == 0 {
        return;
    }
    results[0] = (distances.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64) as f32;
    distances.sort_unstable_by(f32::total_cmp);
    results[1] = f32::midpoint(distances[(n - 1) / 2], distances[n / 2]);
    for (result, &distance) in results[SUMMARY_HEAD..].iter_mut().zip(&*distances) {
        *result = distance;
    }
}
