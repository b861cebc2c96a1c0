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

/// Length of the whole records that `before` and `text` behind it begin with.
pub(crate) fn whole_records(before: &[u8], text: &[u8], place: &Place) -> Result<usize> {
    let total = before.len() + text.len();
    let byte = |at: usize| before.get(at).copied().unwrap_or_else(|| text[at - before.len()]);
    let mut at = 0;
    while at + 4 <= total {
        let end = at + record_length(std::array::from_fn(|i| byte(at + i)), place)?;
        if end > total {
            break;
        }
        at = end;
    }
    Ok(at)
}

/// Length of a record that begins with this field, the field included.
fn record_length(field: [u8; 4], place: &Place) -> Result<usize> {
    let length = u32::from_le_bytes(field) as usize;
    if !(FIXED_BYTES..1 << 30).contains(&length) {
        let problem = format!(
            "record in the blocks from byte {} claims {length} bytes: the file is damaged",
            place.offset
        );
        return Err(Error::format(&place.path, problem));
    }
    Ok(length + 4)
}

/// Places of the records (without their length) in a text of whole records.
pub fn records(text: &[u8], place: &Place) -> Result<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(field) = text[at..].first_chunk() {
        let end = at + record_length(*field, place)?;
        if end > text.len() {
            break;
        }
        found.push(at + 4..end);
        at = end;
    }
    if at < text.len() {
        return Err(Error::format(&place.path, "ends inside a record: the file is truncated"));
    }
    Ok(found)
}

/// Length of the encoded optional field that begins here; `None` if it is cut off or of no known type.
#[must_use]
pub fn field_length(field: &[u8]) -> Option<usize> {
    let text_end = || field.iter().skip(3).position(|&byte| byte == 0).map(|at| at + 4);
    match field.get(2)? {
        b'A' | b'c' | b'C' => Some(4),
        b's' | b'S' => Some(5),
        b'i' | b'I' | b'f' => Some(7),
        b'Z' | b'H' => text_end(),
        b'B' => {
            let count = u32::from_le_bytes(field.get(4..8)?.try_into().ok()?) as usize;
            Some(8 + count * element_bytes(*field.get(3)?)?)
        }
        _ => None,
    }
}

fn element_bytes(kind: u8) -> Option<usize> {
    match kind {
        b'c' | b'C' => Some(1),
        b's' | b'S' => Some(2),
        b'i' | b'I' | b'f' => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_are_the_same_wherever_the_text_is_cut() {
        let place = Place::start(Path::new("reads.bam"));
        let mut text = Vec::new();
        for length in [32_u32, 40, 33] {
            text.extend_from_slice(&length.to_le_bytes());
            text.resize(text.len() + length as usize, 7);
        }
        for (missing, expected) in [(0, 36 + 44 + 37), (1, 36 + 44), (35, 36 + 44), (38, 36)] {
            let text = &text[..text.len() - missing];
            for cut in 0..=text.len() {
                let (before, behind) = text.split_at(cut);
                assert_eq!(
                    expected,
                    whole_records(before, behind, &place).expect("valid"),
                    "{missing} {cut}"
                );
            }
        }
    }
}
