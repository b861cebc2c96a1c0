//! Blocked gzip: find whole blocks, inflate and deflate one block at a time.

use std::ops::Range;
use std::path::Path;

use libdeflater::{CompressionLvl, Compressor, Crc, Decompressor};

use crate::{Error, Result};

/// Most text one block may hold, so that its deflated form always fits into 64 KiB.
pub const MAX_TEXT_BYTES: usize = 0xff00;
/// Bytes that tell whether a file is blocked gzip.
pub const HEADER_BYTES: usize = 18;
const FOOTER_BYTES: usize = 8;

/// The empty block that ends every complete file.
pub const END: [u8; 28] = [
    0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0, 0xff, 0x06, 0, 0x42, 0x43, 0x02, 0, 0x1b, 0, 0x03, 0, 0, 0, 0, 0,
    0, 0, 0, 0,
];

/// Whether a file that begins with these bytes is blocked gzip.
#[must_use]
pub fn is_bgzf(start: &[u8]) -> bool {
    block_length(start).is_some_and(|length| length > HEADER_BYTES)
}

/// Length of the block that begins here; `None` if this is no block or its header is cut off.
fn block_length(bytes: &[u8]) -> Option<usize> {
    let extra_length = usize::from(u16_at(bytes, 10)?);
    if bytes[..4] != [0x1f, 0x8b, 8, 4] {
        return None;
    }
    let extra = bytes.get(12..12 + extra_length)?;
    let mut at = 0;
    while at + 4 <= extra.len() {
        let length = usize::from(u16_at(extra, at + 2)?);
        if extra[at..at + 2] == *b"BC" && length == 2 {
            return Some(usize::from(u16_at(extra, at + 4)?) + 1);
        }
        at += 4 + length;
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Length of the whole blocks at the beginning of `bytes`. `Err(at)` if there is no block at `at`.
pub(crate) fn whole_blocks(bytes: &[u8]) -> std::result::Result<usize, usize> {
    let mut at = 0;
    while bytes.len() - at >= HEADER_BYTES {
        let length = block_length(&bytes[at..]).ok_or(at)?;
        if at + length > bytes.len() {
            break;
        }
        at += length;
    }
    Ok(at)
}

/// Inflates blocks; one per worker.
pub struct Inflater {
    state: Decompressor,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { state: Decompressor::new() }
    }
}

impl Inflater {
    /// Inflate all blocks of `blocks` to the end of `text`. `offset` is their place in the file.
    pub fn inflate(&mut self, blocks: &[u8], text: &mut Vec<u8>, path: &Path, offset: u64) -> Result<()> {
        let mut at = 0;
        while at < blocks.len() {
            let damaged =
                |what: &str| Error::format(path, format!("block at byte {}: {what}", offset + at as u64));
            let length = block_length(&blocks[at..]).filter(|&l| at + l <= blocks.len());
            let length = length.ok_or_else(|| damaged("ends early: the file is truncated"))?;
            let block = &blocks[at..at + length];
            let payload = payload(block).ok_or_else(|| damaged("has no room for its content"))?;
            let footer = length - FOOTER_BYTES;
            let (crc, size) =
                (u32_at(block, footer).unwrap_or(0), u32_at(block, footer + 4).unwrap_or(0) as usize);
            if size > 1 << 16 {
                return Err(damaged("claims more than 64 KiB of text"));
            }
            let start = text.len();
            text.resize(start + size, 0);
            let written = self.state.deflate_decompress(&block[payload], &mut text[start..]);
            if !matches!(written, Ok(n) if n == size) || checksum(&text[start..]) != crc {
                return Err(damaged("cannot be inflated: the file is damaged"));
            }
            at += length;
        }
        Ok(())
    }
}

fn payload(block: &[u8]) -> Option<Range<usize>> {
    let start = 12 + usize::from(u16_at(block, 10)?);
    (start + FOOTER_BYTES <= block.len()).then(|| start..block.len() - FOOTER_BYTES)
}

fn checksum(text: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(text);
    crc.sum()
}

/// Deflates blocks; one per worker.
pub struct Deflater {
    state: Compressor,
}

impl Deflater {
    /// A deflater of a level from 0 (stored) to 12 (slow).
    pub fn new(level: u8) -> Result<Self> {
        let level = CompressionLvl::new(i32::from(level))
            .map_err(|_| Error::setting("--level", format!("{level} is not a level from 0 to 12")))?;
        Ok(Self { state: Compressor::new(level) })
    }

    /// Append `text`, of at most [`MAX_TEXT_BYTES`], to `file` as one block.
    ///
    /// # Panics
    /// If the text is longer.
    pub fn block(&mut self, text: &[u8], file: &mut Vec<u8>) {
        assert!(text.len() <= MAX_TEXT_BYTES, "a block holds at most {MAX_TEXT_BYTES} bytes");
        let start = file.len();
        let room = self.state.deflate_compress_bound(text.len());
        file.extend_from_slice(&END[..HEADER_BYTES]);
        file.resize(start + HEADER_BYTES + room, 0);
        let written = self.state.deflate_compress(text, &mut file[start + HEADER_BYTES..]);
        let written = written.expect("the bound was asked for");
        file.truncate(start + HEADER_BYTES + written);
        file.extend_from_slice(&checksum(text).to_le_bytes());
        file.extend_from_slice(&(text.len() as u32).to_le_bytes());
        let size = u16::try_from(file.len() - start - 1).expect("text of this length fits into a block");
        file[start + 16..start + HEADER_BYTES].copy_from_slice(&size.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_blocks_of_every_level() {
        let noise: Vec<u8> = (0..MAX_TEXT_BYTES as u64).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for level in [0, 1, 6, 12] {
            let mut file = Vec::new();
            let mut deflater = Deflater::new(level).expect("valid");
            for text in [&noise[..], b"", b"abc"] {
                deflater.block(text, &mut file);
            }
            file.extend_from_slice(&END);
            assert_eq!(Ok(file.len()), whole_blocks(&file));
            let mut text = Vec::new();
            Inflater::default().inflate(&file, &mut text, Path::new("x"), 0).expect("valid");
            assert_eq!([&noise[..], b"abc"].concat(), text);
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        let mut file = Vec::new();
        Deflater::new(6).expect("valid").block(b"some text, some text", &mut file);
        file[25] ^= 1;
        let error =
            Inflater::default().inflate(&file, &mut Vec::new(), Path::new("x.gz"), 7).expect_err("damaged");
        assert_eq!("x.gz: block at byte 7: cannot be inflated: the file is damaged", error.to_string());
    }

    #[test]
    fn a_cut_block_is_not_whole() {
        assert_eq!(Ok(0), whole_blocks(&END[..27]));
        assert_eq!(Err(0), whole_blocks(&[0; 30]));
        assert!(is_bgzf(&END) && !is_bgzf(b"@read"));
    }
}
