//! Compute without the interpreter's lock, and count what that took.

use pyo3::prelude::*;
use std::cell::Cell;

thread_local! {
    static SECONDS: Cell<f64> = const { Cell::new(0.0) };
}

/// Run `work` detached from the interpreter.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let before = thread_seconds();
    let result = py.detach(work);
    SECONDS.set(SECONDS.get() + thread_seconds() - before);
    result
}

/// CPU seconds of this thread; 0 where the system keeps no such clock.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to for the duration of the call.
    match unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } {
        0 => time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64,
        _ => 0.0,
    }
}

/// Return the CPU seconds that the calling thread has spent in the engine, detached from Python.
#[pyfunction]
pub(crate) fn detached_seconds() -> f64 {
    SECONDS.get()
}
