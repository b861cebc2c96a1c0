//! Open a file of reads and tell what it is: plain, gzip, blocked gzip; seekable or a pipe.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::bgzf::{self, HEADER_BYTES};
use crate::feed::{Queue, inflate};
use crate::{Error, Result};

/// Bytes of compressed text asked of the system at once.
const READ_BYTES: usize = 1 << 18;
/// The same of plain text: few enough to be in the nearest cache when they are copied to their place.
const PLAIN_READ_BYTES: usize = 1 << 15;

/// Bytes in order; buffered, so that they are copied without clearing their place first.
pub(crate) trait Stream: BufRead + Send {
    /// The next bytes as a piece that can be had without copying it, if these come in such pieces;
    /// empty behind the last.
    fn take_piece(&mut self) -> Option<std::io::Result<Vec<u8>>> {
        None
    }

    /// Time since the last call that was spent waiting for the thread that inflates.
    fn waited(&mut self) -> Duration {
        Duration::ZERO
    }

    /// Where that thread puts pieces, if there is one.
    fn queue(&self) -> Option<Arc<Queue>> {
        None
    }
}

impl<R: Read + Send> Stream for BufReader<R> {}

/// What an opened file turned out to be.
pub(crate) enum Opened {
    /// A plain file that can be read anywhere, and its length.
    Plain(File, u64),
    /// Blocked gzip from its first byte; the length if known.
    Blocked(Box<dyn Stream>, Option<u64>),
    /// Text in order: a pipe, or gzip inflated by a thread of its own.
    Text(Box<dyn Stream>),
}

/// Open `path`; `-` is the standard input.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    let mut file = if path == Path::new("-") {
        File::from(stdin(path)?)
    } else {
        File::open(path).map_err(Error::io(path))?
    };
    let metadata = file.metadata().map_err(Error::io(path))?;
    if metadata.is_dir() {
        return Err(Error::format(path, "is a folder, not a file of reads"));
    }
    let mut start = Vec::with_capacity(HEADER_BYTES);
    let head = (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut start);
    head.map_err(Error::io(path))?;
    let is_compressed = start.starts_with(&[0x1f, 0x8b]);
    let is_blocked = is_compressed && bgzf::is_bgzf(&start);
    let length = metadata.is_file().then_some(metadata.len());
    if let (Some(length), false) = (length, is_compressed) {
        return Ok(Opened::Plain(file, length));
    }
    let whole: Box<dyn Stream> =
        Box::new(BufReader::with_capacity(READ_BYTES, Cursor::new(start).chain(file)));
    Ok(match (is_blocked, is_compressed) {
        (true, _) => Opened::Blocked(whole, length),
        (false, true) => Opened::Text(inflate(whole)),
        (false, false) => Opened::Text(whole),
    })
}

impl Opened {
    /// Whatever it is, as text in order. Blocked gzip is gzip too.
    #[must_use]
    pub(crate) fn into_text(self) -> Box<dyn Stream> {
        match self {
            Self::Plain(file, _) => {
                Box::new(BufReader::with_capacity(PLAIN_READ_BYTES, FromStart { file, at: 0 }))
            }
            Self::Blocked(stream, _) => inflate(stream),
            Self::Text(stream) => stream,
        }
    }
}

fn stdin(path: &Path) -> Result<std::os::fd::OwnedFd> {
    use std::os::fd::AsFd;
    std::io::stdin().as_fd().try_clone_to_owned().map_err(Error::io(path))
}

/// A seekable file from its first byte, wherever its cursor is.
struct FromStart {
    file: File,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = std::os::unix::fs::FileExt::read_at(&self.file, buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// Name an error of reading `path`: damage where the decoder says so, else the system's word.
pub(crate) fn reading(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => Error::format(path, "compressed data end early: the file is truncated"),
        InvalidData | InvalidInput => Error::format(path, format!("cannot be inflated: {error}")),
        _ => Error::io(path)(error),
    }
}
