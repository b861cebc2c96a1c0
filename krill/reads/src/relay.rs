//! What one batch leaves over for the next: the beginning of a record it cannot finish, or a count.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::counters::{Site, Turn};
use crate::{Error, Result};

/// What is left over, text or a number, by the number of the batch that must take it.
pub(crate) struct Relay<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    left: HashMap<u64, T>,
    is_stopped: bool,
}

impl<T> Relay<T> {
    /// A relay whose first batch takes `first`.
    pub(crate) fn new(first: T) -> Self {
        let state = State { left: HashMap::from([(0, first)]), is_stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Leave something for batch `order`.
    pub(crate) fn leave(&self, order: u64, left: T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.left.insert(order, left);
        self.changed.notify_all();
    }

    /// Take what was left for batch `order`; waits for the batch before.
    pub(crate) fn take(&self, order: u64, turn: &mut Turn) -> Result<T> {
        let asked = Instant::now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = |state: &mut State<T>| !state.is_stopped && !state.left.contains_key(&order);
        let mut state = self.changed.wait_while(state, is_missing).unwrap_or_else(PoisonError::into_inner);
        let taken = Instant::now();
        let left = state.left.remove(&order).ok_or(Error::Stopped);
        drop(state);
        turn.count(Site::Relay, asked, taken);
        left
    }

    /// Wake everyone: what they wait for will not come.
    pub(crate) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_stopped = true;
        self.changed.notify_all();
    }
}
