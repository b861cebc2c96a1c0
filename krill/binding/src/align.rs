//! Event alignment of one batch of reads.

use std::collections::BTreeMap;

use krill_signal::align::{self, Alignments, Mode, Reads, Settings, Stage};
use krill_signal::pore_model::PoreModel;
use krill_signal::{Error, Ragged, Result};
use numpy::{Element, IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::detached::detached;
use crate::value_error;

/// `krill.Ragged`.
#[derive(FromPyObject)]
struct Rows<'py, T: Element> {
    values: PyReadonlyArray1<'py, T>,
    offsets: PyReadonlyArray1<'py, i64>,
}

impl<T: Element> Rows<'_, T> {
    fn view(&self) -> PyResult<Ragged<'_, T>> {
        Ragged::new(self.values.as_slice()?, self.offsets.as_slice()?).map_err(value_error)
    }
}

/// The columns of `krill.ReadBatch` that alignment reads.
#[derive(FromPyObject)]
pub(crate) struct Batch<'py> {
    ref_start: PyReadonlyArray1<'py, i32>,
    is_reverse: PyReadonlyArray1<'py, bool>,
    cigar: Rows<'py, u32>,
    sequence: Rows<'py, u8>,
    moves: Rows<'py, u8>,
    move_stride: PyReadonlyArray1<'py, i32>,
    signal: Rows<'py, i16>,
    trimmed_samples: PyReadonlyArray1<'py, i32>,
    offset_adc: PyReadonlyArray1<'py, f32>,
    scale_pa: PyReadonlyArray1<'py, f32>,
}

impl Batch<'_> {
    fn view(&self) -> PyResult<Reads<'_>> {
        Ok(Reads {
            ref_start: self.ref_start.as_slice()?,
            is_reverse: self.is_reverse.as_slice()?,
            cigar: self.cigar.view()?,
            sequence: self.sequence.view()?,
            moves: self.moves.view()?,
            move_stride: self.move_stride.as_slice()?,
            signal: self.signal.view()?,
            trimmed_samples: self.trimmed_samples.as_slice()?,
            offset_adc: self.offset_adc.as_slice()?,
            scale_pa: self.scale_pa.as_slice()?,
        })
    }
}

/// The fields of `krill.PoreModel` that alignment reads.
#[derive(FromPyObject)]
pub(crate) struct Model<'py> {
    kmer_size: usize,
    center: usize,
    level_mean: PyReadonlyArray1<'py, f32>,
    noise_pa: f32,
}

type Column<'py, T> = Bound<'py, PyArray1<T>>;

/// The columns of `krill.Alignments`, in the order of its fields.
type Columns<'py> = (
    Column<'py, i64>,
    Column<'py, i32>,
    Column<'py, i32>,
    Column<'py, i32>,
    Column<'py, f32>,
    Column<'py, f32>,
    Column<'py, f32>,
    Column<'py, u8>,
    Column<'py, f32>,
    Column<'py, f32>,
    Column<'py, f32>,
    Column<'py, f32>,
);

/// Align the reads of one contig; returns the columns of `Alignments` in order.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "extracted arguments are owned")]
pub(crate) fn align_batch<'py>(
    py: Python<'py>,
    batch: Batch<'py>,
    reference: PyReadonlyArray1<'py, u8>,
    model: Model<'py>,
    mode: &str,
    use_moves: bool,
    threads: usize,
) -> PyResult<Columns<'py>> {
    let settings = Settings { mode: parse_mode(mode).map_err(value_error)?, use_moves, threads };
    Ok(columns(py, run(py, &batch, &reference, &model, settings)?))
}

/// Align as [`align_batch`] does, in one thread; returns the seconds of processor time of each stage.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "extracted arguments are owned")]
pub(crate) fn align_stages(
    py: Python<'_>,
    batch: Batch<'_>,
    reference: PyReadonlyArray1<'_, u8>,
    model: Model<'_>,
    mode: &str,
    use_moves: bool,
) -> PyResult<BTreeMap<&'static str, f64>> {
    let settings = Settings { mode: parse_mode(mode).map_err(value_error)?, use_moves, threads: 1 };
    let seconds = run(py, &batch, &reference, &model, settings)?.seconds;
    Ok(Stage::ALL.map(|(_, name)| name).into_iter().zip(seconds).collect())
}

fn run(
    py: Python<'_>,
    batch: &Batch<'_>,
    reference: &PyReadonlyArray1<'_, u8>,
    model: &Model<'_>,
    settings: Settings,
) -> PyResult<Alignments> {
    let reads = batch.view()?;
    let reference = reference.as_slice()?;
    let levels = model.level_mean.as_slice()?;
    let model = PoreModel::new(model.kmer_size, model.center, levels, model.noise_pa).map_err(value_error)?;
    detached(py, || align::align_batch(&reads, reference, &model, settings)).map_err(value_error)
}

fn parse_mode(name: &str) -> Result<Mode> {
    match name {
        "standard" => Ok(Mode::Standard),
        "fast" => Ok(Mode::Fast),
        "sharp" => Ok(Mode::Sharp),
        _ => Err(Error::Argument {
            name: "mode",
            problem: format!("is {name:?}, not standard, fast or sharp"),
        }),
    }
}

fn columns(py: Python<'_>, found: Alignments) -> Columns<'_> {
    let Alignments { read_offsets, rows, reads, seconds: _ } = found;
    (
        read_offsets.into_pyarray(py),
        column(py, &rows, |row| row.position),
        column(py, &rows, |row| row.sample_start),
        column(py, &rows, |row| row.sample_end),
        column(py, &rows, |row| row.level_mean),
        column(py, &rows, |row| row.level_stdv),
        column(py, &rows, |row| row.confidence),
        column(py, &reads, |read| read.status as u8),
        column(py, &reads, |read| read.scale),
        column(py, &reads, |read| read.shift_pa),
        column(py, &reads, |read| read.drift_pa),
        column(py, &reads, |read| read.fit_r),
    )
}

fn column<'py, R, T: Element>(py: Python<'py>, rows: &[R], field: impl Fn(&R) -> T) -> Column<'py, T> {
    rows.iter().map(field).collect::<Vec<T>>().into_pyarray(py)
}
