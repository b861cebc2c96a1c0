//! One signed number per window: the first coordinate of classical scaling of a position's
//! distances, in which a level shift, and any other change of shape, becomes a place on a line.
//!
//! Some windows of a position are landmarks. Their distances, divided by length, are squared,
//! centred by rows and columns and multiplied by -1/2; the leading eigenvector `v` of that matrix
//! `B`, times the square root of its eigenvalue, is their coordinate (Torgerson 1952). Other
//! windows are placed between them by their distances to the landmarks (Gower 1968), which is
//! linear in `v`, so that no distance between two of them is needed.

use super::blocks::{Scratch, Set, Setup, canonical_order};
use super::windows::{Position, Positions};
use super::{Options, Run};
use crate::Result;

/// Fewer landmarks than this say nothing of a direction.
const FEWEST_LANDMARKS: usize = 3;

/// Power iteration stops when no component moves by more than this, or after so many rounds.
const TOLERANCE: f64 = 1e-6;
const MOST_ROUNDS: usize = 100;

/// First coordinate of every window, NaN where its position has too few landmarks, or landmarks
/// that are all alike.
pub fn coordinates(positions: Positions<'_>, is_landmark: &[bool], run: Run) -> Result<Vec<f32>> {
    let windows = positions.windows()?;
    let mut results = vec![f32::NAN; windows.len()];
    run.for_each(positions.cut(&windows, is_landmark, &mut results, 1), |scratch, position| {
        one_position(position, run, scratch);
    })?;
    Ok(results)
}

/// Place the windows of one position.
fn one_position(position: Position<'_, bool>, run: Run, scratch: &mut Scratch) {
    let Position { windows, labels: is_landmark, results } = position;
    // In canonical order, so that sums do not depend on the order of the reads.
    let order = canonical_order(windows);
    let (chosen, others): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|&i| is_landmark[i]);
    let n = chosen.len();
    if n < FEWEST_LANDMARKS {
        return;
    }
    let options = Options { normalised: true, ..Options::default() };
    let setup = Setup { isa: run.isa, options };
    let landmarks: Vec<&[f32]> = chosen.iter().map(|&i| windows[i]).collect();
    let set = Set::new(&landmarks);
    let mut squared = vec![0.0; n * n];
    for task in set.triangle_tasks() {
        set.run(&task, &set, setup, scratch, &mut |i, j, distance| {
            squared[i * n + j] = f64::from(distance).powi(2);
            squared[j * n + i] = squared[i * n + j];
        });
    }
    let row_means: Vec<f64> = squared.chunks(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
    let Some((mut vector, eigenvalue)) = leading_vector(&centred(&squared, &row_means)) else { return };
    let means: Vec<f64> = landmarks.iter().map(|window| mean(window)).collect();
    point_upwards(&mut vector, &means);
    for (&i, v) in chosen.iter().zip(&vector) {
        results[i] = (eigenvalue.sqrt() * v) as f32;
    }
    let rest: Vec<&[f32]> = others.iter().map(|&i| windows[i]).collect();
    let queries = Set::new(&rest);
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
