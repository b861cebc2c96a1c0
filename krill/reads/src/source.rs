//! Where batches come from: one opened input, whatever its format, behind one call.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::atomic::AtomicReader;
use crate::batch::{Batch, Format, Mate, Schedule};
use crate::blocks::{BlockSource, BlockWorker};
use crate::blow5::Blow5;
use crate::counters::{Site, Turn};
use crate::lock::{LockKind, Locked};
use crate::mates::MateStreams;
use crate::padded::Layout;
use crate::pairs::PairReader;
use crate::parsing::Parsing;
use crate::signals::SignalSource;
use crate::stream::{self, Opened};
use crate::text::TextReader;
use crate::{Error, Result, bam};

/// Shortest piece handed to a worker at the end of the input.
const MIN_BATCH_BYTES: u64 = 1 << 12;

/// How an input is shared out.
#[derive(Debug, Clone, Copy)]
pub struct SourceSettings {
    /// Strategy; `None` takes the best the input allows.
    pub parsing: Option<Parsing>,
    /// Lock around the input.
    pub lock: LockKind,
    /// Workers, and NUMA nodes they run on.
    pub workers: usize,
    /// NUMA nodes the workers run on.
    pub nodes: usize,
    /// Longest piece of text, in bytes.
    pub batch_bytes: u64,
}

impl SourceSettings {
    fn schedule(&self) -> Schedule {
        let max_bytes = self.batch_bytes.max(1);
        Schedule { max_bytes, min_bytes: MIN_BATCH_BYTES.min(max_bytes), workers: self.workers as u64 }
    }

    fn protect<T>(&self, value: T) -> Locked<T> {
        Locked::new(value, self.lock, Site::Input, (self.workers, self.nodes))
    }
}

/// An opened input.
pub struct Source {
    kind: Kind,
    paths: Vec<PathBuf>,
    batch_bytes: usize,
    parsing: Parsing,
}

enum Kind {
    Text(Locked<TextReader>),
    Atomic(AtomicReader),
    Pairs(PairReader),
    Mates(MateStreams),
    Blocks(BlockSource),
    Signals(SignalSource),
}

/// What each worker keeps from take to take.
#[derive(Default)]
pub struct SourceWorker {
    blocks: BlockWorker,
    /// Records of a second mate that were only counted.
    counted: Option<Mate>,
}

impl Source {
    /// Open one file of reads, or the two of paired reads.
    pub fn open(paths: &[PathBuf], settings: &SourceSettings) -> Result<Self> {
        let opened = match paths {
            [first, second] if first == second => {
                return Err(Error::format(first, "is given twice; the mates are in a file of their own"));
            }
            [_] | [_, _] => paths.iter().map(|path| stream::open(path)).collect::<Result<Vec<_>>>()?,
            _ => {
                return Err(Error::setting("reads", format!("{} files given, 1 or 2 expected", paths.len())));
            }
        };
        let layouts = paths.iter().map(|path| Layout::beside(path)).collect::<Result<Vec<_>>>()?;
        let layout = Layout::common(paths, layouts, settings.parsing)?;
        let parsing = choose(&opened, settings.parsing, layout.is_some())?;
        let (kind, parsing) = if parsing == Parsing::Atomic {
            (open_atomic(paths, opened, layout.as_ref(), settings)?, parsing)
        } else {
            open_locked(paths, opened, (parsing, layout), settings)?
        };
        Ok(Self { kind, paths: paths.to_vec(), batch_bytes: settings.batch_bytes as usize, parsing })
    }

    /// Open a BLOW5 file. Nothing is read inside a lock, so the strategy is always A.
    pub fn open_signals(path: &Path, settings: &SourceSettings) -> Result<Self> {
        let signals = SignalSource::open(path, settings.schedule())?;
        let batch_bytes = settings.batch_bytes as usize;
        let kind = Kind::Signals(signals);
        Ok(Self { kind, paths: vec![path.to_owned()], batch_bytes, parsing: Parsing::Atomic })
    }

    /// The BLOW5 file, if that is what was opened.
    #[must_use]
    pub fn signals(&self) -> Option<&Blow5> {
        if let Kind::Signals(signals) = &self.kind { Some(signals.file()) } else { None }
    }

    /// The strategy in use.
    #[must_use]
    pub fn parsing(&self) -> Parsing {
        self.parsing
    }

    /// What the text of the batches is.
    #[must_use]
    pub fn format(&self) -> Format {
        match &self.kind {
            Kind::Blocks(blocks) => blocks.format(),
            Kind::Signals(_) => Format::Blow5,
            Kind::Text(_) | Kind::Atomic(_) | Kind::Pairs(_) | Kind::Mates(_) => Format::Fastq,
        }
    }

    /// SAM header of a BAM input, as text.
    #[must_use]
    pub fn header_text(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Blocks(blocks) if blocks.format() == Format::Bam => Some(bam::header_text(&blocks.header)),
            _ => None,
        }
    }

    /// An empty batch for this input.
    #[must_use]
    pub fn new_batch(&self) -> Batch {
        Batch::new(self.format(), &self.paths)
    }

    /// Fill `batch` with the next piece, not yet parsed. False if there is none.
    pub fn take(&self, batch: &mut Batch, worker: &mut SourceWorker, turn: &mut Turn) -> Result<bool> {
        batch.clear();
        match &self.kind {
            Kind::Text(reader) => {
                self.reserve(batch);
                reader.take(batch, turn, TextReader::take)
            }
            Kind::Mates(streams) => {
                self.reserve(batch);
                streams.take(batch, turn)
            }
            Kind::Atomic(reader) => reader.take(batch),
            Kind::Pairs(reader) => reader.take(batch, &mut worker.counted, turn),
            Kind::Blocks(blocks) => blocks.take(batch, &mut worker.blocks, turn),
            Kind::Signals(signals) => signals.take(batch, turn),
        }
    }

    /// Ask for memory outside the lock, with room for what was kept from the last take.
    fn reserve(&self, batch: &mut Batch) {
        batch.mates.iter_mut().for_each(|mate| mate.text.reserve(2 * self.batch_bytes + (1 << 15)));
    }

    /// Wake workers that wait for others; the run is over.
    pub fn stop(&self) {
        match &self.kind {
            Kind::Blocks(blocks) => blocks.stop(),
            Kind::Pairs(pairs) => pairs.stop(),
            Kind::Mates(streams) => streams.stop(),
            Kind::Signals(signals) => signals.stop(),
            Kind::Text(_) | Kind::Atomic(_) => {}
        }
    }
}

/// The strategy asked for, if the input allows it, or the best one.
fn choose(opened: &[Opened], asked: Option<Parsing>, is_padded: bool) -> Result<Parsing> {
    let is_plain = opened.iter().all(|one| matches!(one, Opened::Plain(..)));
    let problem = match asked {
        None if is_plain => return Ok(Parsing::Atomic),
        None => return Ok(Parsing::Chunk),
        Some(Parsing::Atomic) if !is_plain => {
            "A needs plain files: pipes and compressed files have no offsets; use K"
        }
        Some(Parsing::Block) if !is_padded => {
            "L needs padded files; pad them with `baleen fastq pad`, or use K"
        }
        Some(parsing) => return Ok(parsing),
    };
    Err(Error::setting("--parsing", problem))
}

fn open_atomic(
    paths: &[PathBuf],
    opened: Vec<Opened>,
    layout: Option<&Layout>,
    settings: &SourceSettings,
) -> Result<Kind> {
    let mut files: Vec<(PathBuf, File)> = Vec::new();
    let mut totals = Vec::new();
    for (path, one) in paths.iter().zip(opened) {
        if let Opened::Plain(file, total) = one {
            files.push((path.clone(), file));
            totals.push(total);
        }
    }
    let schedule = settings.schedule();
    let cuts = match layout {
        Some(layout) => layout.cuts(paths, &totals, schedule)?,
        None => match <[_; 2]>::try_from(files) {
            Ok(pair) => return Ok(Kind::Pairs(PairReader::new(pair, [totals[0], totals[1]], schedule))),
            Err(single) => {
                files = single;
                vec![schedule.cuts(totals[0])]
            }
        },
    };
    Ok(Kind::Atomic(AtomicReader::new(files, cuts, layout.is_some())))
}

fn open_locked(
    paths: &[PathBuf],
    mut opened: Vec<Opened>,
    (parsing, layout): (Parsing, Option<Layout>),
    settings: &SourceSettings,
) -> Result<(Kind, Parsing)> {
    let schedule = settings.schedule();
    let takes_blocks = parsing == Parsing::Chunk && matches!(opened.as_slice(), [Opened::Blocked(..)]);
    if let (true, Some(Opened::Blocked(stream, total))) = (takes_blocks, opened.pop_if(|_| takes_blocks)) {
        let blocks =
            BlockSource::open(&paths[0], stream, (schedule, total), |reader| settings.protect(reader))?;
        return Ok((Kind::Blocks(blocks), parsing));
    }
    let total = if let Opened::Plain(_, total) = opened[0] { Some(total) } else { None };
    let streams: Vec<_> = paths.iter().cloned().zip(opened.into_iter().map(Opened::into_text)).collect();
    let is_mates = parsing == Parsing::Chunk && streams.len() == 2;
    let reader = settings.protect(TextReader::new(streams, parsing, layout, (schedule, total)));
    let kind =
        if is_mates { Kind::Mates(MateStreams::new(reader, settings.workers)) } else { Kind::Text(reader) };
    Ok((kind, parsing))
}
