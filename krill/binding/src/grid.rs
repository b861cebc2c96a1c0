//! `krill.grid`: mixture evidence of many rows.

use crate::detached::detached_if;
use crate::value_error;
use krill_signal::gain::Starts;
use krill_signal::grid::{Evidence, Grid, Measurements};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

type Outputs<'py> = (
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
);

/// Shifts, shares, their two priors and the steps of the center.
pub(crate) type Axes<'py> = (
    PyReadonlyArray1<'py, f32>,
    PyReadonlyArray1<'py, f32>,
    PyReadonlyArray1<'py, f32>,
    PyReadonlyArray1<'py, f32>,
    PyReadonlyArray1<'py, f32>,
);

/// Share and deviation of outliers, variance of the shifted, spread of shifts, exponent.
pub(crate) type Shape = (f32, f32, f32, f32, f32);

pub(crate) fn grid_of(axes: &Axes<'_>, shape: Shape) -> PyResult<Grid> {
    let (shifts, shares, first_prior, second_prior, center_steps) = axes;
    let (outlier_share, outlier_sd, shifted_variance, shift_spread, temper) = shape;
    Ok(Grid {
        shifts: shifts.as_slice()?.to_vec(),
        shares: shares.as_slice()?.to_vec(),
        first_prior: first_prior.as_slice()?.to_vec(),
        second_prior: second_prior.as_slice()?.to_vec(),
        center_steps: center_steps.as_slice()?.to_vec(),
        outlier_share,
        outlier_sd,
        shifted_variance,
        shift_spread,
        temper,
    })
}

/// Tables of more cells take longer than the way out of the interpreter and back: .7 us each.
const ATTACHED_CELLS: usize = 256;

#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "flat arguments at the native edge")]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
fn mixture_evidence<'py>(
    py: Python<'py>,
    values: PyReadonlyArray1<'py, f32>,
    precision: PyReadonlyArray1<'py, f32>,
    is_first: PyReadonlyArray1<'py, bool>,
    center: PyReadonlyArray1<'py, f32>,
    center_sd: PyReadonlyArray1<'py, f32>,
    axes: Axes<'py>,
    shape: Shape,
    details: bool,
    threads: usize,
) -> PyResult<Outputs<'py>> {
    let grid = grid_of(&axes, shape)?;
    let (center, center_sd) = (center.as_slice()?, center_sd.as_slice()?);
    let (values, precision) = (values.as_slice()?, precision.as_slice()?);
    let data =
        Measurements::new(center.len(), values, precision, is_first.as_slice()?).map_err(value_error)?;
    let is_long = values.len() > ATTACHED_CELLS;
    let evidence =
        detached_if(is_long, py, || grid.evidence(data, center, center_sd, details, threads.max(1)))
            .map_err(value_error)?;
    let Evidence { log_ratio, share, share_tempered, shift, members } = evidence;
    Ok((
        log_ratio.into_pyarray(py),
        share.into_pyarray(py),
        share_tempered.into_pyarray(py),
        shift.into_pyarray(py),
        members.into_pyarray(py),
    ))
}

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
fn mixture_gain<'py>(
    py: Python<'py>,
    values: PyReadonlyArray1<'py, f32>,
    precision: PyReadonlyArray1<'py, f32>,
    is_first: PyReadonlyArray1<'py, bool>,
    rows: usize,
    starts: (Vec<f32>, Vec<f32>, f32, usize),
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (shifts, shares, shift_variance, steps) = starts;
    let starts = Starts { shifts, shares, shift_variance, steps };
    let (values, precision) = (values.as_slice()?, precision.as_slice()?);
    let data = Measurements::new(rows, values, precision, is_first.as_slice()?).map_err(value_error)?;
    let is_long = values.len() > ATTACHED_CELLS;
    let gains = detached_if(is_long, py, || starts.gains(data, threads.max(1))).map_err(value_error)?;
    Ok(gains.into_pyarray(py))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(mixture_evidence, module)?)?;
    module.add_function(wrap_pyfunction!(mixture_gain, module)?)?;
    Ok(())
}
