//! `krill.tables`: rows held against their controls.

use crate::detached::detached_if;
use crate::value_error;
use krill_signal::tables::{
    Footprint, Moderation, Shifts, Standardised, Table, Trend, control_center, standardise,
};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

type F32<'py> = PyReadonlyArray1<'py, f32>;
type Out<'py> = Bound<'py, PyArray1<f32>>;

/// Prior, prior of the kind, clip.
pub(crate) type ModerationOf = (f64, f64, f32);
/// Reach, gap, prior, cut, slope, difference.
pub(crate) type TrendOf = (usize, usize, f64, f32, f32, f64);
/// Shares, least precision, prior.
pub(crate) type FootprintOf = (Vec<f32>, f32, f64);

pub(crate) fn moderation_of((prior, kind_prior, clip): ModerationOf) -> Moderation {
    Moderation { prior, kind_prior, clip }
}

pub(crate) fn trend_of((reach, gap, prior, cut, slope, difference): TrendOf) -> Trend {
    Trend { reach, gap, prior, cut, slope, difference }
}

pub(crate) fn footprint_of((shares, least_precision, prior): FootprintOf) -> Footprint {
    Footprint { shares, least_precision, prior }
}

/// Tables of more cells take longer than the way out of the interpreter and back: 40 ns each.
const ATTACHED_CELLS: usize = 8192;

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
fn table_standardise<'py>(
    py: Python<'py>,
    values: F32<'py>,
    weight: F32<'py>,
    is_control: PyReadonlyArray1<'py, bool>,
    kind: PyReadonlyArray1<'py, i64>,
    moderation: ModerationOf,
    trend: TrendOf,
) -> PyResult<(Out<'py>, Out<'py>)> {
    let (values, kind) = (values.as_slice()?, kind.as_slice()?);
    let table =
        Table::new(kind.len(), values, weight.as_slice()?, is_control.as_slice()?).map_err(value_error)?;
    let (moderation, trend) = (moderation_of(moderation), trend_of(trend));
    let Standardised { z, spread } =
        detached_if(values.len() > ATTACHED_CELLS, py, || standardise(table, kind, moderation, trend))
            .map_err(value_error)?;
    Ok((z.into_pyarray(py), spread.into_pyarray(py)))
}

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
fn table_shifts<'py>(
    py: Python<'py>,
    z: F32<'py>,
    weight: F32<'py>,
    is_control: PyReadonlyArray1<'py, bool>,
    spread: F32<'py>,
    footprint: FootprintOf,
) -> PyResult<(Out<'py>, Out<'py>, Out<'py>)> {
    let (z, spread) = (z.as_slice()?, spread.as_slice()?);
    let table =
        Table::new(spread.len(), z, weight.as_slice()?, is_control.as_slice()?).map_err(value_error)?;
    let footprint = footprint_of(footprint);
    let Shifts { value, precision, plain_precision } =
        detached_if(z.len() > ATTACHED_CELLS, py, || footprint.shifts(table, spread)).map_err(value_error)?;
    Ok((value.into_pyarray(py), precision.into_pyarray(py), plain_precision.into_pyarray(py)))
}

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
fn table_control_center<'py>(
    py: Python<'py>,
    values: F32<'py>,
    precision: F32<'py>,
    is_control: PyReadonlyArray1<'py, bool>,
    rows: usize,
) -> PyResult<(Out<'py>, Out<'py>)> {
    let values = values.as_slice()?;
    let table =
        Table::new(rows, values, precision.as_slice()?, is_control.as_slice()?).map_err(value_error)?;
    let (center, deviation) = detached_if(values.len() > ATTACHED_CELLS, py, || control_center(table));
    Ok((center.into_pyarray(py), deviation.into_pyarray(py)))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(table_standardise, module)?)?;
    module.add_function(wrap_pyfunction!(table_shifts, module)?)?;
    module.add_function(wrap_pyfunction!(table_control_center, module)?)?;
    Ok(())
}
