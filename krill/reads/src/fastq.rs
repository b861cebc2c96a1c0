//! FASTQ framing: where records start and end in a piece of text.
//!
//! Records have four lines; blank lines may stand between records; lines end in `\n` or `\r\n`; the
//! last may lack its end. A sequence may not begin with `@` or `+`. Under these rules a line is a
//! name line exactly if it begins with `@` and the line after next begins with `+`: that could also
//! be a quality line only if a sequence began with `+`. So records are found again from any byte of
//! a file, without guessing, which is what `K` and `A` parsing and the block formats rest on.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr_iter};

use crate::{Error, Result};

/// Longest record accepted; a "record" beyond it is a file that is no FASTQ.
pub const MAX_RECORD_BYTES: usize = 1 << 30;

/// Where a piece of text comes from, for messages.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub path: Arc<Path>,
    /// Byte of the file at which the text begins; for compressed blocks a compressed byte.
    pub offset: u64,
    /// Whether the text was inflated from there.
    pub is_compressed: bool,
}

impl Place {
    /// Place at the beginning of a file.
    #[must_use]
    pub fn start(path: &Path) -> Self {
        Self { path: path.into(), offset: 0, is_compressed: false }
    }

    fn error(&self, at: usize, problem: &str) -> Error {
        let place = if self.is_compressed {
            format!("record in the blocks from byte {}", self.offset)
        } else {
            format!("record at byte {}", self.offset + at as u64)
        };
        Error::format(&self.path, format!("{place} {problem}"))
    }
}

/// One record as places in its text. Line ends are left out; spaces at the end of the name too
/// (padding puts them there).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Name line without `@`.
    pub name: Range<usize>,
    /// Bases.
    pub sequence: Range<usize>,
    /// Qualities, of the same length.
    pub quality: Range<usize>,
}

/// Find the records of a text that holds whole records only. This is the definition of a record.
pub fn parse(text: &[u8], place: &Place) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some((span, next)) = next_record(text, at, place)? {
        spans.push(span);
        at = next;
    }
    Ok(spans)
}

/// The record that begins at or after `at`, and where the next one may begin.
fn next_record(text: &[u8], mut at: usize, place: &Place) -> Result<Option<(Span, usize)>> {
    let (name, mut next) = loop {
        let Some((line, next)) = line(text, at) else { return Ok(None) };
        if !line.is_empty() {
            break (line, next);
        }
        at = next;
    };
    if text[name.start] != b'@' {
        return Err(place.error(at, &format!("begins with {}, not with '@'", shown(text[name.start]))));
    }
    let mut rest = [0..0, 0..0, 0..0];
    for (i, part) in rest.iter_mut().enumerate() {
        // The quality line of an empty read may be missing altogether: it is empty, without line end.
        let missing = (i == 2 && text.last() == Some(&b'\n')).then_some((text.len()..text.len(), text.len()));
        let Some((found, after)) = line(text, next).or(missing) else {
            return Err(place.error(at, "ends early: the file is truncated"));
        };
        (*part, next) = (found, after);
    }
    let [sequence, plus, quality] = rest;
    if text.get(plus.start) != Some(&b'+') || plus.is_empty() {
        return Err(place.error(at, "has a third line that does not begin with '+'"));
    }
    if matches!(text[sequence.clone()].first(), Some(b'@' | b'+')) {
        return Err(place.error(at, "has a sequence that begins with '@' or '+'"));
    }
    if sequence.len() != quality.len() {
        let lengths = format!("has {} bases but {} qualities", sequence.len(), quality.len());
        let hint = if next >= text.len() { ": the file is damaged or truncated" } else { "" };
        return Err(place.error(at, &(lengths + hint)));
    }
    let padding = text[name.clone()].iter().rev().take_while(|&&byte| byte == b' ').count();
    let name = name.start + 1..(name.end - padding).max(name.start + 1);
    Ok(Some((Span { name, sequence, quality }, next)))
}

fn shown(byte: u8) -> String {
    format!("'{}'", byte.escape_ascii())
}

/// The line that begins at `at` without its end, and where the next line begins.
fn line(text: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    if at >= text.len() {
        return None;
    }
    let (end, next) = match memchr(b'\n', &text[at..]) {
        Some(length) => (at + length, at + length + 1),
        None => (text.len(), text.len()),
    };
    let end = if end > at && text[end - 1] == b'\r' { end - 1 } else { end };
    Some((at..end, next))
}

/// Go over up to `count` records by their line ends alone: how many were whole, and where they end.
/// Much less than [`parse`] does, so this may be done inside a lock.
#[must_use]
pub fn skip_records(text: &[u8], count: usize) -> (usize, usize) {
    let (mut skipped, mut lines, mut end, mut at) = (0, 0, 0, 0);
    for newline in memchr_iter(b'\n', text) {
        if skipped == count {
            break;
        }
        let is_blank = newline == at || (newline == at + 1 && text[at] == b'\r');
        at = newline + 1;
        // Blank lines stand between records; inside one they are an empty read.
        lines += usize::from(lines > 0 || !is_blank);
        if lines == 4 {
            (skipped, lines, end) = (skipped + 1, 0, at);
        }
    }
    (skipped, end)
}

/// What a search for a record start found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A record starts here.
    At(usize),
    /// No record starts within the limit.
    None,
    /// The text ends before this can be known.
    MoreText,
}

/// Find the first record start *behind* the first line end at or after `from`, at most at `limit`.
///
/// `is_whole` says that the file ends where the text ends. Text between two such starts is a
/// sequence of whole records, wherever the cuts were made.
#[must_use]
pub fn first_start(text: &[u8], from: usize, limit: usize, is_whole: bool) -> Start {
    for newline in memchr_iter(b'\n', &text[from.min(text.len())..]) {
        let start = from + newline + 1;
        if start > limit {
            return Start::None;
        }
        match text.get(start) {
            None => break,
            Some(b'@') => {}
            Some(_) => continue,
        }
        match plus_follows(text, start) {
            Some(true) => return Start::At(start),
            None if !is_whole => return Start::MoreText,
            _ => {}
        }
    }
    if is_whole || text.len() > limit { Start::None } else { Start::MoreText }
}

/// Whether the line after next begins with `+`; `None` if the text ends before it.
fn plus_follows(text: &[u8], start: usize) -> Option<bool> {
    let second = start + memchr(b'\n', &text[start..])? + 1;
    let third = second + memchr(b'\n', &text[second..])? + 1;
    text.get(third).map(|&byte| byte == b'+')
}

/// Find the last place of a text that is known to be a record start. The text itself starts with one.
#[must_use]
pub fn last_start(text: &[u8]) -> usize {
    let (mut after_next, mut next) = (text.len(), text.len());
    for newline in memrchr_iter(b'\n', text) {
        let start = newline + 1;
        if text.get(start) == Some(&b'@') && after_next < text.len() && text[after_next] == b'+' {
            return start;
        }
        (after_next, next) = (next, start);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &[u8]) -> Vec<String> {
        let spans = parse(text, &Place::start(Path::new("reads.fq"))).expect("valid");
        spans.iter().map(|s| String::from_utf8_lossy(&text[s.name.clone()]).into_owned()).collect()
    }

    fn problem(text: &[u8]) -> String {
        parse(text, &Place::start(Path::new("reads.fq"))).expect_err("damaged").to_string()
    }

    #[test]
    fn line_ends_blank_lines_and_padding_do_not_matter() {
        assert_eq!(vec!["a x", "b"], names(b"@a x\nAC\n+\n@+\n@b\nA\n+b\n+\n"));
        assert_eq!(vec!["a x", "b"], names(b"\r\n\n@a x   \r\nAC\r\n+\r\n@+\r\n\r\n@b\r\nA\r\n+b\r\n+"));
        assert_eq!(vec!["a", "b"], names(b"@a\n\n+\n\n\n@b\n\n+\n"));
        assert_eq!(vec![""], names(b"@  \nA\n+\nI"));
        assert!(names(b"").is_empty() && names(b"\n\r\n").is_empty());
    }

    #[test]
    fn damage_is_named_with_its_place() {
        assert_eq!(
            "reads.fq: record at byte 11 has 3 bases but 2 qualities: the file is damaged or truncated",
            problem(b"@a\nAC\n+\nII\n@b\nACG\n+\nII")
        );
        assert_eq!("reads.fq: record at byte 1 ends early: the file is truncated", problem(b"\n@a\nAC\n+"));
        assert_eq!("reads.fq: record at byte 0 begins with 'a', not with '@'", problem(b"a\nAC\n+\nII"));
        assert_eq!(
            "reads.fq: record at byte 0 has a third line that does not begin with '+'",
            problem(b"@a\nAC\nGT\n+\nIIII")
        );
        assert_eq!(
            "reads.fq: record at byte 0 has a sequence that begins with '@' or '+'",
            problem(b"@a\n+C\n+\nII\n")
        );
    }

    #[test]
    fn starts_are_found_from_either_end() {
        let text = b"@a\nAC\n+\n@+\n@b\nA\n+b\n+\n@c\nG\n+";
        assert_eq!(Start::At(11), first_start(text, 0, 99, false));
        assert_eq!(Start::None, first_start(text, 0, 10, false));
        assert_eq!(Start::At(21), first_start(text, 11, 99, false));
        assert_eq!(Start::MoreText, first_start(text, 21, 99, false));
        assert_eq!(Start::None, first_start(text, 21, 99, true));
        assert_eq!(21, last_start(text));
        assert_eq!(11, last_start(&text[..26]));
        assert_eq!(0, last_start(&text[..14]));
    }
}
