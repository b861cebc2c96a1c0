//! `krill.table_lines`: columns as text.

use krill_reads::table::{Column, lines};
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::detached::detached;

/// Cells of a column; text as bytes, a row per line.
#[derive(FromPyObject)]
pub(crate) enum Cells<'py> {
    Real(PyReadonlyArray1<'py, f64>),
    Whole(PyReadonlyArray1<'py, i64>),
    Text(PyReadonlyArray2<'py, u8>),
}

impl Cells<'_> {
    fn column(&self) -> PyResult<Column<'_>> {
        Ok(match self {
            Self::Real(values) => Column::Real(values.as_slice()?),
            Self::Whole(values) => Column::Whole(values.as_slice()?),
            Self::Text(bytes) => Column::Text(bytes.as_slice()?, bytes.shape()[1]),
        })
    }
}

/// Return columns that have `n` lines each as text.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
pub(crate) fn table_lines<'py>(
    py: Python<'py>,
    columns: Vec<Cells<'py>>,
    n: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let columns = columns.iter().map(Cells::column).collect::<PyResult<Vec<_>>>()?;
    Ok(PyBytes::new(py, &detached(py, || lines(&columns, n))))
}
