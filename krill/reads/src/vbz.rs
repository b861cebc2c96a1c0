//! VBZ, as POD5 stores signals: a zstd frame around 16-bit stream-vbyte.

use krill_signal::codec::svb16;
use krill_signal::{Error, Result};

/// Samples of a signal cut into chunks, each with its number of samples.
pub fn decode(chunks: &[(&[u8], usize)]) -> Result<Vec<i16>> {
    let damaged = |problem: String| Error::Argument { name: "VBZ signal", problem };
    let mut zstd = zstd::bulk::Decompressor::new().map_err(|error| damaged(error.to_string()))?;
    let (mut samples, mut text) = (Vec::new(), Vec::new());
    for &(frame, n) in chunks {
        if frame.is_empty() && n == 0 {
            continue;
        }
        // A sample has at most two bytes and one key bit; a longer frame cannot be right.
        text.clear();
        let room = n.div_ceil(8).saturating_add(n.saturating_mul(2));
        text.try_reserve(room).map_err(|_| damaged(format!("says {n} samples")))?;
        zstd.decompress_to_buffer(frame, &mut text)
            .map_err(|error| damaged(format!("cannot be opened: {error}")))?;
        svb16::decode(&text, n, &mut samples)?;
    }
    Ok(samples)
}
