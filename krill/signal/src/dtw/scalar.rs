//! The definition of dynamic time warping. Everything else must give the same bits.

use super::{Cost, LONG_SAMPLES, Options};

/// Distance between two signals, cell by cell.
///
/// `D[i][j] = cost(a[i], b[j]) + min(D[i-1][j], D[i][j-1], D[i-1][j-1])`, where `D[-1][-1] = 0` and
/// every other cell outside the matrix is infinite. With `open_start` row `-1` is 0 throughout
/// (`a` may begin anywhere in `b`); with `open_end` the result is the smallest cell of the last row
/// (`a` may end anywhere in `b`), otherwise the last. Sums are float32, `d * d + best` rounded once;
/// float64 as soon as one signal has more than [`LONG_SAMPLES`] samples.
#[must_use]
pub fn distance(a: &[f32], b: &[f32], options: Options) -> f32 {
    let mut row = vec![if options.open_start { 0.0 } else { f64::INFINITY }; b.len()];
    let is_long = a.len().max(b.len()) > LONG_SAMPLES;
    for (i, &x) in a.iter().enumerate() {
        let mut diagonal = if i == 0 { 0.0 } else { f64::INFINITY };
        let mut left = f64::INFINITY;
        for (cell, &y) in row.iter_mut().zip(b) {
            let best = left.min(diagonal).min(*cell);
            diagonal = *cell;
            left = if is_long {
                wide(x, y, best, options.cost)
            } else {
                narrow(x, y, best as f32, options.cost).into()
            };
            *cell = left;
        }
    }
    let end =
        if options.open_end { row.iter().copied().fold(f64::INFINITY, f64::min) } else { row[b.len() - 1] };
    let total = if options.normalised { a.len() + b.len() } else { 1 };
    match (is_long, options.cost) {
        (true, Cost::Squared) => (end / total as f64).sqrt() as f32,
        (true, Cost::Absolute) => (end / total as f64) as f32,
        (false, Cost::Squared) => (end as f32 / total as f32).sqrt(),
        (false, Cost::Absolute) => end as f32 / total as f32,
    }
}

fn narrow(x: f32, y: f32, best: f32, cost: Cost) -> f32 {
    let difference = x - y;
    match cost {
        Cost::Squared => difference.mul_add(difference, best),
        Cost::Absolute => difference.abs() + best,
    }
}

fn wide(x: f32, y: f32, best: f64, cost: Cost) -> f64 {
    let difference = f64::from(x) - f64::from(y);
    match cost {
        Cost::Squared => difference.mul_add(difference, best),
        Cost::Absolute => difference.abs() + best,
    }
}
