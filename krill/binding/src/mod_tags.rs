//! `krill.reads.mod_tags`: BAM records with new modification tags.

use krill_reads::mod_tags::{Calls, Places, tagged};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::detached::detached;
use crate::reads::python_error;

/// Offsets, positions and probabilities of the calls.
type CallsOf<'py> = (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, f32>);

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "how PyO3 hands arrays over")]
pub(crate) fn mod_tagged<'py>(
    py: Python<'py>,
    bam: &[u8],
    calls: CallsOf<'py>,
    contig: PyReadonlyArray1<'py, i32>,
    group: PyReadonlyArray1<'py, i64>,
    groups: Vec<String>,
    codes: Vec<(char, String)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (offsets, position, p_mod) = &calls;
    let calls =
        Calls { offsets: offsets.as_slice()?, position: position.as_slice()?, p_mod: p_mod.as_slice()? };
    let places = Places { contig: contig.as_slice()?, group: group.as_slice()?, groups: &groups };
    let codes: Vec<_> =
        codes.into_iter().map(|(base, code)| (u8::try_from(base).unwrap_or(b'?'), code)).collect();
    let blocks = detached(py, || tagged(bam, calls, places, &codes));
    Ok(PyBytes::new(py, &blocks.map_err(|error| python_error(&error))?))
}
