//! Cut a file of reads (or two mates alike) into equal shares beforehand: the static balance that
//! feeding processes as they go is compared with.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::padded::{for_each_batch, refuse_pipes};
use crate::{Error, Result};

/// Write share `i` of the reads to `shares[i]`, one path per input. Shares are contiguous and
/// differ by at most one read. Returns the number of reads (of pairs).
pub fn split(inputs: &[PathBuf], shares: &[Vec<PathBuf>]) -> Result<u64> {
    refuse_pipes(inputs)?;
    let mut total = 0;
    for_each_batch(inputs, |batch| {
        total += batch.len() as u64;
        Ok(())
    })?;
    let mut writers = Vec::new();
    for path in shares.iter().flatten() {
        writers.push((path, BufWriter::with_capacity(1 << 18, File::create(path).map_err(Error::io(path))?)));
    }
    let (count, mut seen) = (shares.len() as u64, 0);
    for_each_batch(inputs, |batch| {
        for i in 0..batch.len() {
            let share = (seen * count / total) as usize;
            seen += 1;
            for (number, mate) in batch.mates.iter().enumerate() {
                let (path, writer) = &mut writers[share * batch.mates.len() + number];
                let span = &mate.spans[i];
                let parts =
                    [&b"@"[..], &mate.text[span.name.clone()], b"\n", &mate.text[span.sequence.clone()]];
                let rest = [&b"\n+\n"[..], &mate.text[span.quality.clone()], b"\n"];
                let written = parts.iter().chain(&rest).try_for_each(|part| writer.write_all(part));
                written.map_err(Error::io(path))?;
            }
        }
        Ok(())
    })?;
    writers.into_iter().try_for_each(|(path, mut writer)| writer.flush().map_err(Error::io(path)))?;
    Ok(total)
}
