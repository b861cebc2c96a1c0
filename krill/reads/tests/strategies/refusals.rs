//! Inputs that do not fit, are damaged, or do not allow a strategy are errors that say so.

use super::*;

#[test]
fn a_pair_that_does_not_fit_is_an_error() {
    let folder = tempfile::tempdir().expect("room on disk");
    let first = save(folder.path(), "1.fq", b"@a/1\nA\n+\nI\n@b/1\nA\n+\nI\n");
    for (text, says) in [
        (&b"@a/2\nA\n+\nI\n"[..], "does not hold as many reads as"),
        (b"@a/2\nA\n+\nI\n@b/2\nA\n+\nI\n@c/2\nA\n+\nI\n", "does not hold as many reads as"),
        (b"@a/2\nA\n+\nI\n@c/2\nA\n+\nI\n", "read c stands where its mate"),
    ] {
        let second = save(folder.path(), "2.fq", text);
        for parsing in Parsing::ALL.into_iter().filter(|&p| p != Parsing::Block) {
            let way = Way { parsing: Some(parsing), ..PLAIN };
            let error = pump(&[first.clone(), second.clone()], way).expect_err("unequal").to_string();
            assert!(error.contains(says), "{parsing:?}: {error}");
        }
    }
}

#[test]
fn damage_in_either_mate_is_named() {
    let whole = b"@a\nACGT\n+\nIIII\n".repeat(50);
    let damaged = [&whole[..], b"@a\nACGT\n+\nIII\n", &whole[..]].concat();
    let whole = [&whole[..], b"@a\nACGT\n+\nIIII\n", &whole[..]].concat();
    let folder = tempfile::tempdir().expect("room on disk");
    let paths = [save(folder.path(), "1.fq", &whole), save(folder.path(), "2.fq", &damaged)];
    for (paths, file) in [(paths.clone(), "2.fq"), ([paths[1].clone(), paths[0].clone()], "2.fq")] {
        for parsing in [Parsing::Atomic, Parsing::Chunk] {
            let error =
                pump(&paths, Way { parsing: Some(parsing), ..PLAIN }).expect_err("damaged").to_string();
            assert!(
                error.contains(file) && error.ends_with("has 4 bases but 3 qualities"),
                "{parsing:?}: {error}"
            );
        }
    }
}

#[test]
fn a_strategy_the_input_does_not_allow_says_what_would_help() {
    let folder = tempfile::tempdir().expect("room on disk");
    let packed = save(folder.path(), "reads.fq.gz", &gzip(b"@a\nA\n+\nI\n"));
    let error =
        pump(from_ref(&packed), Way { parsing: Some(Parsing::Atomic), ..PLAIN }).expect_err("no offsets");
    assert_eq!(
        "--parsing: A needs plain files: pipes and compressed files have no offsets; use K",
        error.to_string()
    );
    let error = pump(&[packed], Way { parsing: Some(Parsing::Block), ..PLAIN }).expect_err("not padded");
    assert_eq!(
        "--parsing: L needs padded files; pad them with `baleen fastq pad`, or use K",
        error.to_string()
    );
}

#[test]
fn compressed_files_that_end_early_are_errors() {
    let text = b"@a\nACGT\n+\nIIII\n".repeat(3000);
    let folder = tempfile::tempdir().expect("room on disk");
    for content in [gzip(&text), blocked(&text, 5000)] {
        let path = save(folder.path(), "reads.fq.gz", &content[..content.len() - 40]);
        let error = pump(&[path], PLAIN).expect_err("cut");
        assert!(matches!(error, Error::Format { .. }), "{error}");
        assert!(error.to_string().contains("truncated"), "{error}");
    }
}
