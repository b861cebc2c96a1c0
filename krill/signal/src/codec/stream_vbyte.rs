//! Stream-vbyte (Lemire, Kurz and Rupp 2018): two key bits per value say how many of its bytes are
//! stored; all keys come first, then all bytes.

/// Number of values and where the codes of two bits stand for 1 to 4 bytes.
const MASKS: [u32; 4] = [0xff, 0xffff, 0x00ff_ffff, 0xffff_ffff];

/// Go over `n` values. Returns what follows them, or `Err(i)` if the bytes end at value `i`.
pub(super) fn for_each(bytes: &[u8], n: usize, mut with: impl FnMut(u32)) -> Result<&[u8], usize> {
    let Some((keys, mut data)) = bytes.split_at_checked(n.div_ceil(4)) else { return Err(0) };
    let mut done = 0;
    // Four values at a time, for as long as no read can pass the end.
    for &key in keys {
        let Some(window) = data.first_chunk::<16>().filter(|_| done + 4 <= n) else { break };
        let mut at = 0;
        for place in 0..4 {
            let length = usize::from(key >> (2 * place) & 3);
            let word = u32::from_le_bytes([window[at], window[at + 1], window[at + 2], window[at + 3]]);
            with(word & MASKS[length]);
            at += length + 1;
        }
        data = &data[at..];
        done += 4;
    }
    for i in done..n {
        let length = usize::from(keys[i / 4] >> (2 * (i % 4)) & 3) + 1;
        let (value, after) = data.split_at_checked(length).ok_or(i)?;
        with(value.iter().rev().fold(0, |code, &byte| code << 8 | u32::from(byte)));
        data = after;
    }
    Ok(data)
}
