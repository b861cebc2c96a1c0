//! Compute without the interpreter's lock, and count what that took.

use std::cell::Cell;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use krill_reads::interrupt;
use pyo3::prelude::*;

use crate::reads::python_error;
use crate::turn::away;

/// How often signals are looked for while the engine works.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

thread_local! {
    static SECONDS: Cell<f64> = const { Cell::new(0.0) };
}

/// Run `work`, detached from the interpreter if it takes longer than the way out and back.
///
/// Where threads take turns that way is another's waking up and its own, some 60 us each, and a core
/// idles meanwhile.
pub(crate) fn detached_if<T: Send>(is_long: bool, py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    if is_long { detached(py, work) } else { work() }
}

/// Run `work` detached from the interpreter.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let before = thread_seconds();
    let result = py.detach(|| away(work));
    SECONDS.set(SECONDS.get() + thread_seconds() - before);
    result
}

/// Run `work` on a thread of its own, detached from the interpreter, and heed signals meanwhile: if a
/// handler raises (Ctrl-C), the work is asked to end and the handler's exception is returned.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> krill_reads::Result<T> + Send,
) -> PyResult<T> {
    let wait = || {
        std::thread::scope(|scope| {
            let (sender, ended) = channel::<()>();
            let worker = scope.spawn(move || {
                // Dropped when the work ends, however it does.
                let _sender = sender;
                work()
            });
            let mut raised = None;
            while matches!(ended.recv_timeout(SIGNAL_INTERVAL), Err(RecvTimeoutError::Timeout)) {
                if raised.is_none() {
                    raised = signal_exception();
                    if raised.is_some() {
                        interrupt::ask();
                    }
                }
            }
            (worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), raised)
        })
    };
    let (result, raised) = py.detach(|| away(wait));
    if let Some(error) = raised {
        interrupt::clear();
        return Err(error);
    }
    result.map_err(|error| python_error(&error))
}

/// What a signal's handler raised since the last call; on the main thread only.
fn signal_exception() -> Option<PyErr> {
    Python::attach(|py| {
        let checked = py.check_signals();
        checked.err()
    })
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
