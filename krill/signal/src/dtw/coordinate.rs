//! One signed number per window: the first coordinate of classical scaling of a position's
//! distances, in which a level shift, and any other change of shape, becomes a place on a line.
//!
//! Some windows of a position are landmarks. Their distances, divided by length, are squared,
//! centred by rows and columns and multiplied by -1/2; the leading eigenvector `v` of that matrix
//! `B`, times the square root of its eigenvalue, is their coordinate (Torgerson 1952). Other
//! windows are placed between them by their distances to the landmarks (Gower 1968), which is
//! linear in `v`, so that no distance between two of them is needed.

use super::blocks::{Scratch, Set, Setup, canonical_order, within_each};
use super::windows::{Position, Positions};
use super::{LONG_SAMPLES, Options, Run};
use crate::Result;

/// Fewer landmarks than this say nothing of a direction.
const FEWEST_LANDMARKS: usize = 3;

/// Power iteration stops when no component moves by more than this, or after so many rounds.
const TOLERANCE: f64 = 1e-6;
const MOST_ROUNDS: usize = 100;

/// Positions with up to so many landmarks share vectors: a group of 16 lanes of one position is then
/// padded to its longest window, by far the most of them.
const FEW_LANDMARKS: usize = 32;

/// Pairs that are packed together: enough to find partners of like length, few enough to stay in cache.
const PACKED_PAIRS: usize = 8192;

/// First coordinate of every window, NaN where its position has too few landmarks, or landmarks
/// that are all alike.
pub fn coordinates(positions: Positions<'_>, is_landmark: &[bool], run: Run) -> Result<Vec<f32>> {
    let windows = positions.windows()?;
    let mut results = vec![f32::NAN; windows.len()];
    let spaces = positions.cut(&windows, is_landmark, &mut results, 1).into_iter().filter_map(Space::new);
    let setup = Setup { isa: run.isa, options: Options { normalised: true, ..Options::default() } };
    run.for_each(packs(spaces), |scratch, mut pack| {
        measure(&mut pack, setup, scratch);
        for space in pack {
            space.place(setup, scratch);
        }
    })?;
    Ok(results)
}

/// One position whose windows are to be placed.
struct Space<'a> {
    position: Position<'a, bool>,
    /// Landmarks and other windows, in canonical order, so that sums do not depend on that of the reads.
    chosen: Vec<usize>,
    others: Vec<usize>,
    /// Squared distances between landmarks.
    squared: Vec<f64>,
}

impl<'a> Space<'a> {
    /// None where the landmarks are too few.
    fn new(position: Position<'a, bool>) -> Option<Self> {
        let order = canonical_order(position.windows);
        let (chosen, others): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|&i| position.labels[i]);
        let squared = vec![0.0; chosen.len() * chosen.len()];
        (chosen.len() >= FEWEST_LANDMARKS).then_some(Self { position, chosen, others, squared })
    }

    fn landmarks(&self) -> Vec<&'a [f32]> {
        self.chosen.iter().map(|&i| self.position.windows[i]).collect()
    }

    fn n_pairs(&self) -> usize {
        self.chosen.len() * (self.chosen.len() - 1) / 2
    }

    fn is_small(&self) -> bool {
        let is_short = |&i: &usize| self.position.windows[i].len() <= LONG_SAMPLES;
        self.chosen.len() <= FEW_LANDMARKS && self.chosen.iter().all(is_short)
    }

    fn keep(&mut self, i: usize, j: usize, distance: f32) {
        let n = self.chosen.len();
        self.squared[i * n + j] = f64::from(distance).powi(2);
        self.squared[j * n + i] = self.squared[i * n + j];
    }
}

/// Put small positions together; the others stay alone.
fn packs<'a>(spaces: impl Iterator<Item = Space<'a>>) -> Vec<Vec<Space<'a>>> {
    let (mut packs, mut small, mut pairs) = (Vec::new(), Vec::new(), 0);
    for space in spaces {
        if !space.is_small() {
            packs.push(vec![space]);
            continue;
        }
        pairs += space.n_pairs();
        small.push(space);
        if pairs >= PACKED_PAIRS {
            packs.push(std::mem::take(&mut small));
            pairs = 0;
        }
    }
    packs.push(small);
    packs
}

/// Fill in the distances between the landmarks of each position.
fn measure(pack: &mut [Space<'_>], setup: Setup, scratch: &mut Scratch) {
    let sets: Vec<_> = pack.iter().map(Space::landmarks).collect();
    if pack.iter().all(Space::is_small) {
        within_each(&sets, setup, scratch, &mut |k, i, j, distance| pack[k].keep(i, j, distance));
        return;
    }
    for (space, landmarks) in pack.iter_mut().zip(&sets) {
        let set = Set::new(landmarks);
        for task in set.triangle_tasks() {
            set.run(&task, &set, setup, scratch, &mut |i, j, distance| space.keep(i, j, distance));
        }
    }
}

impl Space<'_> {
    /// Find the main direction and write where each window lies along it.
    fn place(self, setup: Setup, scratch: &mut Scratch) {
        let Self { position: Position { windows, results, .. }, ref chosen, ref others, ref squared } = self;
        let n = chosen.len();
        let row_means: Vec<f64> = squared.chunks(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
        let Some((mut vector, eigenvalue)) = leading_vector(&centred(squared, &row_means)) else { return };
        let landmarks: Vec<&[f32]> = chosen.iter().map(|&i| windows[i]).collect();
        let means: Vec<f64> = landmarks.iter().map(|window| mean(window)).collect();
        point_upwards(&mut vector, &means);
        for (&i, v) in chosen.iter().zip(&vector) {
            results[i] = (eigenvalue.sqrt() * v) as f32;
        }
        let rest: Vec<&[f32]> = others.iter().map(|&i| windows[i]).collect();
        let (set, queries) = (Set::new(&landmarks), Set::new(&rest));
        let mut place = vec![vec![0.0; n]; rest.len()];
        for task in set.rectangle_tasks(&queries) {
            set.run(&task, &queries, setup, scratch, &mut |i, j, distance| {
                place[i][j] = vector[j] * (row_means[j] - f64::from(distance).powi(2));
            });
        }
        for (&i, terms) in others.iter().zip(&place) {
            results[i] = (terms.iter().sum::<f64>() / (2.0 * eigenvalue.sqrt())) as f32;
        }
    }
}

/// `-1/2` of the squared distances, centred by rows and columns.
fn centred(squared: &[f64], row_means: &[f64]) -> Vec<f64> {
    let n = row_means.len();
    let grand_mean = row_means.iter().sum::<f64>() / n as f64;
    let cell = |k: usize| -0.5 * (squared[k] - row_means[k / n] - row_means[k % n] + grand_mean);
    (0..n * n).map(cell).collect()
}

/// Unit eigenvector of the largest eigenvalue of a symmetric matrix, unless that is not positive.
fn leading_vector(matrix: &[f64]) -> Option<(Vec<f64>, f64)> {
    let (vector, eigenvalue) = power_iteration(matrix, 0.0)?;
    if eigenvalue > 0.0 {
        return Some((vector, eigenvalue));
    }
    // Distances that are no metric can have a negative eigenvalue of largest magnitude.
    let (vector, shifted) = power_iteration(matrix, -eigenvalue)?;
    let eigenvalue = shifted + eigenvalue;
    (eigenvalue > 0.0).then_some((vector, eigenvalue))
}

/// Eigenvector of largest magnitude of `matrix + shift * 1` and its eigenvalue, starting from the
/// most outlying window; none for a matrix of zeros.
fn power_iteration(matrix: &[f64], shift: f64) -> Option<(Vec<f64>, f64)> {
    let n = matrix.len().isqrt();
    let diagonal = |i: usize| matrix[i * n + i];
    let start = (0..n).reduce(|best, i| if diagonal(i) > diagonal(best) { i } else { best })?;
    let mut vector = matrix[start * n..(start + 1) * n].to_vec();
    normalise(&mut vector)?;
    let mut eigenvalue = 0.0;
    for _ in 0..MOST_ROUNDS {
        let row_times = |(i, row): (usize, &[f64])| dot(row, &vector) + shift * vector[i];
        let mut next: Vec<f64> = matrix.chunks(n).enumerate().map(row_times).collect();
        eigenvalue = dot(&next, &vector);
        normalise(&mut next)?;
        let sign = eigenvalue.signum();
        let moved = next.iter().zip(&vector).map(|(x, y)| (x - sign * y).abs()).fold(0.0, f64::max);
        vector = next;
        if moved < TOLERANCE {
            break;
        }
    }
    Some((vector, eigenvalue))
}

fn normalise(vector: &mut [f64]) -> Option<()> {
    let length = dot(vector, vector).sqrt();
    for x in &mut *vector {
        *x /= length;
    }
    (length > 0.0).then_some(())
}

/// Turn the vector so that it rises with the windows' means.
fn point_upwards(vector: &mut [f64], means: &[f64]) {
    let centre = means.iter().sum::<f64>() / means.len() as f64;
    let rise: f64 = vector.iter().zip(means).map(|(v, mean)| v * (mean - centre)).sum();
    if rise < 0.0 {
        for v in &mut *vector {
            *v = -*v;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

pub(super) fn mean(window: &[f32]) -> f64 {
    window.iter().map(|&sample| f64::from(sample)).sum::<f64>() / window.len() as f64
}
