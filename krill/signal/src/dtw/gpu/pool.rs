//! Memory of a device for all calls of this process at once: what is in use and what waits for the
//! next batch, together within one budget. Making memory takes milliseconds, a batch of a small
//! contig less than one.

use super::device::Slot;
use crate::Result;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Of a budget, what may lie idle between calls: one in so many bytes. Others may share the device.
const IDLE_SHARE: usize = 8;

/// Slots of one device.
#[derive(Debug)]
pub struct Pool<S> {
    state: Mutex<State<S>>,
    released: Condvar,
}

#[derive(Debug)]
struct State<S> {
    idle: Vec<S>,
    /// Bytes of all slots, idle or not.
    allocated: usize,
}

impl<S> Default for Pool<S> {
    fn default() -> Self {
        let state = State { idle: Vec::new(), allocated: 0 };
        Self { state: Mutex::new(state), released: Condvar::new() }
    }
}

/// What a batch needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// At least so many bytes.
    pub(super) n_bytes: usize,
    /// What is made if nothing fits: room for the next batches too.
    pub(super) roomy: usize,
    /// Of all slots of the process together; no less than the other two.
    pub(super) budget: usize,
}

impl<S: Slot> Pool<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all slots that are or were in use.
    pub(super) fn allocated(&self) -> usize {
        self.lock().allocated
    }

    /// An idle slot that is large enough, or a new one, if need be once other calls have given theirs
    /// back; before it waits, this call `lets_go` of its own, so that none waits for another in a ring.
    pub(super) fn take(
        &self,
        need: Need,
        make: impl FnOnce(usize) -> Result<S>,
        lets_go: impl FnOnce() -> Result<()>,
    ) -> Result<Held<'_, S>> {
        let mut lets_go = Some(lets_go);
        let mut state = self.lock();
        loop {
            if let Some(slot) = state.smallest_idle(need.n_bytes) {
                return Ok(Held { pool: self, slot: Some(slot) });
            }
            if state.allocated + need.roomy <= need.budget {
                break;
            }
            if let Some(slot) = state.idle.pop() {
                state.allocated -= slot.bytes();
                continue;
            }
            if let Some(lets_go) = lets_go.take() {
                drop(state);
                lets_go()?;
                state = self.lock();
                continue;
            }
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.allocated += need.roomy;
        drop(state);
        match make(need.roomy) {
            Ok(slot) => Ok(Held { pool: self, slot: Some(slot) }),
            Err(error) => {
                let mut state = self.lock();
                let idle = std::mem::take(&mut state.idle); // in the way of others, perhaps
                state.allocated -= need.roomy + idle.iter().map(Slot::bytes).sum::<usize>();
                drop(idle);
                self.released.notify_all();
                Err(error)
            }
        }
    }

    fn release(&self, slot: S, keeps: bool) {
        let mut state = self.lock();
        if keeps {
            state.idle.push(slot);
        } else {
            state.allocated -= slot.bytes();
            drop(slot);
        }
        self.released.notify_all();
    }

    /// A call has ended: free what lies idle beyond the share of the budget, the largest first.
    pub(super) fn trim(&self, budget: usize) {
        let mut state = self.lock();
        state.idle.sort_by_key(Slot::bytes);
        while state.idle.iter().map(Slot::bytes).sum::<usize>() > budget / IDLE_SHARE {
            state.allocated -= state.idle.pop().map_or(0, |slot| slot.bytes());
        }
        self.released.notify_all();
    }
}

impl<S: Slot> State<S> {
    fn smallest_idle(&mut self, n_bytes: usize) -> Option<S> {
        let fits = |&(_, slot): &(usize, &S)| slot.bytes() >= n_bytes;
        let best = self.idle.iter().enumerate().filter(fits).min_by_key(|(_, slot)| slot.bytes())?.0;
        Some(self.idle.swap_remove(best))
    }
}

/// A slot in use. Dropped, it is freed: its work may not have ended; `keep` is for one whose has.
#[derive(Debug)]
pub(super) struct Held<'p, S: Slot> {
    pool: &'p Pool<S>,
    slot: Option<S>,
}

impl<S: Slot> Held<'_, S> {
    /// Leave it to the next batch, of this call or another.
    pub(super) fn keep(mut self) {
        if let Some(slot) = self.slot.take() {
            self.pool.release(slot, true);
        }
    }
}

impl<S: Slot> Drop for Held<'_, S> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.pool.release(slot, false);
        }
    }
}

impl<S: Slot> Deref for Held<'_, S> {
    type Target = S;

    #[expect(clippy::expect_used, reason = "only `keep` and `drop` take it, and both end the value")]
    fn deref(&self) -> &S {
        self.slot.as_ref().expect("held")
    }
}

impl<S: Slot> DerefMut for Held<'_, S> {
    #[expect(clippy::expect_used, reason = "as for `deref`")]
    fn deref_mut(&mut self) -> &mut S {
        self.slot.as_mut().expect("held")
    }
}
