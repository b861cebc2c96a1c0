//! `krill.reads.bgzf`: text deflated in blocks.

use krill_reads::bgzf::{Deflater, MAX_TEXT_BYTES};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::detached::detached;
use crate::reads::python_error;

/// Return `text` as blocks of at most `MAX_TEXT_BYTES`, without the empty one that ends a file.
#[pyfunction]
pub(crate) fn bgzf_deflate<'py>(py: Python<'py>, text: &[u8], level: u8) -> PyResult<Bound<'py, PyBytes>> {
    let blocks = detached(py, || {
        let (mut deflater, mut file) = (Deflater::new(level)?, Vec::new());
        text.chunks(MAX_TEXT_BYTES).for_each(|part| deflater.block(part, &mut file));
        Ok(file)
    });
    Ok(PyBytes::new(py, &blocks.map_err(|error| python_error(&error))?))
}
