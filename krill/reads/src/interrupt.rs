//! A request to end early: every run of this process heeds it before its next batch.
//!
//! One flag for the process, because signals are for the process.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Ask all runs to end with [`crate::Error::Stopped`].
pub fn ask() {
    IS_ASKED.store(true, Ordering::Relaxed);
}

/// Let new runs go on: those that were asked have ended.
pub fn clear() {
    IS_ASKED.store(false, Ordering::Relaxed);
}

/// Whether runs were asked to end.
#[must_use]
pub fn is_asked() -> bool {
    IS_ASKED.load(Ordering::Relaxed)
}
