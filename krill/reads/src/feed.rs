//! Gzip is inflated by a thread of its own, which hands over pieces of text; a lock around the reader
//! passes them on without copying them, and without waking anybody.
//!
//! Whoever wakes a thread may lose the core to it, so the inflating thread is woken outside the lock,
//! and only when half of the pieces that may wait have been taken.

use std::collections::VecDeque;
use std::io::{BufRead, Cursor, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flate2::bufread::GzDecoder;

use crate::stream::Stream;

/// Text handed over at once: a fraction of a batch, which takes whole pieces.
const PIECE_BYTES: usize = 1 << 16;
/// Pieces that may wait for a reader.
const DEPTH: usize = 64;

type Piece = std::io::Result<Vec<u8>>;

/// Inflate on a thread of its own.
pub(crate) fn inflate(compressed: Box<dyn Stream>) -> Box<dyn Stream> {
    let queue = Arc::new(Queue::default());
    let filled = Arc::clone(&queue);
    std::thread::spawn(move || {
        // However this ends, the reader hears of it.
        let _end = End(&filled);
        let mut decoder = Members { current: Some(GzDecoder::new(compressed)) };
        loop {
            let mut text = Vec::with_capacity(PIECE_BYTES);
            let result = decoder.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut text);
            let is_last = text.len() < PIECE_BYTES;
            if !filled.put(result.map(|_| text)) || is_last {
                return;
            }
        }
    });
    Box::new(Feed { queue, text: Cursor::default(), waited: Duration::ZERO })
}

/// The text of all members of a gzip file. Zeros behind a member are padding, as they are for gzip.
struct Members {
    /// Gone behind the last member.
    current: Option<GzDecoder<Box<dyn Stream>>>,
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.current {
            let length = member.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            self.current = next_member(self.current.take())?;
        }
        Ok(0)
    }
}

fn next_member(
    ended: Option<GzDecoder<Box<dyn Stream>>>,
) -> std::io::Result<Option<GzDecoder<Box<dyn Stream>>>> {
    let Some(mut compressed) = ended.map(GzDecoder::into_inner) else { return Ok(None) };
    loop {
        let bytes = compressed.fill_buf()?;
        let padding = bytes.iter().take_while(|&&byte| byte == 0).count();
        match bytes.get(padding) {
            None if bytes.is_empty() => return Ok(None),
            None => compressed.consume(padding),
            Some(0x1f) => {
                compressed.consume(padding);
                return Ok(Some(GzDecoder::new(compressed)));
            }
            Some(_) => {
                let problem = "something else than gzip stands behind the compressed data";
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, problem));
            }
        }
    }
}

/// Pieces on their way from the inflating thread to the reader.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Piece>,
    /// Nothing more comes.
    is_ended: bool,
    /// Nobody reads any more.
    is_abandoned: bool,
    /// The inflating thread sleeps until there is room.
    is_full: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Add a piece when there is room. False if nobody reads any more.
    fn put(&self, piece: Piece) -> bool {
        let mut state = self.lock();
        if state.pieces.len() >= DEPTH {
            state.is_full = true;
            let sleeps = |state: &mut State| state.is_full && !state.is_abandoned;
            state = self.changed.wait_while(state, sleeps).unwrap_or_else(PoisonError::into_inner);
        }
        let is_first = state.pieces.is_empty();
        state.pieces.push_back(piece);
        let is_read = !state.is_abandoned;
        drop(state);
        if is_first {
            self.changed.notify_all();
        }
        is_read
    }

    /// The next piece and the time spent waiting for it; an empty one behind the last.
    fn take(&self) -> (Piece, Duration) {
        let mut state = self.lock();
        let mut waited = Duration::ZERO;
        if state.pieces.is_empty() && !state.is_ended {
            self.go_on(&mut state);
            let asked = Instant::now();
            let is_missing = |state: &mut State| state.pieces.is_empty() && !state.is_ended;
            state = self.changed.wait_while(state, is_missing).unwrap_or_else(PoisonError::into_inner);
            waited = asked.elapsed();
        }
        (state.pieces.pop_front().unwrap_or_else(|| Ok(Vec::new())), waited)
    }

    /// Wake the inflating thread if it sleeps and there is much room.
    pub(crate) fn refill(&self) {
        let mut state = self.lock();
        if state.pieces.len() <= DEPTH / 2 {
            self.go_on(&mut state);
        }
    }

    fn go_on(&self, state: &mut State) {
        if std::mem::take(&mut state.is_full) {
            self.changed.notify_all();
        }
    }
}

/// Says that nothing more comes, also where the inflating thread panics.
struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().is_ended = true;
        self.0.changed.notify_all();
    }
}

/// Reads what the inflating thread sends.
struct Feed {
    queue: Arc<Queue>,
    text: Cursor<Vec<u8>>,
    waited: Duration,
}

impl Feed {
    fn receive(&mut self) -> Piece {
        let (piece, waited) = self.queue.take();
        self.waited += waited;
        piece
    }
}

impl Stream for Feed {
    fn take_piece(&mut self) -> Option<Piece> {
        let text = std::mem::take(&mut self.text);
        let at = text.position() as usize;
        let mut rest = text.into_inner();
        rest.drain(..at);
        Some(if rest.is_empty() { self.receive() } else { Ok(rest) })
    }

    fn waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    fn queue(&self) -> Option<Arc<Queue>> {
        Some(Arc::clone(&self.queue))
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.text.position() == self.text.get_ref().len() as u64 {
            self.text = Cursor::new(self.receive()?);
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

impl Drop for Feed {
    fn drop(&mut self) {
        self.queue.lock().is_abandoned = true;
        self.queue.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn fed(text: &[u8]) -> Box<dyn Stream> {
        inflate(Box::new(BufReader::new(Cursor::new(packed(text)))))
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i / 7 % 251) as u8).collect()
    }

    #[test]
    fn pieces_are_the_text_however_many_wait_and_whoever_wakes_the_thread() {
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * DEPTH * PIECE_BYTES + 5] {
            let expected = text(length);
            for refills in [false, true] {
                let mut stream = fed(&expected);
                let queue = stream.queue().expect("inflated");
                let mut got = Vec::new();
                while let Some(piece) = stream.take_piece() {
                    let piece = piece.expect("whole");
                    if piece.is_empty() {
                        break;
                    }
                    got.extend_from_slice(&piece);
                    if refills {
                        queue.refill();
                    }
                }
                assert!(expected == got, "{length} bytes, refills {refills}");
            }
        }
    }

    #[test]
    fn a_piece_taken_after_bytes_were_read_begins_behind_them() {
        let expected = text(2 * PIECE_BYTES);
        let mut stream = fed(&expected);
        let mut start = [0; 10];
        stream.read_exact(&mut start).expect("whole");
        let piece = stream.take_piece().expect("inflated").expect("whole");
        assert_eq!((&expected[..10], &expected[10..PIECE_BYTES]), (&start[..], &piece[..]));
    }

    #[test]
    fn members_follow_each_other_and_zeros_behind_them_are_padding() {
        let zeros = [0; 100];
        let parts = [&packed(b"one, ")[..], &zeros, &packed(b""), &packed(b"two"), &zeros];
        // Buffers of every length, so that padding and members begin in any of them.
        for capacity in 1..150 {
            let mut got = String::new();
            let file = Cursor::new(parts.concat());
            let mut stream = inflate(Box::new(BufReader::with_capacity(capacity, file)));
            stream.read_to_string(&mut got).expect("whole");
            assert_eq!("one, two", got);
        }
        let mut stream = inflate(Box::new(BufReader::new(Cursor::new([parts[0], b"\0@read"].concat()))));
        let error = stream.read_to_string(&mut String::new()).expect_err("no gzip");
        assert_eq!("something else than gzip stands behind the compressed data", error.to_string());
    }

    #[test]
    fn the_thread_ends_when_nobody_reads_any_more() {
        let stream = fed(&text(3 * DEPTH * PIECE_BYTES));
        let queue = stream.queue().expect("inflated");
        drop(stream);
        let state = queue.changed.wait_while(queue.lock(), |state| !state.is_ended);
        assert!(state.expect("no panic").is_abandoned);
    }
}
