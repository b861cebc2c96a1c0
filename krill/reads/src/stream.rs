//! Open a file of reads and tell what it is: plain, gzip, blocked gzip; seekable or a pipe.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::bufread::MultiGzDecoder;

use crate::bgzf::{self, HEADER_BYTES};
use crate::{Error, Result};

/// Bytes of compressed text asked of the system at once.
const READ_BYTES: usize = 1 << 18;
/// The same of plain text: few enough to be in the nearest cache when they are copied to their place.
const PLAIN_READ_BYTES: usize = 1 << 15;
/// Text the inflating thread hands over at once.
const FEED_BYTES: usize = 1 << 20;
/// Pieces of text that may wait for a reader.
const FEED_DEPTH: usize = 4;

/// Bytes in order; buffered, so that they are copied without clearing their place first.
pub(crate) type Stream = Box<dyn BufRead + Send>;

/// What an opened file turned out to be.
pub(crate) enum Opened {
    /// A plain file that can be read anywhere, and its length.
    Plain(File, u64),
    /// Blocked gzip from its first byte; the length if known.
    Blocked(Stream, Option<u64>),
    /// Text in order: a pipe, or gzip inflated by a thread of its own.
    Text(Stream),
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
    let whole: Stream = Box::new(BufReader::with_capacity(READ_BYTES, Cursor::new(start).chain(file)));
    Ok(match (is_blocked, is_compressed) {
        (true, _) => Opened::Blocked(whole, length),
        (false, true) => Opened::Text(inflate(whole)),
        (false, false) => Opened::Text(whole),
    })
}

impl Opened {
    /// Whatever it is, as text in order. Blocked gzip is gzip too.
    #[must_use]
    pub(crate) fn into_text(self) -> Stream {
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

/// Inflate on a thread of its own, so that a lock around the result only copies bytes.
fn inflate(compressed: Stream) -> Stream {
    let (sender, receiver) = sync_channel(FEED_DEPTH);
    std::thread::spawn(move || {
        let mut decoder = MultiGzDecoder::new(compressed);
        loop {
            let mut text = Vec::with_capacity(FEED_BYTES);
            let result = decoder.by_ref().take(FEED_BYTES as u64).read_to_end(&mut text);
            let is_last = text.len() < FEED_BYTES;
            // A receiver that is gone has all it wanted.
            if sender.send(result.map(|_| text)).is_err() || is_last {
                return;
            }
        }
    });
    Box::new(Feed { receiver, text: Cursor::new(Vec::new()) })
}

/// Reads what the inflating thread sends.
struct Feed {
    receiver: Receiver<std::io::Result<Vec<u8>>>,
    text: Cursor<Vec<u8>>,
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        while self.text.position() == self.text.get_ref().len() as u64 {
            match self.receiver.recv() {
                Ok(text) => self.text = Cursor::new(text?),
                Err(_) => break,
            }
        }
        self.text.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.text.consume(length);
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
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
