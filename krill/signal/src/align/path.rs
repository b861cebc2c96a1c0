//! A placement: the first sample of each entry, then the end of the signal.

use super::simd::LANES;

/// Entries below the present one in the window.
const BELOW: usize = 7;

/// First entry of the window while the path so far is on `entry` of `n`.
pub(super) fn window(entry: usize, n: usize) -> usize {
    entry.saturating_sub(BELOW).min(n.saturating_sub(LANES))
}

/// Fill the first entry of the window of every sample, so that a path with at least `least` samples
/// per entry stays within.
pub(super) fn windows(boundaries: &mut [u32], least: u32, first_entries: &mut Vec<u32>) {
    separate(boundaries, least);
    let n = boundaries.len() - 1;
    first_entries.resize(boundaries[n] as usize, 0);
    for entry in 0..n {
        let samples = boundaries[entry] as usize..boundaries[entry + 1] as usize;
        first_entries[samples].fill(window(entry, n) as u32);
    }
}

/// Give each entry at least `least` samples; there must be so many.
pub(super) fn separate(boundaries: &mut [u32], least: u32) {
    boundaries[0] = 0;
    for i in 1..boundaries.len() - 1 {
        boundaries[i] = boundaries[i].max(boundaries[i - 1] + least);
    }
    for i in (1..boundaries.len() - 1).rev() {
        boundaries[i] = boundaries[i].min(boundaries[i + 1] - least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_boundaries_rise() {
        let mut boundaries = [3, 5, 5, 5, 9, 10, 10];
        separate(&mut boundaries, 1);
        assert_eq!(boundaries, [0, 5, 6, 7, 8, 9, 10]);
        let mut boundaries = [0, 1, 2, 7, 8];
        separate(&mut boundaries, 2);
        assert_eq!(boundaries, [0, 2, 4, 6, 8]);
    }

    #[test]
    fn windows_hold_the_path_and_rise_by_one() {
        let mut boundaries: Vec<u32> = (0..=40).map(|entry| entry * 3).collect();
        let mut first_entries = Vec::new();
        windows(&mut boundaries, 3, &mut first_entries);
        assert_eq!(first_entries.len(), 120);
        for (t, &first) in first_entries.iter().enumerate() {
            assert!((first..first + LANES as u32).contains(&(t as u32 / 3)));
        }
        assert!(first_entries.windows(2).all(|pair| pair[1] - pair[0] <= 1));
        assert_eq!((first_entries[0], first_entries[119]), (0, 24));
    }
}
