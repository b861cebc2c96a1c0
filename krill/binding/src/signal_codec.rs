//! Signal decompression, for the BLOW5 reader.

use krill_signal::svb_zd;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::detached::detached;
use crate::value_error;

/// Return the int16 samples of one `svb-zd` compressed signal.
#[pyfunction]
pub(crate) fn decode_svb_zd<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyArray1<i16>>> {
    let samples = detached(py, || svb_zd::decode(data)).map_err(value_error)?;
    Ok(samples.into_pyarray(py))
}
