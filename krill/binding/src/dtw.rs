//! `krill.dtw_*`: arrays to slices and back.

#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arrays over by value")]

use crate::detached::detached;
use crate::value_error;
use krill_signal::cuda::{self, Cuda};
use krill_signal::dtw::gpu::{Gpus, Share};
use krill_signal::dtw::{self, Cost, Options, Positions, Role, Run};
use krill_signal::{Isa, Ragged, Result, Threads};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

/// Numbers of GPUs, bytes of each that may be used, processes that share them.
type Place = (Vec<i32>, Option<usize>, usize);

/// Which distance, and how it is computed; mirrors `krill.dtw`.
#[pyclass(frozen, module = "krill._krill")]
struct DtwSetup {
    options: Options,
    run: Run,
    place: Option<Place>,
}

impl DtwSetup {
    /// Compute on the processor, or on the GPUs that were asked for.
    fn compute<T>(
        &self,
        processor: impl FnOnce() -> Result<T>,
        gpu: impl FnOnce(Gpus<'_, Arc<Cuda>>) -> Result<T>,
    ) -> Result<T> {
        let Some((ordinals, limit_bytes, sharers)) = &self.place else { return processor() };
        let share = Share { limit_bytes: *limit_bytes, sharers: *sharers };
        let (devices, threads) = (cuda::open_all(ordinals)?, Threads::new(self.run.threads)?);
        gpu(Gpus { devices: &devices, share, threads })
    }
}

#[pymethods]
impl DtwSetup {
    #[new]
    #[pyo3(signature = (threads, cost, flags, place=None))]
    fn new(threads: usize, cost: &str, flags: (bool, bool, bool), place: Option<Place>) -> PyResult<Self> {
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
        Ok(Self {
            options: Options { cost, normalised, open_start, open_end },
            run: Run { isa, threads },
            place,
        })
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
    let work = || {
        setup.compute(
            || dtw::pairwise(&signals, setup.options, setup.run),
            |gpus| gpus.pairwise(&signals, setup.options),
        )
    };
    let distances = detached(py, work).map_err(value_error)?;
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
    let work = || {
        setup.compute(
            || dtw::cross(&queries, &candidates, setup.options, setup.run),
            |gpus| gpus.cross(&queries, &candidates, setup.options),
        )
    };
    let distances = detached(py, work).map_err(value_error)?;
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
    let work = || {
        setup.compute(
            || dtw::coordinates(positions, is_landmark, setup.run),
            |gpus| gpus.coordinates(positions, is_landmark),
        )
    };
    let found = detached(py, work).map_err(value_error)?;
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
    let work = || {
        setup.compute(
            || dtw::summaries(positions, &roles, n_nearest, setup.options, setup.run),
            |gpus| gpus.summaries(positions, &roles, n_nearest, setup.options),
        )
    };
    let found = detached(py, work).map_err(value_error)?;
    Ok(found.into_pyarray(py))
}

/// Number, model, compute capability, free and total bytes, and what is wrong with it.
type Gpu = (i32, String, (i32, i32), Option<(usize, usize)>, Option<String>);

/// The GPUs of this machine, and why there are none.
#[pyfunction]
fn cuda_gpus(py: Python<'_>) -> (Vec<Gpu>, Option<String>) {
    match py.detach(cuda::probe) {
        Ok(gpus) => {
            let row = |gpu: cuda::Gpu| {
                let memory = gpu.memory.map(|memory| (memory.free, memory.total));
                (gpu.ordinal, gpu.model, gpu.capability, memory, gpu.problem)
            };
            (gpus.into_iter().map(row).collect(), None)
        }
        Err(problem) => (Vec::new(), Some(problem)),
    }
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
    module.add_function(wrap_pyfunction!(cuda_gpus, module)?)?;
    Ok(())
}
