//! One read, whether it came as FASTQ text or as a BAM record, ready to be mapped and written.

use krill_reads::batch::Mate;
use krill_reads::fastq::Span;
use krill_reads::{Error, Result, pair_name};

use crate::mapper::complement;
use crate::tags;

/// Bases by their four-bit code in BAM.
pub(crate) const BASES: &[u8; 16] = b"=ACMGRSVTWYHKDBN";

/// Quality that says "not known".
const NO_QUALITY: u8 = 0xff;

/// A read's parts. Reused from read to read.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) name: Vec<u8>,
    /// Letters in sequencing order, `U` as it came.
    pub(crate) sequence: Vec<u8>,
    /// Phred values in sequencing order, one per base.
    pub(crate) quality: Vec<u8>,
    /// Encoded tags to carry over.
    pub(crate) tags: Vec<u8>,
    /// Flag bits that belong to the read, not to its alignment.
    pub(crate) flag: u16,
}

impl Read {
    /// Take a FASTQ record. The mate number of a pair is cut off.
    pub(crate) fn set_fastq(&mut self, mate: &Mate, span: &Span, is_paired: bool) -> Result<()> {
        let name = &mate.text[span.name.clone()];
        fill(&mut self.name, if is_paired { pair_name(name) } else { first_word(name) });
        fill(&mut self.sequence, &mate.text[span.sequence.clone()]);
        self.quality.clear();
        self.quality.extend(mate.text[span.quality.clone()].iter().map(|&mark| mark.saturating_sub(33)));
        self.tags.clear();
        self.flag = 0;
        check_name(&self.name).map_err(|problem| Error::format(&mate.place.path, problem))
    }

    /// Take a BAM record. False if it is a further alignment of a read that comes elsewhere.
    pub(crate) fn set_bam(&mut self, mate: &Mate, record: &[u8]) -> Result<bool> {
        let damaged = |what: &str| Error::format(&mate.place.path, format!("holds a damaged record: {what}"));
        let flag = u16::from_le_bytes([record[14], record[15]]);
        if flag & 0x900 != 0 {
            return Ok(false);
        }
        if flag & 1 != 0 {
            let problem = "holds paired reads; write them as two files with `samtools fastq -1 -2`";
            return Err(Error::format(&mate.place.path, problem));
        }
        let (name_length, operations) =
            (usize::from(record[8]), usize::from(u16::from_le_bytes([record[12], record[13]])));
        let bases = u32::from_le_bytes([record[16], record[17], record[18], record[19]]) as usize;
        let sequence = 32 + name_length + 4 * operations;
        let quality = sequence + bases.div_ceil(2);
        if name_length == 0 || quality + bases > record.len() {
            return Err(damaged("its parts are longer than the record"));
        }
        fill(&mut self.name, &record[32..32 + name_length - 1]);
        self.sequence.clear();
        let packed = &record[sequence..quality];
        self.sequence.extend((0..bases).map(|i| BASES[usize::from(packed[i / 2] >> (4 * (1 - i % 2)) & 15)]));
        fill(&mut self.quality, &record[quality..quality + bases]);
        if flag & 0x10 != 0 {
            self.sequence.reverse();
            self.sequence.iter_mut().for_each(|base| *base = complement(*base));
            self.quality.reverse();
        }
        self.tags.clear();
        tags::copy_read_tags(&record[quality + bases..], &mut self.tags)
            .ok_or_else(|| damaged("its tags"))?;
        self.flag = flag & 0x200;
        Ok(true)
    }

    /// Append the bases, packed, in the orientation asked for.
    pub(crate) fn pack_sequence(&self, is_reverse: bool, out: &mut Vec<u8>) {
        if is_reverse {
            pack(self.sequence.iter().rev().map(|&base| CODES[usize::from(complement(base))]), out);
        } else {
            pack(self.sequence.iter().map(|&base| CODES[usize::from(base)]), out);
        }
    }

    /// Append the qualities in the orientation asked for.
    pub(crate) fn write_quality(&self, is_reverse: bool, out: &mut Vec<u8>) {
        if self.quality.first() == Some(&NO_QUALITY) || !is_reverse {
            out.extend_from_slice(&self.quality);
        } else {
            out.extend(self.quality.iter().rev());
        }
    }
}

/// Append four-bit codes, two to a byte.
fn pack(mut codes: impl ExactSizeIterator<Item = u8>, out: &mut Vec<u8>) {
    let bytes = codes.len().div_ceil(2);
    out.extend((0..bytes).map(|_| codes.next().unwrap_or(0) << 4 | codes.next().unwrap_or(0)));
}

/// Name without its comment.
pub(crate) fn first_word(name: &[u8]) -> &[u8] {
    name.split(u8::is_ascii_whitespace).next().unwrap_or(name)
}

fn fill(part: &mut Vec<u8>, content: &[u8]) {
    part.clear();
    part.extend_from_slice(content);
}

/// SAM allows names of 1 to 254 characters.
fn check_name(name: &[u8]) -> std::result::Result<(), String> {
    match name.len() {
        1..=254 => Ok(()),
        length => Err(format!("holds a read whose name has {length} characters; BAM allows 1 to 254")),
    }
}

/// Four-bit code of each letter; `U` is `T`, unknown letters are `N`.
static CODES: [u8; 256] = {
    let mut codes = [15; 256];
    let mut code = 0;
    while code < 16 {
        codes[BASES[code] as usize] = code as u8;
        codes[BASES[code].to_ascii_lowercase() as usize] = code as u8;
        code += 1;
    }
    codes[b'U' as usize] = 8;
    codes[b'u' as usize] = 8;
    codes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(sequence: &[u8], is_reverse: bool) -> Vec<u8> {
        let read = Read { sequence: sequence.to_vec(), ..Read::default() };
        let mut out = vec![7];
        read.pack_sequence(is_reverse, &mut out);
        out
    }

    #[test]
    fn bases_are_packed_two_to_a_byte_in_either_orientation() {
        assert_eq!(vec![7, 0x12, 0x48, 0xf0], packed(b"ACGTN", false));
        assert_eq!(vec![7, 0xf1, 0x24, 0x80], packed(b"ACGTN", true));
        assert_eq!(vec![7, 0x88, 0x5a], packed(b"uUrY", false));
        assert_eq!(vec![7, 0x5a, 0x11], packed(b"uUrY", true));
        assert_eq!(vec![7], packed(b"", true));
    }
}
