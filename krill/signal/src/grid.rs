//! Marginal likelihood of a two-component mixture on a grid: two groups of weighted
//! measurements, each a mixture of an unshifted and a shifted normal, with an outlier term
//! shared by both components. Knows numbers only; called through `krill.grid`.
//!
//! Values are combined in an order that does not depend on the vector width of the CPU, and rows
//! are independent: the same bytes for any number of threads.

mod cells;
mod products;

use crate::isa::{Isa, Kernel};
use crate::lanes::{Buffer, exp, ln_product};
use crate::parallel::map_rows;
use crate::{Error, Result};
use cells::{Cells, Details, log_sum, member_weights};
use products::{LANES, Products, Scaled};

/// The grid and its priors. `shares`, `first_prior` and `second_prior` have one length.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Shifts of the second component, in units of the values.
    pub shifts: Vec<f32>,
    /// Shares of the second component.
    pub shares: Vec<f32>,
    /// Prior of the shares in the first group (sums to 1).
    pub first_prior: Vec<f32>,
    /// Prior of the shares in the second group (sums to 1).
    pub second_prior: Vec<f32>,
    /// Places of the unshifted mean, in units of its standard deviation; weights exp(-t^2/2).
    pub center_steps: Vec<f32>,
    /// Share of outliers in either component.
    pub outlier_share: f32,
    /// Standard deviation of outliers, relative to the measurement's own.
    pub outlier_sd: f32,
    /// Variance of the shifted component, relative to the measurement's own.
    pub shifted_variance: f32,
    /// Standard deviation of the shift between measurements, relative to the shift.
    pub shift_spread: f32,
    /// Exponent of the likelihood in the tempered posterior.
    pub temper: f32,
}

/// Measurements: `rows x columns`, row-major. A precision of 0 = absent.
#[derive(Debug, Clone, Copy)]
pub struct Measurements<'a> {
    rows: usize,
    values: &'a [f32],
    precision: &'a [f32],
    is_first: &'a [bool],
}

impl<'a> Measurements<'a> {
    /// Check the shapes; `is_first` names each column's group.
    pub fn new(rows: usize, values: &'a [f32], precision: &'a [f32], is_first: &'a [bool]) -> Result<Self> {
        let columns = is_first.len();
        if values.len() != rows * columns || precision.len() != rows * columns {
            let problem = format!("has {} values for {rows} rows of {columns} columns", values.len());
            return Err(Error::Argument { name: "values", problem });
        }
        Ok(Self { rows, values, precision, is_first })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Values and precisions of `row` in the first group.
    pub(crate) fn first_group(&self, row: usize) -> (Vec<f32>, Vec<f32>) {
        self.present(row, true).unzip()
    }

    /// Values and precisions of `row` in the second group.
    pub(crate) fn second_group(&self, row: usize) -> impl Iterator<Item = (f32, f32)> {
        self.present(row, false)
    }

    fn present(&self, row: usize, first: bool) -> impl Iterator<Item = (f32, f32)> {
        let n = self.is_first.len();
        (0..n).filter_map(move |column| {
            let at = row * n + column;
            let is_here = self.precision[at] > 0.0 && self.is_first[column] == first;
            is_here.then(|| (self.values[at], self.precision[at]))
        })
    }

    /// Columns of `row` in the given group that hold a measurement.
    fn group(&self, row: usize, first: bool, grid: &Grid) -> Group {
        let n = self.is_first.len();
        let (mut columns, mut values, mut roots) = (vec![], vec![], vec![]);
        for column in 0..n {
            let precision = self.precision[row * n + column];
            if precision > 0.0 && self.is_first[column] == first {
                columns.push(column);
                values.push(self.values[row * n + column]);
                roots.push(precision.sqrt());
            }
        }
        Group::new(columns, &values, &roots, grid)
    }
}

/// What is known of every row after the sums.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// ln P(data | shares free in each group) - ln P(data | one share for both).
    pub log_ratio: Vec<f64>,
    /// Posterior of the first group's share, `rows x shares`; this and the others are empty if no
    /// details were asked for.
    pub share: Vec<f32>,
    /// The same from the tempered likelihood.
    pub share_tempered: Vec<f32>,
    /// Posterior of the shift, `rows x shifts`.
    pub shift: Vec<f32>,
    /// Probability that each measurement comes from the shifted component, `rows x columns`;
    /// 0 where absent.
    pub members: Vec<f32>,
}

#[derive(Debug)]
struct Group {
    columns: Vec<usize>,
    values: Buffer,
    roots: Buffer,
    standard: Buffer,
    outlier: Buffer,
    density: Buffer,
    excess: Buffer,
    /// Height of the shifted normal of each measurement, one row per shift of the grid.
    height: Buffer,
    /// Factor of the squared deviation in its exponent. Neither depends on the center.
    width: Buffer,
}

impl Group {
    #[inline(always)]
    fn new(columns: Vec<usize>, values: &[f32], roots: &[f32], grid: &Grid) -> Self {
        let (values, roots) = (Buffer::padded(values), Buffer::padded(roots));
        let padded = values.len();
        let zeros = || Buffer::zeros(padded);
        let (mut height, mut width) =
            (Buffer::zeros(padded * grid.shifts.len()), Buffer::zeros(padded * grid.shifts.len()));
        let inlier = 1.0 - grid.outlier_share;
        for (k, &shift) in grid.shifts.iter().enumerate() {
            // the shift itself varies between measurements, in proportion to its size
            let spread = grid.shift_spread * shift;
            let (height, width) = (&mut height[k * padded..][..padded], &mut width[k * padded..][..padded]);
            for i in 0..padded {
                let deviation = spread * roots[i];
                let variance = grid.shifted_variance + deviation * deviation;
                height[i] = inlier / variance.sqrt();
                width[i] = -0.5 / variance;
            }
        }
        Self {
            columns,
            standard: zeros(),
            outlier: zeros(),
            density: zeros(),
            excess: zeros(),
            values,
            roots,
            height,
            width,
        }
    }

    /// Set the unshifted mean; return the log likelihood without shifted measurements.
    #[inline(always)]
    fn center(&mut self, center: f32, grid: &Grid) -> f64 {
        let padded = self.values.len();
        let (values, roots) = (&self.values[..padded], &self.roots[..padded]);
        let (standard, outlier) = (&mut self.standard[..padded], &mut self.outlier[..padded]);
        let density = &mut self.density[..padded];
        let inlier = 1.0 - grid.outlier_share;
        let height = grid.outlier_share / grid.outlier_sd;
        let width = -0.5 / (grid.outlier_sd * grid.outlier_sd);
        for i in 0..padded {
            let u = (values[i] - center) * roots[i];
            standard[i] = u;
            outlier[i] = height * exp(width * u * u);
            // far from everything both densities are 0: their ratio is then 1
            density[i] = (inlier * exp(-0.5 * u * u) + outlier[i]).max(f32::MIN_POSITIVE);
        }
        let mut factors = self.density[..self.columns.len().next_multiple_of(16).min(padded)].to_vec();
        factors[self.columns.len()..].fill(1.0); // padding counts for nothing
        ln_product(&mut factors)
    }

    /// Fill `excess` with the density ratio of shifted to unshifted, minus 1, for shift `index`.
    #[inline(always)]
    fn shift(&mut self, index: usize, grid: &Grid) {
        let shift = grid.shifts[index];
        let padded = self.values.len();
        let (height, width) =
            (&self.height[index * padded..][..padded], &self.width[index * padded..][..padded]);
        let (standard, roots) = (&self.standard[..padded], &self.roots[..padded]);
        let (outlier, density) = (&self.outlier[..padded], &self.density[..padded]);
        let excess = &mut self.excess[..padded];
        for i in 0..padded {
            let u = standard[i] - shift * roots[i];
            excess[i] = (height[i] * exp(width[i] * u * u) + outlier[i]) / density[i] - 1.0;
        }
    }

    /// The likelihood ratio to no shifted measurement, for each share of a block.
    #[inline(always)]
    fn gains(&self, block: &Shares) -> Products {
        Products::of(&block.value, &self.excess[..self.columns.len()])
    }

    /// Add `weight` times the posterior of the shifted component.
    #[inline(always)]
    fn add_members(&self, share: f32, weight: f32, sums: &mut [f32]) {
        for (&excess, sum) in self.excess.iter().zip(sums) {
            *sum += weight * share * (excess + 1.0) / (1.0 + share * excess);
        }
    }
}

/// Up to [`LANES`] shares of a grid and their priors; places that are left have none.
#[derive(Debug, Clone)]
struct Shares {
    n: usize,
    value: [f64; LANES],
    first_prior: [f64; LANES],
    second_prior: [f64; LANES],
}

impl Shares {
    fn blocks(grid: &Grid) -> Vec<Self> {
        let lanes = |values: &[f32], start: usize| -> [f64; LANES] {
            std::array::from_fn(|lane| values.get(start + lane).map_or(0.0, |&value| f64::from(value)))
        };
        let block = |start: usize| Self {
            n: (grid.shares.len() - start).min(LANES),
            value: lanes(&grid.shares, start),
            first_prior: lanes(&grid.first_prior, start),
            second_prior: lanes(&grid.second_prior, start),
        };
        (0..grid.shares.len()).step_by(LANES).map(block).collect()
    }
}

/// Score one row; `center` and `center_sd` place the unshifted mean. Details are given where there
/// is room for members.
#[inline(always)]
fn row(
    data: &Measurements<'_>,
    row: usize,
    (center, center_sd): (f32, f32),
    (grid, shares): (&Grid, &[Shares]),
    members: Option<&mut [f32]>,
) -> (f64, Details) {
    let (mut first, mut second) = (data.group(row, true, grid), data.group(row, false, grid));
    let mut cells = members.is_some().then(|| Cells::with_room(grid));
    let place = |step: f32| center + step * center_sd;
    let (mut free, mut same): (Vec<f64>, Vec<f64>) = (vec![], vec![]); // of each center
    for &step in &grid.center_steps {
        let likelihood = first.center(place(step), grid);
        second.center(place(step), grid);
        let outer = likelihood - 0.5 * f64::from(step * step);
        let (mut free_here, mut same_here) = (Scaled::ZERO, Scaled::ZERO);
        for shift in 0..grid.shifts.len() {
            first.shift(shift, grid);
            second.shift(shift, grid);
            let (mut in_first, mut in_second) = (Scaled::ZERO, Scaled::ZERO);
            for block in shares {
                let (one, two) = (first.gains(block), second.gains(block));
                in_first = in_first.plus(one.sum(&block.first_prior));
                in_second = in_second.plus(two.sum(&block.second_prior));
                same_here = same_here.plus(one.times(&two).sum(&block.second_prior));
                if let Some(cells) = &mut cells {
                    cells.first.extend(one.ln().take(block.n));
                    cells.second.extend(two.ln().take(block.n));
                }
            }
            free_here = free_here.plus(in_first.times(in_second));
        }
        free.push(outer + free_here.ln());
        same.push(outer + same_here.ln());
        if let Some(cells) = &mut cells {
            cells.outer.push(outer);
        }
    }
    let log_ratio = log_sum(free.iter().copied()) - log_sum(same.iter().copied());
    let (Some(members), Some(cells)) = (members, cells) else { return (log_ratio, Details::default()) };
    let weights = member_weights(&cells, grid);
    let mut sums = (vec![0.0; first.columns.len()], vec![0.0; second.columns.len()]);
    let mut cell = weights.iter();
    for &step in &grid.center_steps {
        first.center(place(step), grid);
        second.center(place(step), grid);
        for shift in 0..grid.shifts.len() {
            let near: Vec<_> = cell.by_ref().take(grid.shares.len()).collect();
            if near.iter().all(|w| w.0 + w.1 < NEGLIGIBLE) {
                continue;
            }
            first.shift(shift, grid);
            second.shift(shift, grid);
            for (&share, &&(in_first, in_second)) in grid.shares.iter().zip(&near) {
                if in_first > NEGLIGIBLE {
                    first.add_members(share, in_first, &mut sums.0);
                }
                if in_second > NEGLIGIBLE {
                    second.add_members(share, in_second, &mut sums.1);
                }
            }
        }
    }
    for (group, sums) in [(&first, &sums.0), (&second, &sums.1)] {
        for (&column, &p) in group.columns.iter().zip(sums) {
            members[column] = p.clamp(0.0, 1.0);
        }
    }
    (log_ratio, Details::of(&cells, grid))
}

/// Posterior mass of a grid cell below which it is left out of the members' sums.
const NEGLIGIBLE: f32 = 1e-6;

/// One row, for [`Isa::run`].
struct RowKernel<'a> {
    data: Measurements<'a>,
    index: usize,
    center: (f32, f32),
    grid: (&'a Grid, &'a [Shares]),
    members: Option<&'a mut [f32]>,
}

impl Kernel for RowKernel<'_> {
    type Output = (f64, Details);
    #[inline(always)]
    fn run(self) -> (f64, Details) {
        row(&self.data, self.index, self.center, self.grid, self.members)
    }
}

impl Grid {
    fn check(&self) -> Result<()> {
        let fail = |name, problem: &str| Err(Error::Argument { name, problem: problem.into() });
        let n = self.shares.len();
        if n == 0 || self.first_prior.len() != n || self.second_prior.len() != n {
            return fail("shares", "and both priors must have one length above 0");
        }
        if self.shifts.is_empty() || self.center_steps.is_empty() {
            return fail("shifts", "and center_steps must not be empty");
        }
        if !self.shares.iter().all(|share| (0.0..1.0).contains(share)) {
            return fail("shares", "must lie in [0, 1)");
        }
        if !(self.outlier_share > 0.0 && self.outlier_share < 1.0) {
            return fail("outlier_share", "must lie between 0 and 1");
        }
        Ok(())
    }

    /// Score every row. `center` and `center_sd` have one entry per row.
    pub fn evidence(
        &self,
        data: Measurements<'_>,
        center: &[f32],
        center_sd: &[f32],
        want_details: bool,
        threads: usize,
    ) -> Result<Evidence> {
        self.check()?;
        let (rows, columns) = (data.rows, data.is_first.len());
        if center.len() != rows || center_sd.len() != rows {
            let problem = format!("has {} and {} entries for {rows} rows", center.len(), center_sd.len());
            return Err(Error::Argument { name: "center", problem });
        }
        let isa = Isa::selected()?;
        let shares = Shares::blocks(self);
        let scored = map_rows(rows, threads, |i| {
            let mut members = vec![0.0; if want_details { columns } else { 0 }];
            let wanted = want_details.then_some(&mut members[..]);
            let center = (center[i], center_sd[i]);
            let kernel = RowKernel { data, index: i, center, grid: (self, &shares), members: wanted };
            (isa.run(kernel), members)
        })?;
        let mut out = Evidence::default();
        for ((log_ratio, details), members) in scored {
            out.log_ratio.push(log_ratio);
            out.share.extend(details.share);
            out.share_tempered.extend(details.share_tempered);
            out.shift.extend(details.shift);
            out.members.extend(members);
        }
        Ok(out)
    }
}
