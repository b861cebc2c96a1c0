//! BAM records with new modification tags: MM, ML and MN as `SAMtags` defines them.

use std::path::Path;

use crate::bam::{FIXED_BYTES, field_length, header_length, records};
use crate::bgzf::{Deflater, Inflater, MAX_TEXT_BYTES};
use crate::fastq::Place;
use crate::{Error, Result};

/// Calls of records, by record: those of record `i` are `offsets[i] .. offsets[i + 1]`.
#[derive(Debug, Clone, Copy)]
pub struct Calls<'a> {
    /// One more than there are records.
    pub offsets: &'a [i64],
    /// Reference index of each call, rising within a record.
    pub position: &'a [i32],
    /// Probability that the base there is modified.
    pub p_mod: &'a [f32],
}

/// Where records belong in the file they are for.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Number of each record's contig.
    pub contig: &'a [i32],
    /// Read group of each record.
    pub group: &'a [i64],
    /// Names of the groups.
    pub groups: &'a [String],
}

/// A base and the code of its modification.
pub type Code = (u8, String);

/// Return the records of a BAM as deflated blocks without a header, each with the tags of its calls
/// in place of those it had, on its new contig, as its mate if it has one, and of its new group.
/// Calls on bases without a code, or where the record has no base, are left out.
pub fn tagged(file: &[u8], calls: Calls<'_>, places: Places<'_>, codes: &[Code]) -> Result<Vec<u8>> {
    let path = Path::new("records");
    let mut text = Vec::new();
    Inflater::default().inflate(file, &mut text, path, 0)?;
    let start = header_length(&text, path)?.ok_or_else(|| Error::format(path, "ends inside its header"))?;
    let text = &text[start..];
    let found = records(text, &Place::start(path))?;
    check(found.len(), calls, places)?;
    let mut out = Vec::with_capacity(text.len());
    for (i, range) in found.into_iter().enumerate() {
        let called = calls.offsets[i] as usize..calls.offsets[i + 1] as usize;
        let (position, p_mod) = (&calls.position[called.clone()], &calls.p_mod[called]);
        let group = &places.groups[places.group[i] as usize];
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        Record::of(&text[range])
            .and_then(|record| record.write(places.contig[i], group, (position, p_mod), codes, &mut out))
            .ok_or_else(|| Error::format(path, format!("record {i} is damaged")))?;
        let length = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
    let (mut deflater, mut blocks) = (Deflater::new(LEVEL)?, Vec::new());
    out.chunks(MAX_TEXT_BYTES).for_each(|part| deflater.block(part, &mut blocks));
    Ok(blocks)
}

const LEVEL: u8 = 6;

fn check(n: usize, calls: Calls<'_>, places: Places<'_>) -> Result<()> {
    let fail = |name, problem: &str| Err(Error::setting(name, format!("{problem} of {n} records")));
    let rises = calls.offsets.first() == Some(&0) && calls.offsets.is_sorted();
    let total = calls.offsets.last().and_then(|&last| usize::try_from(last).ok());
    if calls.offsets.len() != n + 1 || !rises {
        return fail("offsets", "must rise from 0 and be one more than those");
    }
    if total != Some(calls.position.len()) || total != Some(calls.p_mod.len()) {
        return fail("position", "and p_mod must have the length that the offsets say,");
    }
    if places.contig.len() != n || places.group.len() != n {
        return fail("contig", "and group must have an entry for each");
    }
    let is_group = |&group: &i64| usize::try_from(group).is_ok_and(|group| group < places.groups.len());
    if !places.group.iter().all(is_group) {
        return fail("group", "must be one of the groups, for each");
    }
    Ok(())
}

const CONTIG_AT: usize = 0;
const MATE_AT: usize = 20;
/// Tags that are replaced; the names in lower case are those of early basecallers.
const REPLACED: [&[u8; 2]; 6] = [b"RG", b"MM", b"ML", b"MN", b"Mm", b"Ml"];

/// A record without its length, in parts.
struct Record<'a> {
    bytes: &'a [u8],
    start: i32,
    cigar: &'a [u8],
    bases: &'a [u8],
    n_bases: usize,
    fields: &'a [u8],
}

impl<'a> Record<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let n_operations = usize::from(u16::from_le_bytes(*bytes.get(12..)?.first_chunk()?));
        let n_bases = i32_at(bytes, 16)?.try_into().ok()?;
        let name = usize::from(*bytes.get(8)?);
        let (cigar, rest) = bytes.get(FIXED_BYTES + name..)?.split_at_checked(4 * n_operations)?;
        let (bases, rest) = rest.split_at_checked(usize::div_ceil(n_bases, 2))?;
        let fields = rest.get(n_bases..)?;
        let mut record = Self { bytes, start: i32_at(bytes, 4)?, cigar, bases, n_bases, fields };
        if let Some(long) = record.long_cigar() {
            record.cigar = long;
        }
        Some(record)
    }

    /// The CIGAR in the tag CG, of more operations than the record has room for: `kSmN` stands for it.
    fn long_cigar(&self) -> Option<&'a [u8]> {
        let mut operations = operations(self.cigar);
        let stands_for = operations.next() == Some((SOFT_CLIP, self.n_bases)) && operations.next()?.0 == SKIP;
        let mut fields = Fields(self.fields);
        let field = fields.find_map(|field| field.filter(|field| field[..2] == *b"CG"));
        field.filter(|field| stands_for && field[2..4] == *b"BI")?.get(8..)
    }

    /// Append the record with its new tags; `None` if its own are damaged.
    fn write(
        &self,
        contig: i32,
        group: &str,
        (position, p_mod): (&[i32], &[f32]),
        codes: &[Code],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let at = out.len();
        out.extend_from_slice(&self.bytes[..self.bytes.len() - self.fields.len()]);
        let is_paired = i32_at(self.bytes, MATE_AT)? >= 0;
        put(out, at + CONTIG_AT, contig);
        put(out, at + MATE_AT, if is_paired { contig } else { -1 });
        for field in Fields(self.fields) {
            let field = field?;
            if !REPLACED.iter().any(|name| name[..] == field[..2]) {
                out.extend_from_slice(field);
            }
        }
        out.extend_from_slice(b"RGZ");
        out.extend_from_slice(group.as_bytes());
        out.push(0);
        if self.n_bases > 0 {
            self.write_calls(position, p_mod, codes, out);
        }
        Some(())
    }

    fn write_calls(&self, position: &[i32], p_mod: &[f32], codes: &[Code], out: &mut Vec<u8>) {
        let queries = self.queries(position);
        let mut likelihoods = Vec::with_capacity(position.len());
        out.extend_from_slice(b"MMZ");
        for (base, code) in codes {
            let nibble = nibble_of(*base);
            let (mut next, mut skipped) = (0, 0);
            let before = likelihoods.len();
            for (query, p) in queries.iter().zip(p_mod) {
                let Some(query) = *query else { continue };
                if self.base(query) != nibble {
                    continue;
                }
                skipped += (next..query).filter(|&at| self.base(at) == nibble).count();
                if likelihoods.len() == before {
                    out.push(*base);
                    out.push(b'+');
                    out.extend_from_slice(code.as_bytes());
                    out.push(b'?'); // bases that are not listed are unknown
                }
                out.push(b',');
                out.extend_from_slice(skipped.to_string().as_bytes());
                likelihoods.push((256.0 * p).floor().clamp(0.0, 255.0) as u8);
                (next, skipped) = (query + 1, 0);
            }
            if likelihoods.len() > before {
                out.push(b';');
            }
        }
        out.extend_from_slice(b"\0MLBC");
        out.extend_from_slice(&(likelihoods.len() as u32).to_le_bytes());
        out.extend_from_slice(&likelihoods);
        out.extend_from_slice(b"MNi");
        out.extend_from_slice(&(self.n_bases as u32).to_le_bytes());
    }

    /// Index in the record of the base at each position; `None` where it has none.
    fn queries(&self, position: &[i32]) -> Vec<Option<usize>> {
        let mut operations = operations(self.cigar);
        let (mut query, mut reference) = (0, i64::from(self.start)); // where the operation ends
        let (mut length, mut is_base) = (0, false);
        let mut of = |&position: &i32| {
            let position = i64::from(position);
            while reference <= position {
                let (operation, n) = operations.next()?;
                let in_reference = IN_REFERENCE.contains(&operation);
                query += if IN_QUERY.contains(&operation) { n } else { 0 };
                reference += if in_reference { n as i64 } else { 0 };
                (length, is_base) = (n as i64, in_reference && IN_QUERY.contains(&operation));
            }
            let before = reference - position;
            (is_base && before <= length).then(|| query - before as usize).filter(|&at| at < self.n_bases)
        };
        position.iter().map(&mut of).collect()
    }

    fn base(&self, at: usize) -> u8 {
        self.bases[at / 2] >> (if at.is_multiple_of(2) { 4 } else { 0 }) & 0xf
    }
}

/// Operations of a CIGAR: M I D N S H P = X.
const SOFT_CLIP: u32 = 4;
const SKIP: u32 = 3;
const IN_QUERY: [u32; 5] = [0, 1, 4, 7, 8];
const IN_REFERENCE: [u32; 5] = [0, 2, 3, 7, 8];

fn operations(cigar: &[u8]) -> impl Iterator<Item = (u32, usize)> {
    let (chunks, _) = cigar.as_chunks();
    chunks.iter().map(|&bytes| u32::from_le_bytes(bytes)).map(|word| (word & 0xf, (word >> 4) as usize))
}

/// Optional fields one by one; a damaged one is `None`, and the last.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let split = field_length(self.0).and_then(|length| self.0.split_at_checked(length));
        self.0 = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(field, _)| field))
    }
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put(out: &mut [u8], at: usize, number: i32) {
    out[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// A base as records encode it.
fn nibble_of(base: u8) -> u8 {
    b"=ACMGRSVTWYHKDBN".iter().position(|&letter| letter == base).map_or(u8::MAX, |at| at as u8)
}
