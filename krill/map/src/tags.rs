//! Optional fields of BAM records: write them, and choose which of a read's own are kept.

use krill_reads::bam::field_length;

/// Fields that describe an alignment: they are dropped when the read is aligned again.
const ALIGNMENT_TAGS: [&[u8; 2]; 24] = [
    b"NM", b"MD", b"AS", b"XS", b"ms", b"nn", b"tp", b"cm", b"s1", b"s2", b"de", b"dv", b"rl", b"SA", b"zd",
    b"cs", b"ds", b"CG", b"nM", b"NH", b"HI", b"MC", b"MQ", b"YT",
];

/// Copy the fields that belong to the read (`mv ts ns pi sp MM ML RG` and all others that do not
/// describe an alignment). `None` if they are damaged.
pub(crate) fn copy_read_tags(mut fields: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while !fields.is_empty() {
        let length = field_length(fields)?;
        let (field, rest) = fields.split_at_checked(length)?;
        // minimap2 writes the transcript strand into ts:A; basecallers write ts:i, samples trimmed.
        let is_strand = &field[..3] == b"tsA";
        if !is_strand && !ALIGNMENT_TAGS.iter().any(|tag| tag[..] == field[..2]) {
            out.extend_from_slice(field);
        }
        fields = rest;
    }
    Some(())
}

/// Whether a field of this name is among the encoded `fields`.
pub(crate) fn has(mut fields: &[u8], name: [u8; 2]) -> bool {
    while let Some(length) = field_length(fields) {
        if fields[..2] == name {
            return true;
        }
        fields = &fields[length.min(fields.len())..];
    }
    false
}

/// Append a whole number in the smallest type that holds it.
pub(crate) fn integer(name: [u8; 2], value: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(&name);
    match value {
        0..=0xff => out.extend_from_slice(&[b'C', value as u8]),
        -0x80..0 => out.extend_from_slice(&[b'c', value as u8]),
        0x100..=0xffff => {
            out.push(b'S');
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        _ => {
            out.push(b'i');
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Append one character.
pub(crate) fn character(name: [u8; 2], value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[name[0], name[1], b'A', value]);
}

/// Append a number with a fraction.
pub(crate) fn float(name: [u8; 2], value: f32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[name[0], name[1], b'f']);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Append text.
pub(crate) fn text(name: [u8; 2], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[name[0], name[1], b'Z']);
    out.extend_from_slice(value);
    out.push(0);
}

/// Append an array of unsigned 32-bit numbers.
pub(crate) fn integers(name: [u8; 2], values: &[u32], out: &mut Vec<u8>) {
    out.extend_from_slice(&[name[0], name[1], b'B', b'I']);
    out.extend_from_slice(&(values.len() as u32).to_le_bytes());
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_read_are_kept_and_those_of_an_alignment_dropped() {
        let mut fields = Vec::new();
        integer(*b"ns", 70_000, &mut fields);
        character(*b"ts", b'+', &mut fields);
        integers(*b"mv", &[5, 1, 0, 1], &mut fields);
        let mut kept = fields[..7].to_vec();
        kept.extend_from_slice(&fields[11..]);
        integer(*b"NM", 3, &mut fields);
        text(*b"SA", b"x,1,+,3M,60,0;", &mut fields);
        let mut got = Vec::new();
        assert_eq!(Some(()), copy_read_tags(&fields, &mut got));
        assert_eq!(kept, got);
        assert!(has(&got, *b"mv") && !has(&got, *b"NM"));
    }

    #[test]
    fn a_cut_field_is_damage() {
        let mut fields = Vec::new();
        text(*b"pi", b"parent", &mut fields);
        assert_eq!(None, copy_read_tags(&fields[..fields.len() - 1], &mut Vec::new()));
        assert_eq!(None, copy_read_tags(b"mvBC\x09\0\0\0\x01", &mut Vec::new()));
    }
}
