//! The evidence of tables under other labels of their columns: everything from the values on is run
//! again. Composes [`crate::tables`] and [`crate::grid`]; called through `krill.labelled`.

use std::borrow::Cow;

use crate::grid::{Grid, Measurements};
use crate::parallel::map_rows;
use crate::tables::{Footprint, Moderation, Shifts, Table, Trend, control_center, standardise};
use crate::{Error, Result};

/// How values become evidence.
#[derive(Debug, Clone)]
pub struct Method {
    /// Spread of a row.
    pub moderation: Moderation,
    /// Trend of a column.
    pub trend: Trend,
    /// What a shift does to the rows around it.
    pub footprint: Footprint,
    /// Where the likelihood is summed.
    pub grid: Grid,
    /// A row with fewer controls in a table is absent from it.
    pub least_controls: usize,
    /// A row is scored where the first table has shifts of so many columns of either label.
    pub least_columns: usize,
}

/// Some columns of the tables with their labels, and which rows to score.
#[derive(Debug, Clone, Copy)]
pub struct Labelling<'a> {
    /// The columns.
    pub columns: &'a [i64],
    /// Label of each of them; the others are the controls.
    pub is_first: &'a [bool],
    /// Rows to score, in the order in which they are tried.
    pub rows: &'a [i64],
    /// So many at most are scored.
    pub most: usize,
}

/// What a labelling gives.
#[derive(Debug, Default, Clone)]
pub struct Scores {
    /// Scored rows, rising.
    pub rows: Vec<i64>,
    /// Columns of the rarer label that have a shift there.
    pub depth: Vec<i32>,
    /// ln evidence, `tables x rows`.
    pub log_ratio: Vec<f64>,
}

/// Tables of one shape and the kind of each row.
#[derive(Debug, Clone)]
pub struct Tables<'a> {
    columns: usize,
    /// Values and weights of each, `rows x columns`, row-major.
    cells: Vec<(&'a [f32], &'a [f32])>,
    kind: &'a [i64],
}

impl<'a> Tables<'a> {
    /// Check the shapes of values and weights.
    pub fn new(columns: usize, cells: Vec<(&'a [f32], &'a [f32])>, kind: &'a [i64]) -> Result<Self> {
        let n = kind.len() * columns;
        if let Some((values, _)) = cells.iter().find(|one| one.0.len() != n || one.1.len() != n) {
            let problem = format!("has {} values for {} rows of {columns} columns", values.len(), kind.len());
            return Err(Error::Argument { name: "values", problem });
        }
        Ok(Self { columns, cells, kind })
    }

    fn rows(&self) -> usize {
        self.kind.len()
    }

    /// Score every labelling; they are independent.
    pub fn scores(
        &self,
        labellings: &[Labelling<'_>],
        method: &Method,
        threads: usize,
    ) -> Result<Vec<Scores>> {
        for labelling in labellings {
            self.check(labelling)?;
        }
        map_rows(labellings.len(), threads, |i| self.score(&labellings[i], method))?.into_iter().collect()
    }

    fn check(&self, labelling: &Labelling<'_>) -> Result<()> {
        let fail = |name, problem: String| Err(Error::Argument { name, problem });
        let is_within =
            |index: &[i64], n: usize| index.iter().all(|&i| usize::try_from(i).is_ok_and(|i| i < n));
        if labelling.is_first.len() != labelling.columns.len() {
            let n = (labelling.is_first.len(), labelling.columns.len());
            return fail("is_first", format!("has {} labels for {} columns", n.0, n.1));
        }
        if !is_within(labelling.columns, self.columns) {
            return fail("columns", format!("must be of the {} there are", self.columns));
        }
        if !is_within(labelling.rows, self.rows()) {
            return fail("rows", format!("must be of the {} there are", self.rows()));
        }
        Ok(())
    }

    fn score(&self, labelling: &Labelling<'_>, method: &Method) -> Result<Scores> {
        let is_control: Vec<bool> = labelling.is_first.iter().map(|first| !first).collect();
        let mut shifts: Vec<Shifts> = vec![];
        let mut spread: Vec<f32> = vec![];
        for (values, weight) in &self.cells {
            let values = self.of_columns(values, labelling);
            let mut weight = self.of_columns(weight, labelling).into_owned();
            drop_rows(&mut weight, &is_control, method.least_controls);
            let table = Table::new(self.rows(), &values, &weight, &is_control)?;
            let standard = standardise(table, self.kind, method.moderation, method.trend)?;
            if shifts.is_empty() {
                spread = standard.spread; // whatever joined the first table is counted in its unit
            }
            let table = Table::new(self.rows(), &standard.z, &weight, &is_control)?;
            shifts.push(method.footprint.shifts(table, &spread)?);
        }
        let Some(first) = shifts.first() else { return Ok(Scores::default()) };
        let depth = depths(&first.precision, labelling.is_first, self.rows());
        let is_deep = |row: &i64| depth[*row as usize] >= method.least_columns;
        let mut rows: Vec<i64> =
            labelling.rows.iter().copied().filter(is_deep).take(labelling.most).collect();
        rows.sort_unstable();
        let mut log_ratio = vec![];
        for one in &shifts {
            let (values, precision) =
                (of_rows(&one.value, &rows, &is_control), of_rows(&one.precision, &rows, &is_control));
            let (center, deviation) =
                control_center(Table::new(rows.len(), &values, &precision, &is_control)?);
            let data = Measurements::new(rows.len(), &values, &precision, labelling.is_first)?;
            log_ratio.extend(method.grid.evidence(data, &center, &deviation, false, 1)?.log_ratio);
        }
        let depth = rows.iter().map(|&row| depth[row as usize] as i32).collect();
        Ok(Scores { rows, depth, log_ratio })
    }

    /// The columns of a labelling, row by row.
    fn of_columns(&self, cells: &'a [f32], labelling: &Labelling<'_>) -> Cow<'a, [f32]> {
        if labelling.columns.iter().copied().eq(0..self.columns as i64) {
            return Cow::Borrowed(cells);
        }
        let rows = cells.chunks(self.columns.max(1));
        rows.flat_map(|row| labelling.columns.iter().map(|&column| row[column as usize])).collect()
    }
}

/// Make rows absent that have fewer controls.
fn drop_rows(weight: &mut [f32], is_control: &[bool], least: usize) {
    for row in weight.chunks_mut(is_control.len().max(1)) {
        let controls =
            row.iter().zip(is_control).filter(|(weight, is_control)| **is_control && **weight > 0.0);
        if controls.count() < least {
            row.fill(0.0);
        }
    }
}

/// Columns of the rarer label that are present in each row.
fn depths(precision: &[f32], is_first: &[bool], rows: usize) -> Vec<usize> {
    let columns = is_first.len();
    let of_row = |row: usize| {
        let mut n = [0, 0];
        for (&precision, &first) in precision[row * columns..][..columns].iter().zip(is_first) {
            n[usize::from(first)] += usize::from(precision > 0.0);
        }
        n[0].min(n[1])
    };
    (0..rows).map(of_row).collect()
}

/// The cells of some rows, one row after the other; `columns` has an entry per column.
fn of_rows(cells: &[f32], rows: &[i64], columns: &[bool]) -> Vec<f32> {
    let n = columns.len();
    rows.iter().flat_map(|&row| &cells[row as usize * n..][..n]).copied().collect()
}
