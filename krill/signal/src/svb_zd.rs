//! Decode signals that BLOW5 files store as `svb-zd`.
//!
//! Layout: number of values n (u32, little-endian), ceil(n / 4) key bytes (two bits per value, low
//! bits first: bytes of the value minus one), then the values, 1 to 4 bytes each. A value is the
//! zigzag code of the difference to the sample before it, the first to zero. Every length is
//! checked, since a damaged file must end in an error. Called by the BLOW5 reader.

use crate::{Error, Result};

fn damaged(problem: String) -> Error {
    Error::Argument { name: "svb-zd signal", problem }
}

/// Return the samples of one compressed signal.
pub fn decode(bytes: &[u8]) -> Result<Vec<i16>> {
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(damaged(format!("has {} bytes, fewer than its length field", bytes.len())));
    };
    let n = u32::from_le_bytes(*count) as usize;
    let n_keys = n.div_ceil(4);
    if rest.len() < n_keys + n {
        return Err(damaged(format!("says {n} samples but has only {} bytes", rest.len())));
    }
    let (keys, mut data) = rest.split_at(n_keys);
    let mut samples = Vec::with_capacity(n);
    let mut level = 0_i32;
    for i in 0..n {
        let length = usize::from(keys[i / 4] >> (2 * (i % 4)) & 3) + 1;
        let Some((value, after)) = data.split_at_checked(length) else {
            return Err(damaged(format!("ends at sample {i} of {n}")));
        };
        data = after;
        let code = value.iter().rev().fold(0_u32, |code, &byte| code << 8 | u32::from(byte));
        let difference = (code >> 1) as i32 ^ -((code & 1) as i32);
        level = level.wrapping_add(difference);
        let Ok(sample) = i16::try_from(level) else {
            return Err(damaged(format!("holds {level} at sample {i}, beyond 16 bits")));
        };
        samples.push(sample);
    }
    if data.is_empty() {
        Ok(samples)
    } else {
        Err(damaged(format!("has {} bytes after its {n} samples", data.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

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
            assert_eq!(decode(&encode(&samples)), Ok(samples));
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = encode(&[500, 502, 90, 91, 30_000, -30_000]);
        for n in 0..whole.len() {
            assert!(decode(&whole[..n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let mut bytes = encode(&[1, 2, 3]);
        bytes.push(0);
        assert!(decode(&bytes).is_err());
    }
}
