//! Padded FASTQ: every block of so many bytes holds the same number of whole reads, so that a lock
//! holds for one read of a block and nothing is searched for.
//!
//! Padding is spaces at the end of the name line of the block's last record. A sidecar `.fqi` beside
//! the file says how it is laid out; the last block may hold fewer reads and is not padded.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::batch::{Batch, Schedule};
use crate::counters::Turn;
use crate::fastq::{Place, Span};
use crate::lock::LockKind;
use crate::parsing::Parsing;
use crate::source::{Source, SourceSettings, SourceWorker};
use crate::{Error, Result, fastq, interrupt};

/// How a padded file is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of every block but the last.
    pub block_bytes: usize,
    /// Reads of every block but the last.
    pub block_records: u64,
    /// Reads of the file.
    pub records: u64,
    /// Length of the file.
    pub bytes: u64,
}

impl Layout {
    /// Path of the sidecar of `path`.
    #[must_use]
    pub fn sidecar(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".fqi");
        name.into()
    }

    /// Layout of `path`, if there is a sidecar that fits it.
    pub fn beside(path: &Path) -> Result<Option<Self>> {
        let sidecar = Self::sidecar(path);
        let text = match std::fs::read_to_string(&sidecar) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&sidecar)(error)),
        };
        let field = |name: &str| -> Result<u64> {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
            let found = value.and_then(|value| value.parse().ok());
            found.ok_or_else(|| {
                Error::format(&sidecar, format!("has no field {name}; make it again with `baleen fastq pad`"))
            })
        };
        let layout = Self {
            block_bytes: field("block_bytes")?.max(1) as usize,
            block_records: field("block_reads")?,
            records: field("reads")?,
            bytes: field("bytes")?,
        };
        let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
        if length != layout.bytes {
            let problem =
                format!("belongs to a file of {} bytes, but {} has {length}", layout.bytes, path.display());
            return Err(Error::format(&sidecar, problem));
        }
        Ok(Some(layout))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = format!(
            "fqi\t1\nblock_bytes\t{}\nblock_reads\t{}\nreads\t{}\nbytes\t{}\n",
            self.block_bytes, self.block_records, self.records, self.bytes
        );
        let sidecar = Self::sidecar(path);
        std::fs::write(&sidecar, text).map_err(Error::io(&sidecar))
    }

    /// The layout that all files share; `None` if one of them has none. Only L and A use it.
    pub(crate) fn common(
        paths: &[PathBuf],
        layouts: Vec<Option<Self>>,
        parsing: Option<Parsing>,
    ) -> Result<Option<Self>> {
        if !matches!(parsing, None | Some(Parsing::Block | Parsing::Atomic)) {
            return Ok(None);
        }
        let Some(layouts) = layouts.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let shape = |layout: &Self| (layout.block_bytes, layout.block_records, layout.records);
        if layouts.iter().any(|layout| shape(layout) != shape(&layouts[0])) {
            let problem = format!(
                "is not padded like {}; pad both together with `baleen fastq pad`",
                paths[0].display()
            );
            return Err(Error::format(&paths[1], problem));
        }
        Ok(layouts.into_iter().next())
    }

    /// Cuts between blocks, the same blocks in every file.
    pub(crate) fn cuts(
        &self,
        paths: &[PathBuf],
        totals: &[u64],
        schedule: Schedule,
    ) -> Result<Vec<Vec<u64>>> {
        let block = self.block_bytes as u64;
        let blocks = totals[0].div_ceil(block);
        if let Some(i) = totals.iter().position(|total| total.div_ceil(block) != blocks) {
            let problem = format!("has not as many blocks as {}", paths[0].display());
            return Err(Error::format(&paths[i], problem));
        }
        let mut starts: Vec<u64> = schedule.cuts(totals[0]).iter().map(|cut| cut / block).collect();
        starts.pop();
        starts.dedup();
        let in_file = |total: &u64| starts.iter().map(|start| start * block).chain([*total]).collect();
        Ok(totals.iter().map(in_file).collect())
    }
}

/// Pad one file, or two mates alike. Line ends become `\n`, third lines `+`.
pub fn pad(inputs: &[PathBuf], outputs: &[PathBuf], block_bytes: usize) -> Result<Layout> {
    refuse_pipes(inputs)?;
    let mut longest = 0;
    let mut records = 0;
    for_each_batch(inputs, |batch| {
        records += batch.len() as u64;
        for mate in &batch.mates {
            longest = mate.spans.iter().map(record_bytes).max().unwrap_or(0).max(longest);
        }
        Ok(())
    })?;
    if longest > block_bytes {
        let problem = format!("a block of {block_bytes} bytes is too short for a record of {longest}");
        return Err(Error::setting("--block-bytes", problem));
    }
    let block_records = (block_bytes / longest.max(1)) as u64;
    let mut writers =
        outputs.iter().map(|path| PaddedWriter::create(path, block_bytes)).collect::<Result<Vec<_>>>()?;
    let mut seen = 0;
    for_each_batch(inputs, |batch| {
        for i in 0..batch.len() {
            seen += 1;
            let closes = seen % block_records == 0;
            for (writer, mate) in writers.iter_mut().zip(&batch.mates) {
                writer.add(&mate.text, &mate.spans[i], closes && seen < records)?;
            }
        }
        Ok(())
    })?;
    let mut layout = Layout { block_bytes, block_records, records, bytes: 0 };
    for writer in writers.into_iter().rev() {
        layout.bytes = writer.bytes;
        layout.write(&writer.finish()?)?;
    }
    Ok(layout)
}

/// Take the padding out again.
pub fn unpad(inputs: &[PathBuf], outputs: &[PathBuf]) -> Result<u64> {
    let mut writers =
        outputs.iter().map(|path| PaddedWriter::create(path, usize::MAX)).collect::<Result<Vec<_>>>()?;
    let mut records = 0;
    for_each_batch(inputs, |batch| {
        records += batch.len() as u64;
        for (writer, mate) in writers.iter_mut().zip(&batch.mates) {
            mate.spans.iter().try_for_each(|span| writer.add(&mate.text, span, false))?;
        }
        Ok(())
    })?;
    writers.into_iter().try_for_each(|writer| writer.finish().map(drop))?;
    Ok(records)
}

/// See that every block of a padded file holds what its sidecar says.
pub fn check(path: &Path) -> Result<Layout> {
    let missing = || {
        Error::format(path, "has no sidecar .fqi beside it: it is not padded; pad it with `baleen fastq pad`")
    };
    let mut file = File::open(path).map_err(Error::io(path))?;
    let layout = Layout::beside(path)?.ok_or_else(missing)?;
    let mut records = 0;
    let mut place = Place::start(path);
    while place.offset < layout.bytes {
        let mut block = Vec::new();
        let mut part = std::io::Read::take(&mut file, layout.block_bytes as u64);
        std::io::Read::read_to_end(&mut part, &mut block).map_err(Error::io(path))?;
        let found = fastq::parse(&block, &place)?.len() as u64;
        let is_last = place.offset + block.len() as u64 >= layout.bytes;
        let is_right = if is_last { found <= layout.block_records } else { found == layout.block_records };
        if !is_right {
            let problem =
                format!("block at byte {} holds {found} reads, not {}", place.offset, layout.block_records);
            return Err(Error::format(path, problem));
        }
        records += found;
        place.offset += block.len() as u64;
    }
    if records == layout.records {
        return Ok(layout);
    }
    Err(Error::format(path, format!("holds {records} reads, but its sidecar says {}", layout.records)))
}

/// Files that are gone through twice cannot be pipes: the second time there would be nothing in them.
pub(crate) fn refuse_pipes(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let is_pipe = path == Path::new("-") || !std::fs::metadata(path).map_err(Error::io(path))?.is_file();
        if is_pipe {
            return Err(Error::format(path, "is read twice here, so it must be a file, not a pipe"));
        }
    }
    Ok(())
}

/// Go over all batches of FASTQ in order, on this thread.
pub(crate) fn for_each_batch(paths: &[PathBuf], mut with: impl FnMut(&Batch) -> Result<()>) -> Result<()> {
    let settings = SourceSettings {
        parsing: Some(Parsing::Chunk),
        lock: LockKind::Os,
        workers: 1,
        nodes: 1,
        batch_bytes: 1 << 20,
    };
    let source = Source::open(paths, &settings)?;
    if source.header_text().is_some() {
        return Err(Error::format(&paths[0], "is BAM, not FASTQ"));
    }
    let (mut batch, mut state, mut turn) = (source.new_batch(), SourceWorker::default(), Turn::default());
    while source.take(&mut batch, &mut state, &mut turn)? {
        if interrupt::is_asked() {
            return Err(Error::Stopped);
        }
        batch.parse()?;
        with(&batch)?;
    }
    Ok(())
}

/// Bytes of a record as it is written, without padding.
fn record_bytes(span: &Span) -> usize {
    span.name.len() + 2 * span.sequence.len() + "@\n\n+\n\n".len()
}

struct PaddedWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    block_bytes: usize,
    /// Bytes of the block that is being filled.
    filled: usize,
    bytes: u64,
}

impl PaddedWriter {
    fn create(path: &Path, block_bytes: usize) -> Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = BufWriter::with_capacity(1 << 18, File::create(&part).map_err(Error::io(&part))?);
        Ok(Self { path: path.to_owned(), part, file, block_bytes, filled: 0, bytes: 0 })
    }

    fn add(&mut self, text: &[u8], span: &Span, closes_block: bool) -> Result<()> {
        let length = record_bytes(span);
        let padding = if closes_block { self.block_bytes - self.filled - length } else { 0 };
        let mut record = Vec::with_capacity(length + padding);
        record.push(b'@');
        record.extend_from_slice(&text[span.name.clone()]);
        record.resize(record.len() + padding, b' ');
        record.push(b'\n');
        record.extend_from_slice(&text[span.sequence.clone()]);
        record.extend_from_slice(b"\n+\n");
        record.extend_from_slice(&text[span.quality.clone()]);
        record.push(b'\n');
        self.file.write_all(&record).map_err(Error::io(&self.part))?;
        self.filled = if closes_block { 0 } else { self.filled.saturating_add(length) };
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// Put the file in its place; returns its path.
    fn finish(self) -> Result<PathBuf> {
        let file = self.file.into_inner().map_err(|error| Error::io(&self.part)(error.into_error()))?;
        file.sync_all().map_err(Error::io(&self.part))?;
        std::fs::rename(&self.part, &self.path).map_err(Error::io(&self.path))?;
        Ok(self.path)
    }
}
