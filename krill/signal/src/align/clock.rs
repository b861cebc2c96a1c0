//! Processor time per stage, so that benchmarks can say where it goes.

use rustix::time::{ClockId, clock_gettime};

/// What a read's time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// CIGAR, bases and pore model to levels.
    Target,
    /// Calibration, outliers, adapter, first scaling.
    Signal,
    /// First path on block means.
    Coarse,
    /// Best path near it.
    BestPath,
    /// Sum over paths.
    Posterior,
    /// Best path on the read's own levels.
    AdaptedPath,
    /// Scale, drift, noise and quality of a path.
    Fit,
    /// Output rows.
    Rows,
}

impl Stage {
    /// All, with the name that reports use.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Target, "target"),
        (Self::Signal, "signal"),
        (Self::Coarse, "coarse"),
        (Self::BestPath, "best path"),
        (Self::Posterior, "posterior"),
        (Self::AdaptedPath, "adapted path"),
        (Self::Fit, "fit"),
        (Self::Rows, "rows"),
    ];
}

/// Seconds of processor time by stage, in the order of [`Stage::ALL`].
pub type Seconds = [f64; Stage::ALL.len()];

/// A stop-watch that charges stages.
#[derive(Debug, Default)]
pub(super) struct Clock {
    since: f64,
    pub(super) seconds: Seconds,
}

impl Clock {
    /// Begin to measure.
    pub(super) fn start(&mut self) {
        self.since = thread_seconds();
    }

    /// Charge what has passed since the last call to `stage`.
    pub(super) fn charge(&mut self, stage: Stage) {
        let now = thread_seconds();
        self.seconds[stage as usize] += now - self.since;
        self.since = now;
    }
}

/// Processor time of this thread.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
