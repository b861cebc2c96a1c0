//! Signal files for Python: BLOW5 records read, inflated and decoded without the interpreter's lock;
//! the signal chunks of POD5.

#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

use std::path::PathBuf;

use krill_reads::blow5::Blow5;
use krill_reads::{blow5_record, vbz};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::detached::{detached, interruptible};
use crate::reads::{PumpReport, Settings, extract_settings, python_error};
use crate::value_error;

/// Names, samples of each read, all samples, and offset, scale and rate of each read.
type Signals<'py> =
    (Vec<Bound<'py, PyBytes>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i16>>, Vec<(f64, f64, f64)>);

/// Names of reads, and where their records lie: byte and size.
type Places<'py> = (Vec<Bound<'py, PyBytes>>, Vec<(u64, u64)>);

/// An open BLOW5 file; any number of threads may use it.
#[pyclass(frozen)]
pub(crate) struct Blow5Records {
    file: Blow5,
}

#[pymethods]
impl Blow5Records {
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        Ok(Self { file: Blow5::open(&path).map_err(|error| python_error(&error))? })
    }

    /// Text of the header.
    #[getter]
    fn header<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.file.text)
    }

    /// Number of read groups.
    #[getter]
    fn n_groups(&self) -> u32 {
        self.file.groups
    }

    /// Bytes in which the records lie: start and end.
    #[getter]
    fn extent(&self) -> (u64, u64) {
        self.file.records
    }

    /// Names and places (byte, size) of up to `count` records from byte `at` on.
    fn scan<'py>(&self, py: Python<'py>, at: u64, count: usize, threads: usize) -> PyResult<Places<'py>> {
        let found = detached(py, || {
            let places = blow5_record::places(&self.file, at, count)?;
            Ok((blow5_record::names(&self.file, &places, threads)?, places))
        });
        let (names, places) = found.map_err(|error| python_error(&error))?;
        Ok((names.iter().map(|name| PyBytes::new(py, name)).collect(), places))
    }

    /// Read the records at these places (byte, size), one per row.
    fn read<'py>(&self, py: Python<'py>, places: PyReadonlyArray2<'py, u64>) -> PyResult<Signals<'py>> {
        let rows = places.as_array();
        if rows.ncols() != 2 {
            return Err(PyValueError::new_err(format!("places have {} columns, not 2", rows.ncols())));
        }
        let places: Vec<(u64, u64)> = rows.rows().into_iter().map(|row| (row[0], row[1])).collect();
        let found = detached(py, || blow5_record::decode(&self.file, &places));
        let (records, signal) = found.map_err(|error| python_error(&error))?;
        let names = records.iter().map(|record| PyBytes::new(py, &record.name)).collect();
        let lengths: Vec<i64> = records.iter().map(|record| record.samples as i64).collect();
        let numbers = records.iter().map(|r| (r.offset_adc, r.scale_pa, r.sampling_rate_hz)).collect();
        Ok((names, lengths.into_pyarray(py), signal.into_pyarray(py), numbers))
    }
}

/// Send all records of a BLOW5 file through the pump and decode them; returns the samples too.
#[pyfunction]
fn pump_signals(
    py: Python<'_>,
    path: PathBuf,
    #[pyo3(from_py_with = extract_settings)] settings: Settings,
) -> PyResult<(PumpReport, u64)> {
    let plan = settings.plan()?;
    let decode = || krill_reads::signals::decode_all(&path, &plan.source, plan.numa);
    let (report, samples) = interruptible(py, decode)?;
    Ok((PumpReport::from(&report), samples))
}

/// Decode the chunks of a VBZ compressed signal, each with its number of samples.
#[pyfunction]
fn decode_vbz(py: Python<'_>, chunks: Vec<(PyBackedBytes, usize)>) -> PyResult<Bound<'_, PyArray1<i16>>> {
    let parts: Vec<(&[u8], usize)> = chunks.iter().map(|(bytes, n)| (&bytes[..], *n)).collect();
    Ok(detached(py, || vbz::decode(&parts)).map_err(value_error)?.into_pyarray(py))
}

/// Add this file's functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Blow5Records>()?;
    module.add_function(wrap_pyfunction!(pump_signals, module)?)?;
    module.add_function(wrap_pyfunction!(decode_vbz, module)?)
}
