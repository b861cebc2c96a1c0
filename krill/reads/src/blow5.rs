//! BLOW5 files: header, and where records lie. The format is that of the SLOW5 specification
//! (Gamaarachchi et al. 2022), versions 0 and 1.
//!
//! A record is its length (u64) and that many bytes, compressed by themselves; so records are found
//! by their lengths alone, and opened by whoever got them. Positions are given with every read, so
//! one open file serves any number of threads.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// First bytes of every file.
pub const MAGIC: &[u8; 6] = b"BLOW5\x01";
/// Last bytes of every whole file.
const END: &[u8; 5] = b"5WOLB";
/// Header before its text.
const HEADER_BYTES: usize = 68;
/// Length field of a record.
pub const SIZE_BYTES: u64 = 8;
/// Longest record accepted.
const MAX_RECORD_BYTES: u64 = 1 << 32;

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordMethod {
    /// Not at all.
    None,
    /// zlib.
    Zlib,
    /// Zstandard.
    Zstd,
}

/// How the signal in a record is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalMethod {
    /// 16-bit samples.
    None,
    /// Differences as stream-vbyte.
    SvbZd,
    /// Differences as bytes with exceptions.
    ExZd,
}

/// An open BLOW5 file.
pub struct Blow5 {
    path: PathBuf,
    file: File,
    /// Compression of records and of signals.
    pub(crate) methods: (RecordMethod, SignalMethod),
    /// Read groups.
    pub groups: u32,
    /// Text of the header: attributes and column names.
    pub text: Vec<u8>,
    /// Bytes in which the records lie.
    pub records: (u64, u64),
}

impl Blow5 {
    /// Open a file after checking its header and its closing mark.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let bytes = file.metadata().map_err(Error::io(path))?.len();
        let mut head = [0; HEADER_BYTES];
        let length = HEADER_BYTES.min(bytes as usize);
        file.read_exact_at(&mut head[..length], 0).map_err(Error::io(path))?;
        if !head.starts_with(MAGIC) {
            return Err(Error::format(path, "is not a BLOW5 file"));
        }
        let mut end = [0; END.len()];
        let end_at = bytes.saturating_sub(END.len() as u64);
        if length == HEADER_BYTES {
            file.read_exact_at(&mut end, end_at).map_err(Error::io(path))?;
        }
        if &end != END {
            return Err(damaged(path, "is cut short: the closing mark is missing"));
        }
        let methods = (record_method(path, head[9])?, signal_method(path, head[14])?);
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let start = HEADER_BYTES as u64 + u64::from(number(64));
        if start > end_at {
            return Err(damaged(path, "has a header that is longer than the file"));
        }
        if head[6] > 1 {
            return Err(Error::format(
                path,
                format!("has version {} of the format, which is not read", head[6]),
            ));
        }
        let mut text = vec![0; start as usize - HEADER_BYTES];
        file.read_exact_at(&mut text, HEADER_BYTES as u64).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file, methods, groups: number(10), text, records: (start, end_at) })
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the record at `at`, its length field included; `None` behind the last record.
    pub fn size_at(&self, at: u64) -> Result<Option<u64>> {
        let (start, end) = self.records;
        if at == end {
            return Ok(None);
        }
        let mut field = [0; SIZE_BYTES as usize];
        if at < start || at > end || end - at < SIZE_BYTES {
            return Err(self.no_record(at));
        }
        self.file.read_exact_at(&mut field, at).map_err(Error::io(&self.path))?;
        self.size_in(&field, at).map(Some)
    }

    /// Bytes of the record at `at`, which begins with `text`, its length field included.
    pub(crate) fn size_in(&self, text: &[u8], at: u64) -> Result<u64> {
        let Some(field) = text.first_chunk() else { return Err(self.no_record(at)) };
        let length = u64::from_le_bytes(*field);
        let room = self.records.1.saturating_sub(at + SIZE_BYTES);
        if length == 0 || length > room.min(MAX_RECORD_BYTES) {
            let problem = format!("is damaged: the record at byte {at} is said to have {length} bytes");
            return Err(self.damaged(problem));
        }
        Ok(SIZE_BYTES + length)
    }

    fn no_record(&self, at: u64) -> Error {
        self.damaged(format!("has no record at byte {at}"))
    }

    /// Replace `bytes` by those from `at` on.
    pub fn read(&self, at: u64, length: u64, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        self.read_on(at, length, bytes)
    }

    /// Make `bytes`, which are those from `at` on, `length` long.
    pub(crate) fn read_on(&self, at: u64, length: u64, bytes: &mut Vec<u8>) -> Result<()> {
        let (start, end) = self.records;
        if at < start || at > end || length > end - at {
            return Err(self.damaged(format!("has no record of {length} bytes at byte {at}")));
        }
        let known = bytes.len();
        bytes.resize(length as usize, 0);
        let Some(missing) = bytes.get_mut(known..) else { return Ok(()) };
        self.file.read_exact_at(missing, at + known as u64).map_err(Error::io(&self.path))
    }

    /// Replace `bytes` by the record at `at`, whose size with its length field is known.
    pub fn read_record(&self, at: u64, size: u64, bytes: &mut Vec<u8>) -> Result<()> {
        self.read(at, size, bytes)?;
        let field = bytes.first_chunk().map(|field| u64::from_le_bytes(*field));
        if size <= SIZE_BYTES || field != Some(size - SIZE_BYTES) {
            return Err(self.no_record(at));
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, problem: impl Into<String>) -> Error {
        damaged(&self.path, problem)
    }
}

/// Records, with their length fields, in a text that holds whole records only.
pub(crate) fn records(text: &[u8]) -> Vec<Range<usize>> {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(field) = text[at..].first_chunk() {
        let end = (at + (SIZE_BYTES + u64::from_le_bytes(*field)) as usize).min(text.len());
        records.push(at..end);
        at = end;
    }
    records
}

fn damaged(path: &Path, problem: impl Into<String>) -> Error {
    let hint = format!("copy the file again; slow5tools quickcheck {}", path.display());
    Error::format(path, problem).with_hint(hint)
}

fn record_method(path: &Path, code: u8) -> Result<RecordMethod> {
    match code {
        0 => Ok(RecordMethod::None),
        1 => Ok(RecordMethod::Zlib),
        2 => Ok(RecordMethod::Zstd),
        other => Err(unknown(path, "records", other)),
    }
}

fn signal_method(path: &Path, code: u8) -> Result<SignalMethod> {
    match code {
        // Files older than 0.2.0 leave the byte 0 and store signals as they are.
        0 => Ok(SignalMethod::None),
        1 => Ok(SignalMethod::SvbZd),
        2 => Ok(SignalMethod::ExZd),
        other => Err(unknown(path, "signals", other)),
    }
}

fn unknown(path: &Path, what: &str, code: u8) -> Error {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let hint = format!("slow5tools view {} -c zlib -s svb-zd -o {stem}.svb-zd.blow5", path.display());
    Error::format(path, format!("compresses its {what} with method {code}, which is not read"))
        .with_hint(hint)
}
