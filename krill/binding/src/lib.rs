//! Python binding of the engine: the only crate that knows of Python.
//!
//! Each module mirrors one module of `krill-signal`, takes flat `NumPy` arrays,
//! detaches from the interpreter, computes, and returns flat arrays.

mod align;
mod cells;
mod detached;
mod dtw;
mod grid;
mod labelled;
mod map;
mod mod_tags;
mod reads;
mod signals;
mod tables;
mod turn;

use pyo3::exceptions::PyValueError;
use pyo3::panic::PanicException;
use pyo3::prelude::*;

/// Turn an engine error into the exception the Python layer documents.
#[expect(clippy::needless_pass_by_value, reason = "passed to Result::map_err")]
fn value_error(error: krill_signal::Error) -> PyErr {
    use krill_signal::Error;
    let name = match error {
        Error::Device { .. } => "DeviceError",
        Error::DeviceMemory { .. } => "DeviceMemoryError",
        Error::Offsets { .. } | Error::Argument { .. } => return PyValueError::new_err(error.to_string()),
    };
    Python::attach(|py| {
        let class = py.import("krill.errors").and_then(|errors| errors.getattr(name));
        match class.and_then(|class| class.call1((error.to_string(),))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(unfit) => unfit,
        }
    })
}

#[pymodule]
fn _krill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("PanicException", module.py().get_type::<PanicException>())?;
    module.add_function(wrap_pyfunction!(detached::detached_seconds, module)?)?;
    dtw::register(module)?;
    module.add_function(wrap_pyfunction!(align::align_batch, module)?)?;
    module.add_function(wrap_pyfunction!(align::align_stages, module)?)?;
    module.add_function(wrap_pyfunction!(cells::table_lines, module)?)?;
    grid::register(module)?;
    labelled::register(module)?;
    map::register(module)?;
    module.add_function(wrap_pyfunction!(mod_tags::mod_tagged, module)?)?;
    reads::register(module)?;
    signals::register(module)?;
    tables::register(module)?;
    module.add_function(wrap_pyfunction!(turn::turn_take, module)?)?;
    module.add_function(wrap_pyfunction!(turn::turn_end, module)?)?;
    module.add_function(wrap_pyfunction!(turn::turn_is_mine, module)?)?;
    Ok(())
}
