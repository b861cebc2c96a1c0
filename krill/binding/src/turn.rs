//! One thread at a time in the interpreter, by consent.
//!
//! `NumPy` lets go of the interpreter's lock for every operation on more than 500 numbers. Where
//! threads work on many small arrays, each of these moments wakes another thread, which stops the
//! first one for tens of microseconds. Threads that take turns meet at calls of the engine alone.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

struct Turn {
    is_taken: Mutex<bool>,
    ended: Condvar,
}

static TURN: Turn = Turn { is_taken: Mutex::new(false), ended: Condvar::new() };

thread_local! {
    static IS_MINE: Cell<bool> = const { Cell::new(false) };
}

impl Turn {
    fn take(&self) {
        let mut is_taken = self.is_taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_taken {
            is_taken = self.ended.wait(is_taken).unwrap_or_else(PoisonError::into_inner);
        }
        *is_taken = true;
    }

    fn end(&self) {
        *self.is_taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.ended.notify_one();
    }
}

/// Takes the turn again, even if the work panics.
struct Away;

impl Drop for Away {
    fn drop(&mut self) {
        TURN.take();
    }
}

/// Work detached from the interpreter; meanwhile another thread has the turn, if this one had it.
pub(crate) fn away<T>(work: impl FnOnce() -> T) -> T {
    if !IS_MINE.get() {
        return work();
    }
    TURN.end();
    let _away = Away;
    work()
}

/// Wait for the turn of this thread.
#[pyfunction]
pub(crate) fn turn_take(py: Python<'_>) -> PyResult<()> {
    if IS_MINE.get() {
        return Err(PyRuntimeError::new_err("this thread has the turn already"));
    }
    py.detach(|| TURN.take());
    IS_MINE.set(true);
    Ok(())
}

/// End the turn of this thread.
#[pyfunction]
pub(crate) fn turn_end() -> PyResult<()> {
    if !IS_MINE.replace(false) {
        return Err(PyRuntimeError::new_err("this thread does not have the turn"));
    }
    TURN.end();
    Ok(())
}

/// Whether this thread has the turn.
#[pyfunction]
pub(crate) fn turn_is_mine() -> bool {
    IS_MINE.get()
}
