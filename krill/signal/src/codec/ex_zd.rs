//! Decode signals that BLOW5 files store as `ex-zd` (version 0, of slow5lib 1.3 and later).
//!
//! Layout, little-endian: version (u8), number of samples (u64), shift (u8), zigzag code of the first
//! sample (u16); then the zigzag codes of the differences (16 bits, wrapping). Codes above 255 are
//! exceptions: their number (u32); if it is one, its place and code minus 256 (u32 each); if more,
//! places and codes minus 256, both as stream-vbyte with their length in bytes (u32) before them,
//! places as the difference to the one before. The other codes follow, a byte each. Samples are
//! shifted to the left at the end.

use super::{damaged, stream_vbyte, unzigzag_16};
use crate::Result;

const NAME: &str = "ex-zd signal";
const MAX_SHIFT: u8 = 5;

/// Append the samples of one compressed signal.
pub fn decode(bytes: &[u8], samples: &mut Vec<i16>) -> Result<()> {
    let start = samples.len();
    decode_parts(bytes, samples).map_err(|problem| {
        samples.truncate(start);
        damaged(NAME, problem)
    })
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> std::result::Result<&'a [u8], String> {
        let (part, rest) =
            self.0.split_at_checked(n).ok_or_else(|| format!("ends {} bytes early", n - self.0.len()))?;
        self.0 = rest;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> std::result::Result<[u8; N], String> {
        self.take(N).map(|part| std::array::from_fn(|i| part[i]))
    }

    fn u32(&mut self) -> std::result::Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    /// `n` numbers as stream-vbyte, behind their length.
    fn numbers(&mut self, n: usize) -> std::result::Result<Vec<u32>, String> {
        let length = self.u32()? as usize;
        let part = self.take(length)?;
        let mut numbers = Vec::with_capacity(n.min(4 * length));
        let rest = stream_vbyte::for_each(part, n, |number| numbers.push(number));
        match rest {
            Ok([]) => Ok(numbers),
            _ => Err(format!("does not hold {n} exceptions in {length} bytes")),
        }
    }
}

fn decode_parts(bytes: &[u8], samples: &mut Vec<i16>) -> std::result::Result<(), String> {
    let mut bytes = Bytes(bytes);
    let [version] = bytes.array()?;
    if version != 0 {
        return Err(format!("has version {version}, which is not read"));
    }
    let n = u64::from_le_bytes(bytes.array()?);
    let [shift] = bytes.array()?;
    if shift > MAX_SHIFT {
        return Err(format!("is shifted by {shift} bits, more than {MAX_SHIFT}"));
    }
    if n == 0 {
        return Ok(());
    }
    let first = unzigzag_16(u16::from_le_bytes(bytes.array()?));
    let (places, codes) = exceptions(&mut bytes)?;
    let plain = bytes.0;
    if n - 1 != (plain.len() + places.len()) as u64 {
        return Err(format!("says {n} samples but holds {}", plain.len() + places.len() + 1));
    }
    samples.reserve(n as usize);
    let mut level = first;
    samples.push(level << shift);
    let (mut plain, mut next) = (plain.iter(), 0);
    let mut exceptions = places.iter().zip(&codes).peekable();
    while next < n as usize - 1 {
        // Run of plain codes up to the next exception.
        let run = exceptions.peek().map_or(n as usize - 1, |(place, _)| **place) - next;
        for &code in plain.by_ref().take(run) {
            level = level.wrapping_add(unzigzag_16(u16::from(code)));
            samples.push(level << shift);
        }
        next += run;
        if let Some((_, &code)) = exceptions.next() {
            level = level.wrapping_add(unzigzag_16(code));
            samples.push(level << shift);
            next += 1;
        }
    }
    Ok(())
}

/// Places and codes of the exceptions; places ascend and lie among the codes.
fn exceptions(bytes: &mut Bytes<'_>) -> std::result::Result<(Vec<usize>, Vec<u16>), String> {
    let count = bytes.u32()? as usize;
    let (gaps, above) = match count {
        0 => return Ok((Vec::new(), Vec::new())),
        1 => (vec![bytes.u32()?], vec![bytes.u32()?]),
        _ => (bytes.numbers(count)?, bytes.numbers(count)?),
    };
    let mut places = Vec::with_capacity(count);
    let mut next = 0;
    for gap in gaps {
        let place = next + gap as usize;
        places.push(place);
        next = place + 1;
    }
    if next > count + bytes.0.len() {
        return Err(format!("has an exception at {next}, beyond its end"));
    }
    let code = |above: u32| u16::try_from(above + 256).map_err(|_| format!("has an exception of {above}"));
    Ok((places, above.into_iter().map(code).collect::<std::result::Result<_, _>>()?))
}
