//! The header of the BAM that is written: references, what the input said, who wrote it.

use std::fmt::Write;

use crate::index::Reference;

/// The program to name in the header.
#[derive(Debug, Clone)]
pub struct Program {
    /// Version of this program.
    pub version: String,
    /// Its command line.
    pub command_line: String,
    /// What aligned the reads: name, version, settings.
    pub description: String,
}

/// Header in BAM's form. Read groups, programs and comments of the input are carried over.
pub(crate) fn encode(references: &[Reference], input: Option<&[u8]>, program: &Program) -> Vec<u8> {
    let input = String::from_utf8_lossy(input.unwrap_or_default()).into_owned();
    let mut text = String::from("@HD\tVN:1.6\tSO:coordinate\n");
    for reference in references {
        let _ = writeln!(text, "@SQ\tSN:{}\tLN:{}", reference.name, reference.length);
    }
    let kept = input.lines().filter(|line| ["@RG", "@PG", "@CO"].iter().any(|kind| line.starts_with(kind)));
    kept.for_each(|line| text.extend([line, "\n"]));
    let ids: Vec<&str> =
        input.lines().filter(|line| line.starts_with("@PG")).filter_map(|line| field(line, "ID:")).collect();
    let mut id = String::from("baleen-align");
    let mut number = 1;
    while ids.contains(&id.as_str()) {
        id = format!("baleen-align.{number}");
        number += 1;
    }
    let previous = ids.last().map(|last| format!("\tPP:{last}")).unwrap_or_default();
    let clean = |value: &str| value.replace(['\t', '\n'], " ");
    let (command_line, description) = (clean(&program.command_line), clean(&program.description));
    let _ = writeln!(
        text,
        "@PG\tID:{id}\tPN:baleen\tVN:{}{previous}\tDS:{description}\tCL:{command_line}",
        program.version
    );
    let mut header = b"BAM\x01".to_vec();
    header.extend_from_slice(&(text.len() as u32).to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header.extend_from_slice(&(references.len() as u32).to_le_bytes());
    for reference in references {
        header.extend_from_slice(&(reference.name.len() as u32 + 1).to_le_bytes());
        header.extend_from_slice(reference.name.as_bytes());
        header.push(0);
        header.extend_from_slice(&reference.length.to_le_bytes());
    }
    header
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split('\t').find_map(|field| field.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_chained_and_read_groups_kept() {
        let program =
            Program { version: "1".into(), command_line: "baleen\talign".into(), description: "m".into() };
        let input = b"@HD\tVN:1.5\n@SQ\tSN:old\tLN:1\n@RG\tID:a\n@PG\tID:basecaller\n@PG\tID:baleen-align\n";
        let references = [Reference { name: "x".into(), length: 9 }];
        let header = encode(&references, Some(input), &program);
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let expected = "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:x\tLN:9\n@RG\tID:a\n@PG\tID:basecaller\n@PG\tID:baleen-align\n@PG\tID:baleen-align.1\tPN:baleen\tVN:1\tPP:baleen-align\tDS:m\tCL:baleen align\n";
        assert_eq!(expected, String::from_utf8_lossy(&header[8..8 + length]));
        assert_eq!(b"\x01\0\0\0\x02\0\0\0x\0\x09\0\0\0", &header[8 + length..]);
    }
}
