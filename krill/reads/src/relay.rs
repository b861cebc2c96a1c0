//! What one batch hands to the next: the beginning of a record it cannot finish, or a count.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::counters::{Site, Turn};
use crate::{Error, Result};

/// Batches in flight that do not meet in one slot: each wakes the next one's worker and nobody else.
const SLOTS: u64 = 64;

/// What is left over, text or a number, by the number of the batch that must take it.
pub(crate) struct Relay<T> {
    slots: Vec<CachePadded<Slot<T>>>,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    left: HashMap<u64, T>,
    n_waiting: usize,
    is_stopped: bool,
}

impl<T> Relay<T> {
    /// A relay whose first batch takes `first`.
    pub(crate) fn new(first: T) -> Self {
        let slots = (0..SLOTS).map(|_| CachePadded::new(Slot::new())).collect();
        let relay = Self { slots };
        relay.slot(0).lock().left.insert(0, first);
        relay
    }

    /// Take what was left for batch `order` and leave for the next what `between` makes of it, with a
    /// result for the caller. All batches behind wait for this, and it is counted as such.
    pub(crate) fn pass<R>(
        &self,
        order: u64,
        turn: &mut Turn,
        between: impl FnOnce(T) -> Result<(T, R)>,
    ) -> Result<R> {
        let asked = Instant::now();
        let (before, taken) = self.slot(order).take(order)?;
        let (left, result) = between(before)?;
        self.put(order + 1, left, || turn.count(Site::Relay, asked, taken));
        Ok(result)
    }

    /// Leave something for batch `order`.
    pub(crate) fn leave(&self, order: u64, left: T, turn: &mut Turn) {
        let asked = Instant::now();
        self.put(order, left, || turn.count(Site::Relay, asked, asked));
    }

    /// Take what was left for batch `order`; waits for the batch before.
    pub(crate) fn take(&self, order: u64, turn: &mut Turn) -> Result<T> {
        let asked = Instant::now();
        let (left, taken) = self.slot(order).take(order)?;
        turn.count(Site::Relay, asked, taken);
        Ok(left)
    }

    /// Wake everyone: what they wait for will not come.
    pub(crate) fn stop(&self) {
        for slot in &self.slots {
            slot.lock().is_stopped = true;
            slot.changed.notify_all();
        }
    }

    fn put(&self, order: u64, left: T, count: impl FnOnce()) {
        let slot = self.slot(order);
        let mut state = slot.lock();
        state.left.insert(order, left);
        let is_awaited = state.n_waiting > 0;
        drop(state);
        // Whoever is woken may get this very core: what comes next holds up nobody.
        count();
        if is_awaited {
            slot.changed.notify_all();
        }
    }

    fn slot(&self, order: u64) -> &Slot<T> {
        &self.slots[(order % SLOTS) as usize]
    }
}

impl<T> Slot<T> {
    fn new() -> Self {
        let state = State { left: HashMap::new(), n_waiting: 0, is_stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was left for batch `order`, and when it was there.
    fn take(&self, order: u64) -> Result<(T, Instant)> {
        let mut state = self.lock();
        state.n_waiting += 1;
        let is_missing = |state: &mut State<T>| !state.is_stopped && !state.left.contains_key(&order);
        let mut state = self.changed.wait_while(state, is_missing).unwrap_or_else(PoisonError::into_inner);
        state.n_waiting -= 1;
        let taken = Instant::now();
        state.left.remove(&order).map(|left| (left, taken)).ok_or(Error::Stopped)
    }
}
