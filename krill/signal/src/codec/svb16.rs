//! Decode signals that POD5 files store as VBZ, once their zstd frame is opened.
//!
//! Layout: a key bit per sample, low bits first (0: one byte, 1: two), then the bytes. A value is the
//! zigzag code of the difference to the sample before it, the first to zero, in 16 bits that wrap.

use super::{damaged, unzigzag_16};
use crate::Result;

const NAME: &str = "VBZ signal";

/// Append `n` samples.
pub fn decode(bytes: &[u8], n: usize, samples: &mut Vec<i16>) -> Result<()> {
    let n_keys = n.div_ceil(8);
    if bytes.len() < n_keys + n {
        return Err(damaged(NAME, format!("has {} bytes, too few for {n} samples", bytes.len())));
    }
    let (keys, mut data) = bytes.split_at(n_keys);
    let start = samples.len();
    samples.reserve(n);
    let mut level = 0_i16;
    let mut done = 0;
    // Eight samples at a time, for as long as no read can pass the end.
    for &key in keys {
        let Some(window) = data.first_chunk::<17>().filter(|_| done + 8 <= n) else { break };
        let mut at = 0;
        for place in 0..8 {
            let is_long = u16::from(key >> place & 1);
            let word = u16::from_le_bytes([window[at], window[at + 1]]);
            level = level.wrapping_add(unzigzag_16(word & (0xff | is_long.wrapping_neg())));
            samples.push(level);
            at += 1 + usize::from(is_long);
        }
        data = &data[at..];
        done += 8;
    }
    for i in done..n {
        let length = 1 + usize::from(keys[i / 8] >> (i % 8) & 1);
        let Some((value, after)) = data.split_at_checked(length) else {
            samples.truncate(start);
            return Err(damaged(NAME, format!("ends at sample {i} of {n}")));
        };
        let code = value.iter().rev().fold(0, |code, &byte| code << 8 | u16::from(byte));
        level = level.wrapping_add(unzigzag_16(code));
        samples.push(level);
        data = after;
    }
    if data.is_empty() {
        return Ok(());
    }
    samples.truncate(start);
    Err(damaged(NAME, format!("has {} bytes after its {n} samples", data.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(samples: &[i16]) -> Vec<u8> {
        let (mut keys, mut data, mut before) = (vec![0_u8; samples.len().div_ceil(8)], Vec::new(), 0_i16);
        for (i, &sample) in samples.iter().enumerate() {
            let difference = sample.wrapping_sub(before);
            before = sample;
            let code = (difference << 1 ^ difference >> 15) as u16;
            keys[i / 8] |= u8::from(code > 255) << (i % 8);
            data.extend_from_slice(&code.to_le_bytes()[..=usize::from(code > 255)]);
        }
        [keys, data].concat()
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let noisy =
            |n: u32| (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 19) as i16 / 7).collect::<Vec<_>>();
        for samples in [vec![], vec![i16::MIN, i16::MAX, 0], noisy(8), noisy(17), noisy(1000)] {
            let bytes = encode(&samples);
            let mut found = vec![5];
            decode(&bytes, samples.len(), &mut found).expect("whole");
            assert_eq!(samples, found[1..]);
            for n in 0..bytes.len() {
                assert!(decode(&bytes[..n], samples.len(), &mut Vec::new()).is_err(), "{n} bytes");
            }
            assert!(decode(&[&bytes[..], b"x"].concat(), samples.len(), &mut Vec::new()).is_err());
        }
    }
}
