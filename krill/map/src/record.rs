//! From hits to BAM records: flags, mates, CIGAR with clips, and minimap2's fields.
//!
//! Same decisions as minimap2's SAM output with `-Y` (supplementary alignments keep the whole
//! sequence, so that a read's own fields stay true).

use std::fmt::Write;

use minimap2_sys as ffi;

use crate::index::Reference;
use crate::mapper::{Hit, Hits, cigar};
use crate::read::Read;
use crate::tags;

const PAIRED: u16 = 0x1;
const PROPER: u16 = 0x2;
const UNMAPPED: u16 = 0x4;
const MATE_UNMAPPED: u16 = 0x8;
const REVERSE: u16 = 0x10;
const MATE_REVERSE: u16 = 0x20;
const FIRST: u16 = 0x40;
const SECOND: u16 = 0x80;
const SECONDARY: u16 = 0x100;
const SUPPLEMENTARY: u16 = 0x800;

/// CIGAR operations as BAM numbers them.
const DELETION: u32 = 2;
const SKIP: u32 = 3;
const SOFT_CLIP: u32 = 4;
/// A record holds at most this many CIGAR operations; longer CIGARs go into the field CG.
const MAX_OPERATIONS: usize = 65_535;

/// Where a record lies; positions are 0-based, -1 is nowhere.
struct Place {
    flag: u16,
    reference: i32,
    position: i32,
    mate_reference: i32,
    mate_position: i32,
    template_length: i32,
}

/// Writes the records of one read after the other.
pub(crate) struct Encoder<'a> {
    references: &'a [Reference],
    writes_secondary: bool,
    operations: Vec<u32>,
    fields: Vec<u8>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(references: &'a [Reference], writes_secondary: bool) -> Self {
        Self { references, writes_secondary, operations: Vec::new(), fields: Vec::new() }
    }

    /// Append all records of a read. `mate` holds the hits of the other read of a pair and says
    /// whether this is the first.
    pub(crate) fn write(&mut self, read: &Read, hits: &Hits, mate: Option<(&Hits, bool)>, out: &mut Vec<u8>) {
        if hits.as_slice().is_empty() {
            let place = place(None, mate);
            self.operations.clear();
            self.fields.clear();
            tags::integer(*b"rl", hits.repeat_length, &mut self.fields);
            self.record((read, 0, true), &place, out);
            return;
        }
        for hit in hits.as_slice() {
            let is_secondary = hit.parent != hit.id;
            if is_secondary && !self.writes_secondary {
                continue;
            }
            let place = place(Some(hit), mate);
            clipped_cigar(hit, read.sequence.len(), &mut self.operations);
            self.fields.clear();
            self.alignment_fields(read, hit, hits);
            self.record((read, hit.mapq() as u8, !is_secondary), &place, out);
        }
    }

    /// One record; bases, qualities and the read's own fields only if `is_whole`.
    fn record(&mut self, (read, mapq, is_whole): (&Read, u8, bool), place: &Place, out: &mut Vec<u8>) {
        let span = reference_span(&self.operations).max(1);
        let length = if is_whole { read.sequence.len() } else { 0 };
        if self.operations.len() > MAX_OPERATIONS {
            tags::integers(*b"CG", &self.operations, &mut self.fields);
            self.operations = vec![(length as u32) << 4 | SOFT_CLIP, (span as u32) << 4 | SKIP];
        }
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&place.reference.to_le_bytes());
        out.extend_from_slice(&place.position.to_le_bytes());
        out.extend_from_slice(&[read.name.len() as u8 + 1, mapq]);
        out.extend_from_slice(&bin(place.position, place.position + span).to_le_bytes());
        out.extend_from_slice(&(self.operations.len() as u16).to_le_bytes());
        out.extend_from_slice(&(place.flag | read.flag).to_le_bytes());
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(&place.mate_reference.to_le_bytes());
        out.extend_from_slice(&place.mate_position.to_le_bytes());
        out.extend_from_slice(&place.template_length.to_le_bytes());
        out.extend_from_slice(&read.name);
        out.push(0);
        self.operations.iter().for_each(|operation| out.extend_from_slice(&operation.to_le_bytes()));
        if is_whole {
            let is_reverse = place.flag & REVERSE != 0;
            read.pack_sequence(is_reverse, out);
            read.write_quality(is_reverse, out);
            out.extend_from_slice(&read.tags);
        }
        out.extend_from_slice(&self.fields);
        let bytes = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    /// The fields minimap2 writes.
    fn alignment_fields(&mut self, read: &Read, hit: &Hit, hits: &Hits) {
        let fields = &mut self.fields;
        // SAFETY: `p` is null or points to this hit's alignment.
        if let Some(extra) = unsafe { hit.p.as_ref() } {
            let ambiguous = extra.n_ambi() as i32;
            tags::integer(*b"NM", edit_distance(hit), fields);
            tags::integer(*b"ms", extra.dp_max0, fields);
            tags::integer(*b"AS", extra.dp_score, fields);
            tags::integer(*b"nn", ambiguous, fields);
            if matches!(extra.trans_strand(), 1 | 2) && !tags::has(&read.tags, *b"ts") {
                tags::character(*b"ts", if extra.trans_strand() == 1 { b'+' } else { b'-' }, fields);
            }
        }
        let kind = match (hit.id == hit.parent, hit.inv() == 1) {
            (true, false) => b'P',
            (true, true) => b'I',
            (false, false) => b'S',
            (false, true) => b'i',
        };
        tags::character(*b"tp", kind, fields);
        tags::integer(*b"cm", hit.cnt, fields);
        tags::integer(*b"s1", hit.score, fields);
        if hit.parent == hit.id {
            tags::integer(*b"s2", hit.subsc, fields);
        }
        // SAFETY: a plain function of the hit.
        let divergence = 1.0 - unsafe { ffi::mm_event_identity(hit) };
        tags::float(*b"de", ((divergence * 1e4).round_ties_even() / 1e4) as f32, fields);
        self.other_alignments(read, hit, hits);
        tags::integer(*b"rl", hits.repeat_length, &mut self.fields);
    }

    /// SA: the other alignments of a read that aligns in pieces.
    fn other_alignments(&mut self, read: &Read, hit: &Hit, hits: &Hits) {
        if hit.parent != hit.id {
            return;
        }
        let mut text = String::new();
        for other in hits.as_slice().iter().filter(|other| other.parent == other.id && other.id != hit.id) {
            let mut operations = Vec::new();
            clipped_cigar(other, read.sequence.len(), &mut operations);
            let strand = if other.rev() == 1 { '-' } else { '+' };
            let name = &self.references[other.rid as usize].name;
            let _ = write!(text, "{name},{},{strand},", other.rs + 1);
            for operation in operations {
                let _ =
                    write!(text, "{}{}", operation >> 4, char::from(b"MIDNSHP=X"[(operation & 15) as usize]));
            }
            let _ = write!(text, ",{},{};", other.mapq(), edit_distance(other));
        }
        if !text.is_empty() {
            tags::text(*b"SA", text.as_bytes(), &mut self.fields);
        }
    }
}

fn edit_distance(hit: &Hit) -> i32 {
    // SAFETY: `p` is null or points to this hit's alignment.
    let ambiguous = unsafe { hit.p.as_ref() }.map_or(0, |extra| extra.n_ambi() as i32);
    hit.blen - hit.mlen + ambiguous
}

/// Flags and places of a record and its mate.
fn place(hit: Option<&Hit>, mate: Option<(&Hits, bool)>) -> Place {
    let mut flag = hit.map_or(UNMAPPED, |hit| {
        let kind = match (hit.parent == hit.id, hit.sam_pri() == 1) {
            (false, _) => SECONDARY,
            (true, false) => SUPPLEMENTARY,
            (true, true) => 0,
        };
        kind | if hit.rev() == 1 { REVERSE } else { 0 }
    });
    let own = hit.map_or((-1, -1), |hit| (hit.rid, hit.rs));
    let Some((mate_hits, is_first)) = mate else {
        return Place {
            flag,
            reference: own.0,
            position: own.1,
            mate_reference: -1,
            mate_position: -1,
            template_length: 0,
        };
    };
    let mate = mate_hits.primary();
    flag |= PAIRED | if is_first { FIRST } else { SECOND };
    flag |= if hit.is_some_and(|hit| hit.proper_frag() == 1) { PROPER } else { 0 };
    flag |= mate.map_or(MATE_UNMAPPED, |mate| if mate.rev() == 1 { MATE_REVERSE } else { 0 });
    let mate_place = mate.map(|mate| (mate.rid, mate.rs));
    // An unmapped read lies with its mate, and says that the mate lies where it lies.
    let (reference, position) = if hit.is_some() { own } else { mate_place.unwrap_or(own) };
    let (mate_reference, mate_position) = mate_place.unwrap_or((reference, position));
    let template_length = match (hit, mate) {
        (Some(hit), Some(mate)) if hit.rid == mate.rid => template_length(hit, mate),
        _ => 0,
    };
    Place { flag, reference, position, mate_reference, mate_position, template_length }
}

/// Distance between the outer ends of a pair, counted as SAM counts it.
fn template_length(hit: &Hit, mate: &Hit) -> i32 {
    let five_prime = |hit: &Hit| if hit.rev() == 1 { hit.re - 1 } else { hit.rs };
    let distance = five_prime(mate) - five_prime(hit);
    distance + distance.signum()
}

fn clipped_cigar(hit: &Hit, read_length: usize, operations: &mut Vec<u32>) {
    let (before, after) = (hit.qs as u32, read_length as u32 - hit.qe as u32);
    let (left, right) = if hit.rev() == 1 { (after, before) } else { (before, after) };
    operations.clear();
    operations.extend((left > 0).then_some(left << 4 | SOFT_CLIP));
    operations.extend_from_slice(cigar(hit));
    operations.extend((right > 0).then_some(right << 4 | SOFT_CLIP));
}

/// Reference bases a CIGAR covers.
pub(crate) fn reference_span(operations: &[u32]) -> i32 {
    let covers = |operation: &&u32| matches!(*operation & 15, 0 | DELETION | SKIP | 7 | 8);
    operations.iter().filter(covers).map(|operation| (operation >> 4) as i32).sum()
}

/// Bin of the BAI scheme for a 0-based, half-open interval.
fn bin(start: i32, end: i32) -> u16 {
    let last = end - 1;
    for (shift, first) in [(14, 4681), (17, 585), (20, 73), (23, 9), (26, 1)] {
        if start >> shift == last >> shift {
            return (first + (start >> shift)) as u16;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_the_specification() {
        assert_eq!(4681, bin(0, 1));
        assert_eq!(4682, bin(1 << 14, (1 << 14) + 1));
        assert_eq!(585, bin(100, 1 << 15));
        assert_eq!(4680, bin(-1, 0));
        assert_eq!(0, bin(0, 1 << 27));
    }

    #[test]
    fn only_operations_on_the_reference_count() {
        let operations = [5 << 4 | SOFT_CLIP, 10 << 4, 2 << 4 | 1, 3 << 4 | DELETION, 100 << 4 | SKIP];
        assert_eq!(113, reference_span(&operations));
    }
}
