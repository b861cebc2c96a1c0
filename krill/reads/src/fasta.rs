//! A look at a reference before an aligner takes it, whose own reader takes FASTQ too and ends in
//! silence where a compressed file is cut short.

use std::io::{BufRead, Read, copy, sink};
use std::path::{Path, PathBuf};

use crate::stream::{self, Opened, Stream, reading};
use crate::{Error, Result};

/// A compressed FASTA file of which the beginning was seen.
pub struct Rest {
    path: PathBuf,
    text: Box<dyn Stream>,
}

impl Rest {
    /// Go on to the end: is the file whole?
    pub fn check(mut self) -> Result<()> {
        copy(&mut self.text, &mut sink()).map_err(|error| reading(&self.path, error))?;
        Ok(())
    }
}

/// See that a file begins as FASTA does, or as `other`. Returns what is left of a compressed file to be
/// checked. A pipe can be read once only, so nothing is seen of it.
pub fn check_start(path: &Path, other: &[u8]) -> Result<Option<Rest>> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    if metadata.is_dir() {
        return Err(Error::format(path, "is a folder, not a FASTA file"));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let opened = stream::open(path)?;
    let is_compressed = !matches!(opened, Opened::Plain(..));
    let mut text = opened.into_text();
    let start = first_bytes(&mut text, other.len()).map_err(|error| reading(path, error))?;
    match start.first() {
        None => return Err(Error::format(path, "holds no sequence")),
        Some(b'>') => {}
        Some(_) if !other.is_empty() && start == other => {}
        Some(b'@') => return Err(Error::format(path, "is FASTQ, but the reference must be FASTA")),
        Some(_) => return Err(Error::format(path, "is not FASTA: it does not begin with '>'")),
    }
    Ok(is_compressed.then(|| Rest { path: path.to_owned(), text }))
}

/// The first bytes that are no line ends or blanks, up to `length`, at least one if there is one.
fn first_bytes(text: &mut Box<dyn Stream>, length: usize) -> std::io::Result<Vec<u8>> {
    loop {
        let bytes = text.fill_buf()?;
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank < bytes.len() || bytes.is_empty() {
            text.consume(blank);
            break;
        }
        text.consume(blank);
    }
    let mut start = Vec::new();
    text.take(length.max(1) as u64).read_to_end(&mut start)?;
    Ok(start)
}
