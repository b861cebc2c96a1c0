//! The read pump for Python: copy or count reads, pad FASTQ, report what it cost.

#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use krill_reads::{
    Batch, Destination, Error, FileDestination, Format, LockKind, Numa, Output, Parsing, Report, Site,
};
use krill_reads::{Sink, Source, SourceSettings, line, numa, padded};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::detached::interruptible;

/// Settings as `krill.pump.PumpSettings` holds them.
#[derive(FromPyObject)]
pub(crate) struct Settings {
    parsing: String,
    lock: String,
    output: String,
    numa: String,
    threads: usize,
    batch_bytes: u64,
}

/// Settings after their names were understood.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) source: SourceSettings,
    pub(crate) output: Output,
    pub(crate) numa: Numa,
}

impl Settings {
    pub(crate) fn plan(&self) -> PyResult<Plan> {
        let parse = || -> krill_reads::Result<Plan> {
            let numa: Numa = self.numa.parse()?;
            let source = SourceSettings {
                parsing: Parsing::from_name(&self.parsing)?,
                lock: self.lock.parse::<LockKind>()?,
                workers: self.threads.max(1),
                nodes: if numa == Numa::Spread { numa::nodes().len() } else { 1 },
                batch_bytes: self.batch_bytes,
            };
            Ok(Plan { source, output: self.output.parse()?, numa })
        };
        parse().map_err(|error| python_error(&error))
    }
}

impl Plan {
    pub(crate) fn crew(&self) -> (usize, usize) {
        (self.source.workers, self.source.nodes)
    }

    pub(crate) fn sink<D: Destination>(
        &self,
        make: impl FnMut(usize) -> krill_reads::Result<D>,
    ) -> krill_reads::Result<Sink<D>> {
        let lanes =
            (0..self.output.destinations(self.source.workers)).map(make).collect::<Result<Vec<_>, _>>()?;
        Ok(Sink::new(self.output, lanes, self.source.lock, self.crew()))
    }
}

/// Turn a pump error into the exception the Python layer documents.
pub(crate) fn python_error(error: &Error) -> PyErr {
    match error {
        Error::Io { path, source } => {
            let arguments = (source.raw_os_error().unwrap_or(0), source.to_string(), path.clone());
            pyo3::exceptions::PyOSError::new_err(arguments)
        }
        Error::Format { path, problem, hint } => Python::attach(|py| {
            let made = py.import("krill.errors").and_then(|m| m.getattr("FormatError"));
            let made = made.and_then(|class| {
                let keywords = PyDict::new(py);
                keywords.set_item("hint", hint)?;
                class.call((path.clone(), problem.as_str()), Some(&keywords))
            });
            made.map_or_else(|failure| failure, PyErr::from_value)
        }),
        Error::Setting { .. } | Error::Stopped => PyValueError::new_err(error.to_string()),
    }
}

/// What a run of the pump cost. `krill.pump.PumpReport` gives names to the numbers.
#[pyclass(get_all, frozen)]
pub(crate) struct PumpReport {
    /// Seconds from the first worker's start to the last one's end.
    wall_s: f64,
    /// Records, or pairs.
    n_reads: u64,
    /// Per lock: name, acquisitions, seconds inside, seconds waiting.
    locks: Vec<(&'static str, u64, f64, f64)>,
    /// Per worker: seconds on CPU, waiting to run, blocked, and batches.
    workers: Vec<(f64, Option<f64>, f64, u64)>,
}

impl From<&Report> for PumpReport {
    fn from(report: &Report) -> Self {
        let seconds = |d: Duration| d.as_secs_f64();
        let lock = |(name, l): (&&'static str, &krill_reads::counters::LockCount)| {
            (*name, l.acquisitions, seconds(l.inside), seconds(l.waiting))
        };
        let worker = |w: &krill_reads::counters::WorkerTime| {
            (seconds(w.on_cpu), w.waiting_to_run.map(seconds), seconds(w.blocked), w.batches)
        };
        Self {
            wall_s: seconds(report.wall),
            n_reads: report.records,
            locks: Site::NAMES.iter().zip(&report.locks).map(lock).collect(),
            workers: report.workers.iter().map(worker).collect(),
        }
    }
}

/// Where copied reads go: a file, or nowhere.
enum Target {
    File(FileDestination),
    Nowhere,
}

impl Destination for Target {
    type Piece = Vec<u8>;

    fn append(&mut self, order: u64, bytes: &mut Vec<u8>) -> krill_reads::Result<()> {
        if let Self::File(file) = self { file.append(order, bytes) } else { Ok(()) }
    }
}

/// Send reads through the pump: write them as FASTQ, or only count them; `work_ns` of arithmetic per read.
#[pyfunction]
#[pyo3(signature = (reads, output, settings, work_ns = 0))]
fn pump_copy(
    py: Python<'_>,
    reads: Vec<PathBuf>,
    output: Option<PathBuf>,
    #[pyo3(from_py_with = extract_settings)] settings: Settings,
    work_ns: u64,
) -> PyResult<PumpReport> {
    let plan = settings.plan()?;
    let report = interruptible(py, || copy(&reads, output.as_deref(), plan, Duration::from_nanos(work_ns)))?;
    Ok(PumpReport::from(&report))
}

pub(crate) fn extract_settings(value: &Bound<'_, PyAny>) -> PyResult<Settings> {
    value.extract()
}

fn copy(reads: &[PathBuf], output: Option<&Path>, plan: Plan, work: Duration) -> krill_reads::Result<Report> {
    let source = Source::open(reads, &plan.source)?;
    if source.format() == Format::Bam && output.is_some() {
        return Err(Error::format(&reads[0], "is BAM, not FASTQ"));
    }
    let part = |lane: usize| output.map(|path| with_suffix(path, &format!(".part{lane}")));
    let sink = plan.sink(|lane| match part(lane) {
        Some(path) => Ok(Target::File(FileDestination::create(&path)?)),
        None => Ok(Target::Nowhere),
    })?;
    let report = krill_reads::run(&source, &sink, (plan.source.workers, plan.numa), |_| {
        Ok(move |batch: &Batch, out: &mut Vec<u8>| {
            spin(work * batch.len() as u32);
            if output.is_some() {
                write_fastq(batch, out);
            }
            Ok(())
        })
    })?;
    if let Some(path) = output {
        let lanes = plan.output.destinations(plan.source.workers);
        drop(sink.into_destinations());
        let whole = with_suffix(path, ".part");
        let parts: Vec<PathBuf> = (0..lanes).filter_map(part).collect();
        FileDestination::create(&whole)?.merge(&parts)?;
        std::fs::rename(&whole, path).map_err(Error::io(path))?;
    }
    Ok(report)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Stands for the computation of a stage when only the pump is measured.
fn spin(work: Duration) {
    let start = Instant::now();
    while start.elapsed() < work {
        std::hint::spin_loop();
    }
}

fn write_fastq(batch: &Batch, out: &mut Vec<u8>) {
    for i in 0..batch.len() {
        for mate in &batch.mates {
            let span = &mate.spans[i];
            for (mark, part) in [("@", &span.name), ("\n", &span.sequence), ("\n+\n", &span.quality)] {
                out.extend_from_slice(mark.as_bytes());
                out.extend_from_slice(&mate.text[part.clone()]);
            }
            out.push(b'\n');
        }
    }
}

/// Pad FASTQ; returns bytes of a block, reads of a block, reads of the file.
#[pyfunction]
fn fastq_pad(
    py: Python<'_>,
    inputs: Vec<PathBuf>,
    outputs: Vec<PathBuf>,
    block_bytes: usize,
) -> PyResult<(usize, u64, u64)> {
    let layout = interruptible(py, || padded::pad(&inputs, &outputs, block_bytes))?;
    Ok((layout.block_bytes, layout.block_records, layout.records))
}

/// Take padding out; returns the number of reads (of pairs).
#[pyfunction]
fn fastq_unpad(py: Python<'_>, inputs: Vec<PathBuf>, outputs: Vec<PathBuf>) -> PyResult<u64> {
    interruptible(py, || padded::unpad(&inputs, &outputs))
}

/// Check a padded file against its sidecar; returns the same as `fastq_pad`.
#[pyfunction]
fn fastq_check(py: Python<'_>, path: PathBuf) -> PyResult<(usize, u64, u64)> {
    let layout = py.detach(|| padded::check(&path));
    layout.map(|l| (l.block_bytes, l.block_records, l.records)).map_err(|error| python_error(&error))
}

/// Cores this process may use: affinity and cgroup quota, not the cores of the host.
#[pyfunction]
fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Nanoseconds that a cache line takes from core to core; None where there is one core.
#[pyfunction]
fn line_ns(py: Python<'_>) -> Option<f64> {
    py.detach(line::passing_time).map(|time| time.as_secs_f64() * 1e9)
}

/// Add this file's functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PumpReport>()?;
    module.add_function(wrap_pyfunction!(pump_copy, module)?)?;
    module.add_function(wrap_pyfunction!(fastq_pad, module)?)?;
    module.add_function(wrap_pyfunction!(fastq_unpad, module)?)?;
    module.add_function(wrap_pyfunction!(fastq_check, module)?)?;
    module.add_function(wrap_pyfunction!(line_ns, module)?)?;
    module.add_function(wrap_pyfunction!(available_threads, module)?)
}
