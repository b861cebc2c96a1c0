//! Other aligners as child processes: each is fed through a pipe whenever it has room, so that many
//! processes get the balance of many threads; what they print is collected, sorted and merged.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use krill_reads::counters::Turn;
use krill_reads::{Batch, Error, Format, Report, Result, Sink, Source, Worker, pair_name};
use noodles_sam::alignment::io::Write as _;

use crate::align::{AlignReport, AlignSettings, sorted_runs, sorting_sink, write_bam};
use crate::header;
use crate::index::Reference;
use crate::merge;
use crate::read::first_word;
use crate::sort::{Sorter, Ties};

/// Encoded records a collector hands over at once.
const PIECE_BYTES: usize = 1 << 18;
/// Lines of a failed child's messages that are shown.
const SHOWN_LINES: usize = 5;

/// How one child is started. It reads from its standard input and prints SAM.
#[derive(Debug, Clone)]
pub struct ChildCommand {
    /// Program and arguments.
    pub words: Vec<String>,
    /// File for its messages.
    pub log: PathBuf,
}

/// Run the children on `reads` and write the BAM at `output`. With no reads the children find their
/// own (the static split).
pub fn align(
    reads: &[PathBuf],
    commands: &[ChildCommand],
    output: &Path,
    settings: &AlignSettings,
) -> Result<AlignReport> {
    let source = if reads.is_empty() { None } else { Some(Source::open(reads, &settings.source)?) };
    if let Some(path) = reads.first().filter(|_| source.as_ref().is_some_and(|s| s.format() == Format::Bam)) {
        return Err(Error::format(
            path,
            "is BAM, which this engine cannot read; write FASTQ with `samtools fastq`",
        ));
    }
    let sink = sorting_sink(output, settings, Ties::Name);
    let start = Instant::now();
    let mut children = Children::start(commands)?;
    let (inputs, outputs) = children.take_pipes();
    let pieces = Pieces { sink: &sink, next: AtomicU64::new(0) };
    let (fed, collected) = std::thread::scope(|scope| {
        let pieces = &pieces;
        let collect = |(worker, stdout)| scope.spawn(move || collect(stdout, pieces, worker));
        let collectors: Vec<_> = outputs.into_iter().enumerate().map(collect).collect();
        let fed =
            source.as_ref().map_or_else(|| Ok(Report::default()), |source| feed(source, inputs, settings));
        let join = |h: std::thread::ScopedJoinHandle<'_, _>| {
            h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        (fed, collectors.into_iter().map(join).collect::<Vec<Result<Collected>>>())
    });
    // A child that failed explains the broken pipe better than the pipe does.
    children.check()?;
    // Feeding ends earlier than aligning, and a static split is not fed at all.
    let mapping = Report { wall: start.elapsed(), ..fed? };
    let collected = collected.into_iter().collect::<Result<Vec<_>>>()?;
    let Some(first) = collected.first() else {
        return Err(Error::setting("--procs", "0 processes cannot align"));
    };
    merge::check_lengths(&first.references, output)?;
    let header = header::encode(&first.references, Some(first.header.as_bytes()), &settings.program);
    let runs = sorted_runs(sink.into_destinations())?;
    let merging = write_bam(runs, &header, &first.references, output, settings)?;
    let sum = |count: fn(&Collected) -> u64| collected.iter().map(count).sum();
    Ok(AlignReport { reads: sum(|c| c.reads), mapped: sum(|c| c.mapped), mapping, merging })
}

/// Running children; killed when dropped early.
struct Children(Vec<(Child, ChildCommand)>);

impl Children {
    fn start(commands: &[ChildCommand]) -> Result<Self> {
        let mut children = Self(Vec::new());
        for command in commands {
            let log = std::fs::File::create(&command.log).map_err(Error::io(&command.log))?;
            let mut process = Command::new(&command.words[0]);
            process.args(&command.words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
            let child = process.spawn().map_err(Error::io(Path::new(&command.words[0])))?;
            children.0.push((child, command.clone()));
        }
        Ok(children)
    }

    fn take_pipes(&mut self) -> (Vec<Mutex<Option<ChildStdin>>>, Vec<ChildStdout>) {
        let inputs = self.0.iter_mut().map(|(child, _)| Mutex::new(child.stdin.take())).collect();
        (inputs, self.0.iter_mut().filter_map(|(child, _)| child.stdout.take()).collect())
    }

    /// Wait for all and report the first that failed.
    fn check(&mut self) -> Result<()> {
        for (child, command) in &mut self.0 {
            let program = Path::new(&command.words[0]);
            let status = child.wait().map_err(Error::io(program))?;
            if !status.success() {
                let log = std::fs::read_to_string(&command.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(SHOWN_LINES).collect();
                let said: Vec<&str> = lines.into_iter().rev().collect();
                return Err(Error::format(program, format!("failed ({status}):\n{}", said.join("\n"))));
            }
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            // Both are no-ops for a child that has ended and was waited for.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Hand each child the next batch whenever it has taken the last. Returns when all is handed out.
#[expect(clippy::needless_pass_by_value, reason = "pipes that no worker took must be closed here")]
fn feed(source: &Source, inputs: Vec<Mutex<Option<ChildStdin>>>, settings: &AlignSettings) -> Result<Report> {
    // What is fed is not what is written, so the pump's own sink takes nothing.
    let nothing = Sink::new(
        krill_reads::Output::Slices,
        inputs.iter().map(|_| Nothing).collect(),
        settings.source.lock,
        (inputs.len(), 1),
    );
    krill_reads::run(source, &nothing, (inputs.len(), settings.numa), |worker| {
        let pipe = inputs[worker].lock().unwrap_or_else(PoisonError::into_inner).take();
        let pipe = pipe.ok_or_else(|| Error::setting("--procs", "a child has no input"))?;
        Ok(Feeder { pipe, text: Vec::new() })
    })
}

struct Nothing;

impl krill_reads::Destination for Nothing {
    type Piece = ();

    fn append(&mut self, _order: u64, _piece: &mut ()) -> Result<()> {
        Ok(())
    }
}

/// Writes batches to one child, a line per read or pair. Dropping it ends the child's input.
struct Feeder {
    pipe: ChildStdin,
    text: Vec<u8>,
}

impl Worker<()> for Feeder {
    fn work(&mut self, batch: &Batch, _out: &mut ()) -> Result<()> {
        self.text.clear();
        for i in 0..batch.len() {
            self.write_line(batch, i);
        }
        self.pipe.write_all(&self.text).map_err(Error::io(Path::new("pipe to the aligner")))
    }
}

impl Feeder {
    /// The form that all engines read from one pipe: the name, then bases and qualities of each mate.
    fn write_line(&mut self, batch: &Batch, i: usize) {
        let first = &batch.mates[0];
        let name = &first.text[first.spans[i].name.clone()];
        let name = if batch.mates.len() == 2 { pair_name(name) } else { first_word(name) };
        self.text.extend_from_slice(name);
        for mate in &batch.mates {
            let span = &mate.spans[i];
            self.text.push(b'\t');
            self.write_bases(&mate.text[span.sequence.clone()]);
            self.text.push(b'\t');
            self.text.extend_from_slice(&mate.text[span.quality.clone()]);
        }
        self.text.push(b'\n');
    }

    /// DNA engines do not know `U`.
    fn write_bases(&mut self, sequence: &[u8]) {
        let letter = |&base: &u8| match base {
            b'U' => b'T',
            b'u' => b't',
            other => other,
        };
        self.text.extend(sequence.iter().map(letter));
    }
}

/// What a child printed beside its records.
#[derive(Default)]
struct Collected {
    header: String,
    references: Vec<Reference>,
    reads: u64,
    mapped: u64,
}

/// Where collectors put pieces, numbered as they come from whichever child.
struct Pieces<'a> {
    sink: &'a Sink<Sorter>,
    next: AtomicU64,
}

impl Pieces<'_> {
    fn put(&self, piece: &mut Vec<u8>, turn: &mut Turn) -> Result<()> {
        self.sink.put(self.next.fetch_add(1, Ordering::Relaxed), piece, turn)
    }
}

/// Read SAM from a child to its end; records go to the sink as BAM.
fn collect(stdout: ChildStdout, pieces: &Pieces<'_>, worker: usize) -> Result<Collected> {
    let result = collect_records(BufReader::with_capacity(1 << 20, stdout), pieces, worker);
    if result.is_err() {
        pieces.sink.stop();
    }
    result
}

fn collect_records(mut stdout: impl BufRead, pieces: &Pieces<'_>, worker: usize) -> Result<Collected> {
    let path = Path::new("output of the aligner");
    let mut collected =
        Collected { header: read_header(&mut stdout).map_err(Error::io(path))?, ..Collected::default() };
    let damaged = |what: String| Error::format(path, format!("is no SAM: {what}"));
    let header: noodles_sam::Header =
        collected.header.parse().map_err(|error| damaged(format!("{error}")))?;
    collected.references = references(&header).ok_or_else(|| damaged("a reference is too long".into()))?;
    let mut reader = noodles_sam::io::Reader::new(stdout);
    let mut writer = noodles_bam::io::Writer::from(Vec::new());
    let mut record = noodles_sam::Record::default();
    let mut turn = Turn { worker, ..Turn::default() };
    while reader.read_record(&mut record).map_err(|error| damaged(error.to_string()))? > 0 {
        if krill_reads::interrupt::is_asked() {
            return Err(Error::Stopped);
        }
        let flags = record.flags().map_err(|error| damaged(error.to_string()))?;
        if !flags.is_secondary() && !flags.is_supplementary() {
            collected.reads += 1;
            collected.mapped += u64::from(!flags.is_unmapped());
        }
        writer.write_alignment_record(&header, &record).map_err(|error| damaged(error.to_string()))?;
        if writer.get_ref().len() >= PIECE_BYTES {
            pieces.put(writer.get_mut(), &mut turn)?;
        }
    }
    pieces.put(writer.get_mut(), &mut turn)?;
    Ok(collected)
}

/// The lines that begin with `@`.
fn read_header(stdout: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = Vec::new();
    while stdout.fill_buf()?.first() == Some(&b'@') {
        stdout.read_until(b'\n', &mut text)?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn references(header: &noodles_sam::Header) -> Option<Vec<Reference>> {
    let sequences = header.reference_sequences().iter();
    let reference = sequences.map(|(name, map)| {
        let length = u32::try_from(map.length().get()).ok()?;
        Some(Reference { name: name.to_string(), length })
    });
    reference.collect()
}
