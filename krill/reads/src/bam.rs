//! BAM framing: the header, and where records begin and end in inflated text.

use std::ops::Range;
use std::path::Path;

use crate::fastq::Place;
use crate::{Error, Result};

/// Bytes of a record before its name.
pub const FIXED_BYTES: usize = 32;

/// Length of the header (magic, text, references) that `text` begins with; `None` if it is cut off.
pub fn header_length(text: &[u8], path: &Path) -> Result<Option<usize>> {
    if text.len() >= 4 && text[..4] != *b"BAM\x01" {
        return Err(Error::format(path, "is compressed but neither FASTQ nor BAM"));
    }
    let Some(text_length) = length_at(text, 4, path)? else { return Ok(None) };
    let mut at = 8 + text_length;
    let Some(references) = length_at(text, at, path)? else { return Ok(None) };
    at += 4;
    for _ in 0..references {
        let Some(name_length) = length_at(text, at, path)? else { return Ok(None) };
        at += 8 + name_length;
    }
    Ok((at <= text.len()).then_some(at))
}

fn length_at(text: &[u8], at: usize, path: &Path) -> Result<Option<usize>> {
    let Some(bytes) = text.get(at..at + 4) else { return Ok(None) };
    let length = i32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let damaged = |_| Error::format(path, "has a damaged BAM header: a length is negative");
    usize::try_from(length).map(Some).map_err(damaged)
}

/// The SAM text of a header found by [`header_length`].
///
/// # Panics
/// If there is no whole header.
#[must_use]
pub fn header_text(header: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(header[4..8].try_into().expect("four bytes")) as usize;
    let text = &header[8..8 + length];
    &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())]
}

/// Length of the whole records at the beginning of `text`.
pub(crate) fn whole_records(text: &[u8], place: &Place) -> Result<usize> {
    let mut at = 0;
    while let Some(length) = record_length(text, at, place)? {
        if at + length > text.len() {
            break;
        }
        at += length;
    }
    Ok(at)
}

fn record_length(text: &[u8], at: usize, place: &Place) -> Result<Option<usize>> {
    let Some(bytes) = text.get(at..at + 4) else { return Ok(None) };
    let length = u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize;
    if !(FIXED_BYTES..1 << 30).contains(&length) {
        let problem = format!(
            "record in the blocks from byte {} claims {length} bytes: the file is damaged",
            place.offset
        );
        return Err(Error::format(&place.path, problem));
    }
    Ok(Some(length + 4))
}

/// Places of the records (without their length) in a text of whole records.
pub fn records(text: &[u8], place: &Place) -> Result<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(length) = record_length(text, at, place)?.filter(|length| at + length <= text.len()) {
        found.push(at + 4..at + length);
        at += length;
    }
    if at < text.len() {
        return Err(Error::format(&place.path, "ends inside a record: the file is truncated"));
    }
    Ok(found)
}
