//! Read alignment for Python: files in, a sorted and indexed BAM out.

#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use krill_map::children::ChildCommand;
use krill_map::{AlignReport, AlignSettings, Index, Preset, Program, align, minimap2_version};
use pyo3::prelude::*;

use crate::detached::interruptible;
use crate::reads::{Plan, PumpReport, Settings, extract_settings};

/// Options as `krill.map.AlignOptions` holds them.
#[derive(FromPyObject)]
pub(crate) struct Options {
    preset: String,
    secondary: bool,
    memory_bytes: usize,
    level: u8,
    command_line: String,
}

impl Options {
    fn settings(&self, plan: Plan, (merge_threads, description): (usize, String)) -> AlignSettings {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        AlignSettings {
            source: plan.source,
            output: plan.output,
            numa: plan.numa,
            writes_secondary: self.secondary,
            memory_bytes: self.memory_bytes,
            merge_threads,
            level: self.level,
            program: Program { version, command_line: self.command_line.clone(), description },
        }
    }
}

/// Reads, mapped reads, seconds of indexing, and what mapping and merging cost.
type Found = (u64, u64, f64, PumpReport, PumpReport);

fn found(report: &AlignReport, index_s: f64) -> Found {
    (
        report.reads,
        report.mapped,
        index_s,
        PumpReport::from(&report.mapping),
        PumpReport::from(&report.merging),
    )
}

fn extract_options(value: &Bound<'_, PyAny>) -> PyResult<Options> {
    value.extract()
}

/// Align reads with minimap2.
#[pyfunction]
fn map_align(
    py: Python<'_>,
    reads: Vec<PathBuf>,
    reference: PathBuf,
    output: PathBuf,
    #[pyo3(from_py_with = extract_options)] options: Options,
    #[pyo3(from_py_with = extract_settings)] settings: Settings,
) -> PyResult<Found> {
    let plan = settings.plan()?;
    interruptible(py, || run(&reads, &reference, &output, (&options, plan)))
}

fn run(
    reads: &[PathBuf],
    reference: &Path,
    output: &Path,
    (options, plan): (&Options, Plan),
) -> krill_reads::Result<Found> {
    let start = Instant::now();
    let preset: Preset = options.preset.parse()?;
    let index = Index::build(reference, preset, plan.source.workers)?;
    let index_s = start.elapsed().as_secs_f64();
    let description = format!("minimap2 {}, preset {}", minimap2_version(), preset.name());
    let report = align(reads, &index, output, &options.settings(plan, (plan.source.workers, description)))?;
    Ok(found(&report, index_s))
}

/// Align reads with child processes, which print SAM; each is words of a command and a log file.
/// `engine` is named in the header. Without reads the children find their own.
#[pyfunction]
fn map_children(
    py: Python<'_>,
    reads: Vec<PathBuf>,
    children: (String, Vec<(Vec<String>, PathBuf)>),
    output: PathBuf,
    #[pyo3(from_py_with = extract_options)] options: Options,
    #[pyo3(from_py_with = extract_settings)] settings: Settings,
) -> PyResult<Found> {
    let mut plan = settings.plan()?;
    let (engine, commands) = children;
    let merge_threads = plan.source.workers;
    plan.source.workers = commands.len();
    let commands: Vec<_> = commands.into_iter().map(|(words, log)| ChildCommand { words, log }).collect();
    let settings = options.settings(plan, (merge_threads, engine));
    let report = interruptible(py, || krill_map::children::align(&reads, &commands, &output, &settings))?;
    Ok(found(&report, 0.0))
}

/// Cut reads into equal shares beforehand, one list of paths per share.
#[pyfunction]
fn fastq_split(py: Python<'_>, inputs: Vec<PathBuf>, shares: Vec<Vec<PathBuf>>) -> PyResult<u64> {
    interruptible(py, || krill_reads::split::split(&inputs, &shares))
}

/// Add this file's functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MINIMAP2_VERSION", minimap2_version())?;
    module.add_function(wrap_pyfunction!(map_align, module)?)?;
    module.add_function(wrap_pyfunction!(map_children, module)?)?;
    module.add_function(wrap_pyfunction!(fastq_split, module)?)
}
