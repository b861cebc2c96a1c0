//! Coordinate sorting with bounded memory: workers fill runs, full runs go to disk sorted.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use krill_reads::{Destination, Error, Result};

/// Read-ahead of a run on disk.
const RUN_BUFFER_BYTES: usize = 1 << 18;

/// Sort key of a record: reference, position, strand; then the order of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Unmapped records without a place come last.
    place: u64,
    /// Batch of the input. Records of a batch stay in their order within one run.
    order: u64,
}

impl Key {
    fn new(record: &[u8], order: u64) -> Self {
        let number =
            |at: usize| i32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        let (reference, position) = (number(4) as u32, (number(8) + 1) as u32);
        let is_reverse = u64::from(record[18] >> 4 & 1);
        Self { place: u64::from(reference) << 32 | u64::from(position) << 1 | is_reverse, order }
    }
}

/// A record in a run's memory.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) at: usize,
    pub(crate) length: u32,
}

/// Collects records, with their length before each; one per lane of a sink.
pub(crate) struct Sorter {
    folder: PathBuf,
    prefix: String,
    memory_bytes: usize,
    ties: Ties,
    records: Vec<u8>,
    entries: Vec<Entry>,
    spilled: Vec<PathBuf>,
}

/// What orders records of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ties {
    /// The order of the input.
    Input,
    /// Their names, where the order they come in depends on chance.
    Name,
}

impl Sorter {
    /// A sorter that keeps `memory_bytes` and writes what is more beside `output`.
    pub(crate) fn new(output: &Path, lane: usize, memory_bytes: usize, ties: Ties) -> Self {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        Self {
            folder: output.parent().unwrap_or_else(|| Path::new("")).to_owned(),
            prefix: format!("{name}.run{lane}"),
            memory_bytes,
            ties,
            records: Vec::new(),
            entries: Vec::new(),
            spilled: Vec::new(),
        }
    }

    /// Sort what is in memory; the input order breaks ties, so the result does not depend on threads.
    fn sort(&mut self) {
        self.entries.sort_unstable_by_key(|entry| (entry.key, entry.at));
    }

    fn spill(&mut self) -> Result<()> {
        self.sort();
        let path = self.folder.join(format!("{}.{}", self.prefix, self.spilled.len()));
        let file = File::create(&path).map_err(Error::io(&path))?;
        self.spilled.push(path.clone());
        let mut writer = BufWriter::with_capacity(RUN_BUFFER_BYTES, file);
        for entry in &self.entries {
            let record = record_at(&self.records, entry.at);
            writer.write_all(&entry.key.order.to_le_bytes()).map_err(Error::io(&path))?;
            writer.write_all(record).map_err(Error::io(&path))?;
        }
        writer.flush().map_err(Error::io(&path))?;
        self.records.clear();
        self.entries.clear();
        Ok(())
    }

    /// All that was collected, as sorted runs: the one in memory, and those on disk.
    pub(crate) fn into_runs(mut self) -> Result<(MemoryRun, Vec<DiskRun>)> {
        self.sort();
        let disk =
            std::mem::take(&mut self.spilled).into_iter().map(DiskRun::open).collect::<Result<Vec<_>>>()?;
        let (records, entries) = (std::mem::take(&mut self.records), std::mem::take(&mut self.entries));
        Ok((MemoryRun { records, entries }, disk))
    }
}

impl Destination for Sorter {
    type Piece = Vec<u8>;

    fn append(&mut self, order: u64, piece: &mut Vec<u8>) -> Result<()> {
        let held = self.records.len() + self.entries.len() * size_of::<Entry>();
        if !self.entries.is_empty() && held + piece.len() > self.memory_bytes {
            self.spill()?;
        }
        let mut at = self.records.len();
        self.records.append(piece);
        while at < self.records.len() {
            let record = record_at(&self.records, at);
            let order = if self.ties == Ties::Name { name_order(record) } else { order };
            self.entries.push(Entry { key: Key::new(record, order), at, length: record.len() as u32 });
            at += record.len();
        }
        Ok(())
    }
}

/// A number that only the name and the flags of a record decide (FNV-1a).
fn name_order(record: &[u8]) -> u64 {
    let name = &record[36..36 + usize::from(record[12])];
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.iter().chain(&record[18..20]).fold(0xcbf2_9ce4_8422_2325, step)
}

impl Drop for Sorter {
    fn drop(&mut self) {
        // Only a run that failed still has these files; the error that ended it is the one to report.
        self.spilled.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
}

/// The record, with its length, that begins at `at`.
fn record_at(records: &[u8], at: usize) -> &[u8] {
    let length = u32::from_le_bytes([records[at], records[at + 1], records[at + 2], records[at + 3]]);
    &records[at..at + 4 + length as usize]
}

/// Sorted records that fitted into memory. Shared by the threads that gather them.
pub(crate) struct MemoryRun {
    /// Records with their lengths, unsorted.
    pub(crate) records: Vec<u8>,
    /// Their sorted places.
    pub(crate) entries: Vec<Entry>,
}

/// Sorted records that did not fit. The file is removed with the run.
pub(crate) struct DiskRun {
    path: PathBuf,
    /// Rest of the file.
    reader: BufReader<File>,
    /// The next record, with its length.
    record: Vec<u8>,
    /// Its key; `None` at the end.
    key: Option<Key>,
}

impl DiskRun {
    fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(Error::io(&path))?;
        let reader = BufReader::with_capacity(RUN_BUFFER_BYTES, file);
        let mut run = Self { path, reader, record: Vec::new(), key: None };
        run.advance()?;
        Ok(run)
    }

    /// Key of the next record.
    pub(crate) fn key(&self) -> Option<Key> {
        self.key
    }

    /// Append the next record, with its length, to `out` and go on.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.record);
        self.advance()
    }

    fn advance(&mut self) -> Result<()> {
        let Self { path, reader, record, key } = self;
        let mut order = [0; 8];
        match reader.read_exact(&mut order) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                *key = None;
                return Ok(());
            }
            result => result.map_err(Error::io(path))?,
        }
        record.resize(4, 0);
        reader.read_exact(record).map_err(Error::io(path))?;
        let length = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
        record.resize(4 + length as usize, 0);
        reader.read_exact(&mut record[4..]).map_err(Error::io(path))?;
        *key = Some(Key::new(record, u64::from_le_bytes(order)));
        Ok(())
    }
}

impl Drop for DiskRun {
    fn drop(&mut self) {
        // A file that cannot be removed is left over, not wrong.
        drop(std::fs::remove_file(&self.path));
    }
}
