//! Where the transcript's signal begins: the end of the DNA adapter.

/// Samples per block in which the adapter is looked for.
const BLOCK: usize = 50;

/// The step up from adapter to RNA is at least this share of the signal's standard deviation.
const LEAST_STEP: f64 = 0.5;

/// Return the sample at which the adapter ends, or `None` where there is no step up.
///
/// Adapter current lies well below that of RNA, so the signal is cut in two where that takes away
/// most of its variance, among all cuts in the first three quarters that go up.
pub(super) fn adapter_end(signal_pa: &[f32]) -> Option<usize> {
    let n_blocks = signal_pa.len() / BLOCK;
    let means =
        || signal_pa.chunks_exact(BLOCK).map(|block| f64::from(block.iter().sum::<f32>()) / BLOCK as f64);
    let total: f64 = means().sum();
    let squares: f64 = means().map(|mean| mean * mean).sum();
    let n = n_blocks as f64;
    let variance = (squares / n - (total / n).powi(2)).max(0.0);
    let (mut best_gain, mut best, mut before) = (0.0, None, 0.0);
    for (i, mean) in means().enumerate().take(n_blocks * 3 / 4) {
        before += mean;
        let n_before = (i + 1) as f64;
        let step = (total - before) / (n - n_before) - before / n_before;
        let gain = n_before * (n - n_before) * step * step;
        if step > LEAST_STEP * variance.sqrt() && gain > best_gain {
            (best_gain, best) = (gain, Some((i + 1) * BLOCK));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(level: f32, n: usize) -> impl Iterator<Item = f32> {
        (0..n).map(move |i| level + 10.0 * ((i / 30) as f32 * 2.1).sin())
    }

    #[test]
    fn the_step_from_adapter_to_rna_is_found() {
        let signal: Vec<f32> = wave(70.0, 2000).chain(wave(100.0, 20_000)).collect();
        assert_eq!(adapter_end(&signal), Some(2000));
    }

    #[test]
    fn no_step_is_found_where_there_is_none() {
        assert_eq!(adapter_end(&wave(100.0, 20_000).collect::<Vec<_>>()), None);
        assert_eq!(adapter_end(&vec![90.0; 5000]), None);
        assert_eq!(adapter_end(&[]), None);
    }
}
