//! Details of one row from the cells of its grid: posteriors, weights of the members.

use super::Grid;

/// Log likelihood ratios of one row on the grid, index `(center * shifts + shift) * shares + share`.
pub(super) struct Cells {
    pub(super) first: Vec<f64>,  // gain of the first group
    pub(super) second: Vec<f64>, // gain of the second group
    pub(super) outer: Vec<f64>,  // ln weight of the center + log likelihood without shift, per center
}

impl Cells {
    pub(super) fn with_room(grid: &Grid) -> Self {
        let n = grid.center_steps.len();
        let room = || Vec::with_capacity(n * grid.shifts.len() * grid.shares.len());
        Self { first: room(), second: room(), outer: Vec::with_capacity(n) }
    }

    /// Gains of both groups for each pair of center and shift.
    fn blocks(&self, grid: &Grid) -> impl Iterator<Item = (&[f64], &[f64])> {
        let n = grid.shares.len();
        self.first.chunks_exact(n).zip(self.second.chunks_exact(n))
    }
}

pub(super) fn log_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + values.map(|v| (v - top).exp()).sum::<f64>().ln()
}

/// Posterior mass of every cell for the members of the first and of the second group.
pub(super) fn member_weights(cells: &Cells, grid: &Grid) -> Vec<(f32, f32)> {
    let priors = LogPriors::new(grid);
    let per_center = grid.shifts.len();
    let blocks = || cells.blocks(grid).zip(0..).map(|(block, b)| (block, cells.outer[b / per_center]));
    let sums: Vec<_> =
        blocks().map(|((f, s), outer)| (outer, priors.first(f, 1.0), priors.second(s, 1.0))).collect();
    let total = log_sum(sums.iter().map(|(outer, f, s)| outer + f + s));
    let mut weights = Vec::with_capacity(cells.first.len());
    for (((f, s), outer), &(_, sum_f, sum_s)) in blocks().zip(&sums) {
        for k in 0..f.len() {
            let mass = |log: f64| (outer + log - total).exp() as f32;
            weights.push((mass(priors.first[k] + f[k] + sum_s), mass(priors.second[k] + s[k] + sum_f)));
        }
    }
    weights
}

/// Logarithms of the normalised priors; minus infinity where the prior is 0.
struct LogPriors {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl LogPriors {
    fn new(grid: &Grid) -> Self {
        let logs = |prior: &[f32]| prior.iter().map(|&p| f64::from(p).ln()).collect();
        Self { first: logs(&grid.first_prior), second: logs(&grid.second_prior) }
    }

    fn first(&self, gains: &[f64], temper: f64) -> f64 {
        log_sum(self.first.iter().zip(gains).map(|(prior, gain)| prior + temper * gain))
    }

    fn second(&self, gains: &[f64], temper: f64) -> f64 {
        log_sum(self.second.iter().zip(gains).map(|(prior, gain)| prior + temper * gain))
    }
}

/// Posteriors of a row.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) share: Vec<f32>,
    pub(super) share_tempered: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Details {
    pub(super) fn of(cells: &Cells, grid: &Grid) -> Self {
        let (share, shift) = posterior(cells, grid, 1.0);
        let (share_tempered, _) = posterior(cells, grid, f64::from(grid.temper));
        Self { share, share_tempered, shift }
    }
}

/// Posterior of share and shift with both shares free.
fn posterior(cells: &Cells, grid: &Grid, temper: f64) -> (Vec<f32>, Vec<f32>) {
    let priors = LogPriors::new(grid);
    let (shares, shifts) = (grid.shares.len(), grid.shifts.len());
    let mut log_cells = Vec::with_capacity(cells.first.len());
    for (b, (f, s)) in cells.blocks(grid).enumerate() {
        let outer = temper * cells.outer[b / shifts] + priors.second(s, temper);
        log_cells.extend(priors.first.iter().zip(f).map(|(prior, f)| outer + prior + temper * f));
    }
    let total = log_sum(log_cells.iter().copied());
    let (mut share, mut shift) = (vec![0.0; shares], vec![0.0; shifts]);
    for (i, log_cell) in log_cells.iter().enumerate() {
        let mass = (log_cell - total).exp() as f32;
        share[i % shares] += mass;
        shift[(i / shares) % shifts] += mass;
    }
    (share, shift)
}
