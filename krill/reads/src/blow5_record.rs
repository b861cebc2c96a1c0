//! Open BLOW5 records: inflate them, find their fields, decode their signal. One decoder per thread.

use flate2::{Decompress, FlushDecompress};
use krill_signal::codec::{ex_zd, svb_zd};
use libdeflater::{DecompressionError, Decompressor};
use zstd::bulk::Decompressor as ZstdDecompressor;

use crate::Result;
use crate::blow5::{Blow5, RecordMethod, SIZE_BYTES, SignalMethod};

/// Text that holds the read name of nearly every record.
const NAME_BYTES: usize = 512;
/// Read group (u32), digitisation, offset, range, sampling rate (f64), length of the signal (u64).
const FIELD_BYTES: usize = 44;
/// Longest record accepted once inflated.
const MAX_TEXT_BYTES: usize = 1 << 32;

/// What a record says, without its signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Read name, as stored.
    pub name: Vec<u8>,
    /// Calibration: picoampere = (sample + offset) * scale.
    pub offset_adc: f64,
    /// See `offset_adc`.
    pub scale_pa: f64,
    /// Samples per second.
    pub sampling_rate_hz: f64,
    /// Samples of the signal.
    pub samples: usize,
}

/// Opens records of one file.
pub struct Decoder<'a> {
    file: &'a Blow5,
    zlib: Decompressor,
    zstd: Option<ZstdDecompressor<'static>>,
    text: Vec<u8>,
}

impl<'a> Decoder<'a> {
    /// A decoder with buffers of its own.
    #[must_use]
    pub fn new(file: &'a Blow5) -> Self {
        Self { file, zlib: Decompressor::new(), zstd: None, text: Vec::new() }
    }

    /// Name of the read in the record `stored` (with its length field), which lies at byte `at`.
    pub fn name(&mut self, at: u64, stored: &[u8]) -> Result<Vec<u8>> {
        if self.file.methods.0 == RecordMethod::Zlib {
            self.text.clear();
            self.text.reserve(NAME_BYTES);
            let mut inflate = Decompress::new(true);
            let body = &stored[SIZE_BYTES as usize..];
            inflate.decompress_vec(body, &mut self.text, FlushDecompress::None).map_err(|error| {
                self.file.damaged(format!("is damaged: the record at byte {at} ({error})"))
            })?;
            if let Some((name, _)) = split_name(&self.text) {
                return Ok(name.to_vec());
            }
        }
        self.open(at, stored)?;
        Ok(self.split(at)?.0.to_vec())
    }

    /// Decode the record `stored` (with its length field), which lies at byte `at`; its signal is
    /// appended to `signal`.
    pub fn decode(&mut self, at: u64, stored: &[u8], signal: &mut Vec<i16>) -> Result<Record> {
        self.open(at, stored)?;
        let (name, rest) = self.split(at)?;
        let shown = || String::from_utf8_lossy(name).into_owned();
        let damaged = |problem: String| self.file.damaged(format!("is damaged: read {} {problem}", shown()));
        let Some((fields, data)) = rest.split_first_chunk::<FIELD_BYTES>() else {
            return Err(damaged("is incomplete".into()));
        };
        let word = |i: usize| -> [u8; 8] { std::array::from_fn(|byte| fields[4 + 8 * i + byte]) };
        let [digitisation, offset_adc, range_pa, sampling_rate_hz] =
            std::array::from_fn(|i| f64::from_le_bytes(word(i)));
        let n = u64::from_le_bytes(word(4));
        // Compressed signals give their length in bytes.
        let bytes = if self.file.methods.1 == SignalMethod::None { n.saturating_mul(2) } else { n };
        let Some(data) = usize::try_from(bytes).ok().and_then(|bytes| data.get(..bytes)) else {
            return Err(damaged(format!("is said to have {bytes} bytes of signal")));
        };
        let scale_pa = range_pa / digitisation;
        if !(offset_adc.is_finite() && scale_pa.is_finite() && digitisation > 0.0 && sampling_rate_hz > 0.0) {
            return Err(damaged("has no usable calibration".into()));
        }
        let before = signal.len();
        let decoded = match self.file.methods.1 {
            SignalMethod::None => {
                signal.extend(data.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])));
                Ok(())
            }
            SignalMethod::SvbZd => svb_zd::decode(data, signal),
            SignalMethod::ExZd => ex_zd::decode(data, signal),
        };
        decoded.map_err(|error| damaged(format!("has a damaged signal: its {error}")))?;
        let samples = signal.len() - before;
        Ok(Record { name: name.to_vec(), offset_adc, scale_pa, sampling_rate_hz, samples })
    }

    /// Inflate a record into `text`.
    fn open(&mut self, at: u64, stored: &[u8]) -> Result<()> {
        let body = &stored[SIZE_BYTES as usize..];
        self.text.clear();
        let opened = match self.file.methods.0 {
            RecordMethod::None => {
                self.text.extend_from_slice(body);
                Ok(())
            }
            RecordMethod::Zlib => self.inflate(body),
            RecordMethod::Zstd => self.open_zstd(body),
        };
        opened
            .map_err(|problem| self.file.damaged(format!("is damaged: the record at byte {at} ({problem})")))
    }

    fn inflate(&mut self, body: &[u8]) -> std::result::Result<(), String> {
        let mut room = (4 * body.len()).max(1 << 12);
        loop {
            self.text.resize(room, 0);
            match self.zlib.zlib_decompress(body, &mut self.text) {
                Ok(length) => {
                    self.text.truncate(length);
                    return Ok(());
                }
                Err(DecompressionError::InsufficientSpace) if room < MAX_TEXT_BYTES => room *= 4,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn open_zstd(&mut self, body: &[u8]) -> std::result::Result<(), String> {
        let text = |error: std::io::Error| error.to_string();
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(ZstdDecompressor::new().map_err(text)?),
        };
        let claimed = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
        let mut room = claimed.map_or(4 * body.len(), |bytes| bytes as usize).max(1);
        loop {
            if room > MAX_TEXT_BYTES {
                return Err(format!("claims {room} bytes"));
            }
            self.text.try_reserve(room).map_err(|error| error.to_string())?;
            match zstd.decompress_to_buffer(body, &mut self.text) {
                Ok(_) => return Ok(()),
                // A frame that does not tell its size: try with more room.
                Err(_) if claimed.is_none() && room < MAX_TEXT_BYTES => room *= 4,
                Err(error) => return Err(text(error)),
            }
        }
    }

    fn split(&self, at: u64) -> Result<(&[u8], &[u8])> {
        let problem = || self.file.damaged(format!("is damaged: the record at byte {at} has no read name"));
        split_name(&self.text).ok_or_else(problem)
    }
}

/// The name at the start of a record, and what follows it.
fn split_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = text.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    rest.split_at_checked(length).filter(|_| length > 0)
}

/// Records from `at` on, up to `count`: where they lie, size included.
pub fn places(file: &Blow5, mut at: u64, count: usize) -> Result<Vec<(u64, u64)>> {
    let mut places = Vec::new();
    while places.len() < count {
        let Some(size) = file.size_at(at)? else { break };
        places.push((at, size));
        at += size;
    }
    Ok(places)
}

/// Names of the reads at `places`, by `threads` threads.
pub fn names(file: &Blow5, places: &[(u64, u64)], threads: usize) -> Result<Vec<Vec<u8>>> {
    in_parts(places, threads, |part| {
        let (mut decoder, mut stored) = (Decoder::new(file), Vec::new());
        let name = |&(at, size): &(u64, u64)| {
            file.read_record(at, size, &mut stored)?;
            decoder.name(at, &stored)
        };
        part.iter().map(name).collect::<Result<Vec<_>>>()
    })
    .map(|parts| parts.into_iter().flatten().collect())
}

/// Work through equal parts of `items` on threads of their own; results in order.
fn in_parts<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&[T]) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let length = items.len().div_ceil(threads.max(1)).max(1);
    if items.len() <= length {
        return work(items).map(|one| vec![one]);
    }
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = items.chunks(length).map(|part| scope.spawn(move || work(part))).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Decode the records at `places` on this thread, one signal after the other.
pub fn decode(file: &Blow5, places: &[(u64, u64)]) -> Result<(Vec<Record>, Vec<i16>)> {
    let (mut decoder, mut stored, mut signal) = (Decoder::new(file), Vec::new(), Vec::new());
    let mut records = Vec::with_capacity(places.len());
    for &(at, size) in places {
        file.read_record(at, size, &mut stored)?;
        records.push(decoder.decode(at, &stored, &mut signal)?);
    }
    Ok((records, signal))
}
