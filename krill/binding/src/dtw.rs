//! `krill.dtw_*`: arrays to slices and back.

#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arrays over by value")]

use crate::detached::detached;
use crate::value_error;
use krill_signal::dtw::{self, Cost, Options, Positions, Role, Run};
use krill_signal::{Isa, Ragged};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Which distance, and how it is computed; mirrors `krill.dtw`.
#[pyclass(frozen, module = "krill._krill")]
struct DtwSetup {
    options: Options,
    run: Run,
}

#[pymethods]
impl DtwSetup {
    #[new]
    fn new(threads: usize, cost: &str, flags: (bool, bool, bool)) -> PyResult<Self> {
        let isa = Isa::selected().map_err(value_error)?;
        let cost = match cost {
            "squared" => Cost::Squared,
            "absolute" => Cost::Absolute,
            _ => return Err(PyValueError::new_err(format!("cost {cost:?} is neither squared nor absolute"))),
        };
        if threads == 0 {
            return Err(PyValueError::new_err("threads must be at least 1"));
        }
        let (normalised, open_start, open_end) = flags;
        Ok(Self { options: Options { cost, normalised, open_start, open_end }, run: Run { isa, threads } })
    }
}

type Floats<'py> = Bound<'py, PyArray1<f32>>;
type Values<'py> = PyReadonlyArray1<'py, f32>;
type Offsets<'py> = PyReadonlyArray1<'py, i64>;

#[pyfunction]
fn dtw_pairwise<'py>(
    py: Python<'py>,
    values: Values<'py>,
    offsets: Offsets<'py>,
    setup: &DtwSetup,
) -> PyResult<Floats<'py>> {
    let signals = rows(values.as_slice()?, offsets.as_slice()?)?;
    let distances =
        detached(py, || dtw::pairwise(&signals, setup.options, setup.run)).map_err(value_error)?;
    Ok(distances.into_pyarray(py))
}

#[pyfunction]
fn dtw_cross<'py>(
    py: Python<'py>,
    a: (Values<'py>, Offsets<'py>),
    b: (Values<'py>, Offsets<'py>),
    setup: &DtwSetup,
) -> PyResult<Floats<'py>> {
    let queries = rows(a.0.as_slice()?, a.1.as_slice()?)?;
    let candidates = rows(b.0.as_slice()?, b.1.as_slice()?)?;
    let distances =
        detached(py, || dtw::cross(&queries, &candidates, setup.options, setup.run)).map_err(value_error)?;
    Ok(distances.into_pyarray(py))
}

/// The definition itself, slow: what the fast paths are tested against.
#[pyfunction]
fn dtw_definition(a: Values<'_>, b: Values<'_>, setup: &DtwSetup) -> PyResult<f32> {
    Ok(dtw::scalar::distance(a.as_slice()?, b.as_slice()?, setup.options))
}

/// Start and end of each window, windows of each position.
type Intervals<'py> = (Offsets<'py>, Offsets<'py>, Offsets<'py>);

fn positions<'a>(signal: &'a Values<'_>, intervals: &'a Intervals<'_>) -> PyResult<Positions<'a>> {
    let (start, end, offsets) = intervals;
    Ok(Positions {
        signal: signal.as_slice()?,
        start: start.as_slice()?,
        end: end.as_slice()?,
        offsets: offsets.as_slice()?,
    })
}

#[pyfunction]
fn dtw_coordinate<'py>(
    py: Python<'py>,
    signal: Values<'py>,
    intervals: Intervals<'py>,
    is_landmark: PyReadonlyArray1<'py, bool>,
    setup: &DtwSetup,
) -> PyResult<Floats<'py>> {
    let positions = positions(&signal, &intervals)?;
    let is_landmark = is_landmark.as_slice()?;
    let found = detached(py, || dtw::coordinates(positions, is_landmark, setup.run)).map_err(value_error)?;
    Ok(found.into_pyarray(py))
}

/// `roles`: is query, is reference, fold. Rows of `SUMMARY_HEAD + n_nearest` numbers.
#[pyfunction]
fn dtw_summary<'py>(
    py: Python<'py>,
    signal: Values<'py>,
    intervals: Intervals<'py>,
    roles: (PyReadonlyArray1<'py, bool>, PyReadonlyArray1<'py, bool>, Offsets<'py>),
    n_nearest: usize,
    setup: &DtwSetup,
) -> PyResult<Floats<'py>> {
    let positions = positions(&signal, &intervals)?;
    let (is_query, is_reference, fold) = (roles.0.as_slice()?, roles.1.as_slice()?, roles.2.as_slice()?);
    let flags = is_query.iter().zip(is_reference).zip(fold);
    let roles: Vec<Role> =
        flags.map(|((&is_query, &is_reference), &fold)| Role { is_query, is_reference, fold }).collect();
    let found = py
        .detach(|| dtw::summaries(positions, &roles, n_nearest, setup.options, setup.run))
        .map_err(value_error)?;
    Ok(found.into_pyarray(py))
}

/// Names of the instruction sets of this processor, widest first.
#[pyfunction]
fn instruction_sets() -> Vec<&'static str> {
    Isa::available().into_iter().rev().map(Isa::name).collect()
}

fn rows<'a>(values: &'a [f32], offsets: &'a [i64]) -> PyResult<Vec<&'a [f32]>> {
    let ragged = Ragged::new(values, offsets).map_err(value_error)?;
    Ok((0..ragged.len()).map(|i| ragged.row(i)).collect())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<DtwSetup>()?;
    module.add_function(wrap_pyfunction!(dtw_pairwise, module)?)?;
    module.add_function(wrap_pyfunction!(dtw_cross, module)?)?;
    module.add_function(wrap_pyfunction!(dtw_definition, module)?)?;
    module.add_function(wrap_pyfunction!(dtw_coordinate, module)?)?;
    module.add_function(wrap_pyfunction!(dtw_summary, module)?)?;
    module.add_function(wrap_pyfunction!(instruction_sets, module)?)?;
    Ok(())
}
