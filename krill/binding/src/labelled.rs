//! `krill.labelled`: the evidence of tables under other labels.

use crate::detached::detached;
use crate::grid::{Axes, Shape, grid_of};
use crate::tables::{FootprintOf, ModerationOf, TrendOf, footprint_of, moderation_of, trend_of};
use crate::value_error;
use krill_signal::labelled::{Labelling, Method, Scores, Tables};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

/// Columns, which are of the first label, rows to score, how many of them at most.
type LabellingOf<'py> =
    (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, bool>, PyReadonlyArray1<'py, i64>, usize);

/// Of a labelling: scored rows, depths, evidence.
type ScoresOf<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<f64>>);

/// Settings of the tables, of the grid, and the least controls and columns of a row.
type MethodOf<'py> = (ModerationOf, TrendOf, FootprintOf, Axes<'py>, Shape, (usize, usize));

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
fn labelled_scores<'py>(
    py: Python<'py>,
    tables: Vec<(PyReadonlyArray1<'py, f32>, PyReadonlyArray1<'py, f32>)>,
    columns: usize,
    kind: PyReadonlyArray1<'py, i64>,
    labellings: Vec<LabellingOf<'py>>,
    method: MethodOf<'py>,
    threads: usize,
) -> PyResult<Vec<ScoresOf<'py>>> {
    let (moderation, trend, footprint, axes, grid, (least_controls, least_columns)) = method;
    let method = Method {
        moderation: moderation_of(moderation),
        trend: trend_of(trend),
        footprint: footprint_of(footprint),
        grid: grid_of(&axes, grid)?,
        least_controls,
        least_columns,
    };
    let cells = tables
        .iter()
        .map(|(values, weight)| Ok((values.as_slice()?, weight.as_slice()?)))
        .collect::<PyResult<Vec<_>>>()?;
    let tables = Tables::new(columns, cells, kind.as_slice()?).map_err(value_error)?;
    let labellings = labellings
        .iter()
        .map(|(columns, is_first, rows, most)| {
            let (columns, is_first, rows) = (columns.as_slice()?, is_first.as_slice()?, rows.as_slice()?);
            Ok(Labelling { columns, is_first, rows, most: *most })
        })
        .collect::<PyResult<Vec<_>>>()?;
    let scores = detached(py, || tables.scores(&labellings, &method, threads.max(1))).map_err(value_error)?;
    let of_one = |Scores { rows, depth, log_ratio }| {
        (rows.into_pyarray(py), depth.into_pyarray(py), log_ratio.into_pyarray(py))
    };
    Ok(scores.into_iter().map(of_one).collect())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(labelled_scores, module)?)?;
    Ok(())
}
