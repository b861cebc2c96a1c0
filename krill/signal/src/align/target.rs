//! The bases that passed the pore, as levels to place the signal on.
//!
//! Reference where the read is aligned, basecalls where it is not: soft clips and long insertions
//! anchor the ends and the middle but are not reported. Long deletions and introns are left out,
//! for the molecule does not hold them. Everything leaves here in signal order, 3' to 5'.

use crate::pore_model::{AMBIGUOUS, PoreModel, base_code};

/// A longer deletion or insertion is taken as the molecule's own, a shorter one as a basecall error.
pub(super) const LONGEST_ERROR: usize = 10;

const NONE: i32 = -1;

/// BAM operations.
const MATCH: u32 = 0;
const INSERTION: u32 = 1;
const DELETION: u32 = 2;
const SKIP: u32 = 3;
const SOFT_CLIP: u32 = 4;
const HARD_CLIP: u32 = 5;
const PADDING: u32 = 6;
const MISMATCH: u32 = 8;

/// What one read is placed on; entry `j` of each column is a k-mer, 3' to 5'.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// Expected level, picoampere.
    pub(super) level: Vec<f32>,
    /// Reference index of the base under test; -1 where the k-mer only anchors.
    pub(super) position: Vec<i32>,
    /// Index of the base under test in the basecalls (hard clips counted), 5' to 3'; -1 = none.
    pub(super) read_index: Vec<i32>,
    codes: Vec<u8>,
    reference_index: Vec<i32>,
    base_read_index: Vec<i32>,
}

/// The alignment of one forward read, as BAM holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadAlignment<'a> {
    pub(super) ref_start: i32,
    pub(super) cigar: &'a [u32],
    pub(super) sequence: &'a [u8],
}

/// Why there is no target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inconsistent;

/// Largest number of positions that a CIGAR can report.
pub(super) fn most_reported(cigar: &[u32]) -> usize {
    let aligned = cigar.iter().filter(|&entry| {
        let (operation, length) = (entry & 15, (entry >> 4) as usize);
        matches!(operation, MATCH | 7 | MISMATCH)
            || (matches!(operation, DELETION | SKIP) && length <= LONGEST_ERROR)
    });
    aligned.map(|entry| (entry >> 4) as usize).sum()
}

impl Target {
    /// Fill from one read; `Err` where CIGAR, sequence and reference contradict each other.
    pub(super) fn fill(
        &mut self,
        read: ReadAlignment<'_>,
        reference: &[u8],
        model: &PoreModel<'_>,
    ) -> Result<(), Inconsistent> {
        self.codes.clear();
        self.reference_index.clear();
        self.base_read_index.clear();
        self.add_aligned(read, reference)?;
        // One k-mer of nothing but A takes the poly-A tail, however long.
        let called_tail = self.codes.iter().rev().take_while(|&&code| code == 0).count();
        for _ in called_tail.min(model.kmer_size)..model.kmer_size {
            self.push(0, NONE, NONE);
        }
        self.look_up(model);
        Ok(())
    }

    /// Number of positions that will be reported, known before any signal is seen.
    pub(super) fn n_reported(&self) -> usize {
        self.position.iter().filter(|&&position| position >= 0).count()
    }

    fn push(&mut self, code: u8, reference_index: i32, read_index: i32) {
        self.codes.push(code);
        self.reference_index.push(reference_index);
        self.base_read_index.push(read_index);
    }

    fn add_aligned(&mut self, read: ReadAlignment<'_>, reference: &[u8]) -> Result<(), Inconsistent> {
        let mut at_reference = usize::try_from(read.ref_start).map_err(|_| Inconsistent)?;
        let mut at_read = 0;
        let mut hard = 0;
        for &entry in read.cigar {
            let (operation, length) = (entry & 15, (entry >> 4) as usize);
            let bases = match operation {
                HARD_CLIP => {
                    hard += if at_read == 0 { length } else { 0 };
                    continue;
                }
                PADDING => continue,
                DELETION | SKIP => length,
                _ => read.sequence.get(at_read..at_read + length).ok_or(Inconsistent)?.len(),
            };
            match operation {
                SOFT_CLIP | INSERTION => {
                    if operation == SOFT_CLIP || bases > LONGEST_ERROR {
                        for i in at_read..at_read + bases {
                            self.push(base_code(read.sequence[i]), NONE, (i + hard) as i32);
                        }
                    }
                    at_read += bases;
                }
                _ => {
                    let stretch = reference.get(at_reference..at_reference + bases).ok_or(Inconsistent)?;
                    let consumes_read = operation == MATCH || (7..=MISMATCH).contains(&operation);
                    if consumes_read || bases <= LONGEST_ERROR {
                        for (i, &base) in stretch.iter().enumerate() {
                            let read_index = if consumes_read { (at_read + i + hard) as i32 } else { NONE };
                            self.push(base_code(base), (at_reference + i) as i32, read_index);
                        }
                    }
                    at_reference += bases;
                    at_read += if consumes_read { bases } else { 0 };
                }
            }
        }
        if at_read == read.sequence.len() { Ok(()) } else { Err(Inconsistent) }
    }

    fn look_up(&mut self, model: &PoreModel<'_>) {
        self.level.clear();
        self.position.clear();
        self.read_index.clear();
        let k = model.kmer_size;
        // Reference indices that rise by one from this base on, and known bases in a row.
        let (mut run, mut known, mut index) = (0, 0, 0);
        for start in (0..self.codes.len()).rev() {
            let (first, next) = (self.reference_index[start], self.reference_index.get(start + 1));
            run = match next {
                _ if first < 0 => 0,
                Some(&next) if next == first + 1 => run + 1,
                _ => 1,
            };
            let code = self.codes[start];
            known = if code < AMBIGUOUS { known + 1 } else { 0 };
            index = model.index_before(index, code);
            if start + k > self.codes.len() {
                continue;
            }
            self.level.push(if known >= k {
                model.level_of_index(index)
            } else {
                model.level(&self.codes[start..start + k])
            });
            let is_reported = run >= k;
            self.position.push(if is_reported { first + model.center as i32 } else { NONE });
            self.read_index.push(self.base_read_index[start + model.center]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: usize = 3;
    const M: u32 = MATCH;

    fn cigar(operations: &[(u32, u32)]) -> Vec<u32> {
        operations.iter().map(|&(length, operation)| length << 4 | operation).collect()
    }

    fn target(operations: &[(u32, u32)], sequence: &[u8], reference: &[u8]) -> Result<Target, Inconsistent> {
        let levels: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let model = PoreModel::new(3, 1, &levels, 3.0).expect("valid");
        let mut target = Target::default();
        let cigar = cigar(operations);
        target.fill(ReadAlignment { ref_start: 1, cigar: &cigar, sequence }, reference, &model)?;
        Ok(target)
    }

    #[test]
    fn entries_run_from_3_to_5_prime_and_know_their_base() {
        let found = target(&[(4, M)], b"CGTC", b"ACGTCA").expect("valid");
        // GTC then CGT, after the k-mers that touch the tail.
        assert_eq!(found.position[TAIL..], [3, 2]);
        assert_eq!(found.read_index[TAIL..], [2, 1]);
        assert_eq!(found.level[TAIL..], [(2 * 16 + 3 * 4 + 1) as f32, (16 + 2 * 4 + 3) as f32]);
    }

    #[test]
    fn a_short_deletion_stays_and_a_long_one_is_spliced_out() {
        let reference = b"ACGTCGTACGTACGTACGTACGTACGTACC";
        let short = target(&[(4, M), (3, DELETION), (4, M)], b"CGTCACGT", reference).expect("valid");
        assert_eq!(short.n_reported(), 4 + 3 + 4 - 2);
        let long = target(&[(4, M), (11, SKIP), (4, M)], b"CGTCACGT", reference).expect("valid");
        assert_eq!(long.n_reported(), 4);
        assert_eq!(long.level.len(), 8 - 2 + 2);
    }

    #[test]
    fn clips_anchor_and_hard_clips_only_count() {
        let found = target(&[(3, HARD_CLIP), (2, SOFT_CLIP), (4, M), (5, HARD_CLIP)], b"AACGTC", b"ACGTCA")
            .expect("valid");
        assert_eq!(found.position[TAIL..], [3, 2, -1, -1]);
        assert_eq!(found.read_index[TAIL..], [7, 6, 5, 4]);
    }

    #[test]
    fn a_cigar_that_contradicts_sequence_or_reference_is_refused() {
        assert!(target(&[(5, M)], b"CGTC", b"ACGTCA").is_err());
        assert!(target(&[(3, M)], b"CGTC", b"ACGTCA").is_err());
        assert!(target(&[(4, M)], b"CGTC", b"ACGT").is_err());
    }
}
