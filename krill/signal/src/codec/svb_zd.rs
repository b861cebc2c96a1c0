//! Decode signals that BLOW5 files store as `svb-zd`.
//!
//! Layout: number of values (u32, little-endian), then stream-vbyte. A value is the zigzag code of the
//! difference to the sample before it, the first to zero.

use super::{damaged, stream_vbyte, unzigzag};
use crate::Result;

const NAME: &str = "svb-zd signal";

/// Append the samples of one compressed signal.
pub fn decode(bytes: &[u8], samples: &mut Vec<i16>) -> Result<()> {
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(damaged(NAME, format!("has {} bytes, fewer than its length field", bytes.len())));
    };
    let n = u32::from_le_bytes(*count) as usize;
    if rest.len() < n.div_ceil(4) + n {
        return Err(damaged(NAME, format!("says {n} samples but has only {} bytes", rest.len())));
    }
    let start = samples.len();
    samples.reserve(n);
    let (mut level, mut is_inside) = (0_i32, true);
    let end = stream_vbyte::for_each(rest, n, |code| {
        level = level.wrapping_add(unzigzag(code));
        is_inside &= i32::from(level as i16) == level;
        samples.push(level as i16);
    });
    let problem = match end {
        Err(i) => format!("ends at sample {i} of {n}"),
        Ok(_) if !is_inside => "holds a sample beyond 16 bits".into(),
        Ok([]) => return Ok(()),
        Ok(left) => format!("has {} bytes after its {n} samples", left.len()),
    };
    samples.truncate(start);
    Err(damaged(NAME, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Vec<i16>> {
        let mut samples = vec![7];
        decode(bytes, &mut samples)?;
        Ok(samples.split_off(1))
    }

    /// The definition, value by value.
    fn definition(bytes: &[u8]) -> Option<Vec<i16>> {
        let n = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let mut at = 4 + n.div_ceil(4);
        let (mut level, mut samples) = (0_i64, Vec::new());
        for i in 0..n {
            let length = 1 + usize::from(bytes.get(4 + i / 4)? >> (2 * (i % 4)) & 3);
            let mut code = [0; 4];
            code[..length].copy_from_slice(bytes.get(at..at + length)?);
            at += length;
            let code = i64::from(u32::from_le_bytes(code));
            level += if code % 2 == 0 { code / 2 } else { -(code + 1) / 2 };
            samples.push(i16::try_from(level).ok()?);
        }
        (at == bytes.len()).then_some(samples)
    }

    fn encode(samples: &[i16]) -> Vec<u8> {
        let mut keys = vec![0_u8; samples.len().div_ceil(4)];
        let mut data = Vec::new();
        let mut before = 0_i32;
        for (i, &sample) in samples.iter().enumerate() {
            let difference = i32::from(sample) - before;
            before = i32::from(sample);
            let code = ((difference << 1) ^ (difference >> 31)) as u32;
            let length = (4 - code.leading_zeros() as usize / 8).max(1);
            keys[i / 4] |= ((length - 1) as u8) << (2 * (i % 4));
            data.extend_from_slice(&code.to_le_bytes()[..length]);
        }
        [&(samples.len() as u32).to_le_bytes()[..], &keys, &data].concat()
    }

    #[test]
    fn what_was_encoded_comes_back() {
        for samples in [
            vec![],
            vec![0],
            vec![-1, 1, -1],
            vec![i16::MIN, i16::MAX, i16::MIN, 0, 300],
            (0..1000).map(|i| (i * 37 % 211) as i16 - 100).collect(),
        ] {
            assert_eq!(definition(&encode(&samples)), Some(samples.clone()));
            assert_eq!(decoded(&encode(&samples)), Ok(samples));
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = encode(&[500, 502, 90, 91, 30_000, -30_000]);
        for n in 0..whole.len() {
            assert!(decoded(&whole[..n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let mut bytes = encode(&[1, 2, 3]);
        bytes.push(0);
        assert!(decoded(&bytes).is_err());
    }

    #[test]
    fn random_bytes_mean_what_the_definition_says() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        for n in 0..200_u32 {
            let samples: Vec<i16> = (0..n).map(|_| i16::from(random()) * i16::from(random() & 127)).collect();
            let mut bytes = encode(&samples);
            assert_eq!(decoded(&bytes).ok(), definition(&bytes));
            let at = usize::from(random()) % bytes.len();
            bytes[at] ^= 1 << (random() & 7);
            assert_eq!(decoded(&bytes).ok(), definition(&bytes), "{n} samples, byte {at} changed");
        }
    }
}
