//! What one batch of blocks leaves over for the next: the beginning of a record it cannot finish.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::counters::{Site, Turn};
use crate::{Error, Result};

/// Left-over text by the number of the batch that must take it.
pub(crate) struct Relay {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    left: HashMap<u64, Vec<u8>>,
    is_stopped: bool,
}

impl Relay {
    /// A relay whose first batch takes `first`.
    pub(crate) fn new(first: Vec<u8>) -> Self {
        let state = State { left: HashMap::from([(0, first)]), is_stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Leave text for batch `order`.
    pub(crate) fn leave(&self, order: u64, text: Vec<u8>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.left.insert(order, text);
        self.changed.notify_all();
    }

    /// Take what was left for batch `order`; waits for the batch before.
    pub(crate) fn take(&self, order: u64, turn: &mut Turn) -> Result<Vec<u8>> {
        let asked = Instant::now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = |state: &mut State| !state.is_stopped && !state.left.contains_key(&order);
        let mut state = self.changed.wait_while(state, is_missing).unwrap_or_else(PoisonError::into_inner);
        let taken = Instant::now();
        let text = state.left.remove(&order).ok_or(Error::Stopped);
        drop(state);
        turn.count(Site::Relay, asked, taken);
        text
    }

    /// Wake everyone: what they wait for will not come.
    pub(crate) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_stopped = true;
        self.changed.notify_all();
    }
}
