//! The locks around input and output, and the value they protect.
//!
//! `os` sleeps in the kernel; `ttas` and `ticket` spin on one shared word; `mcs` queues, each waiter
//! spinning on a word of its own; `mcs-park` queues and sleeps; `cohort` prefers waiters of the same
//! NUMA node. Spinning is for dedicated cores: with more threads than cores a spinning waiter burns
//! the time that the holder needs, so each spin loop gives its core away after a while.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::counters::{Site, Turn};
use crate::{Error, Result};

/// Spins before a waiter offers its core to others.
const SPINS_BEFORE_YIELD: u32 = 1 << 12;
/// Spins before a waiter of `mcs-park` goes to sleep.
const SPINS_BEFORE_PARK: u32 = 1 << 7;
/// Times a cohort lock is handed on within a node before other nodes get it.
const COHORT_PASSES: u32 = 64;

/// Which lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// The operating system's mutex (futex).
    Os,
    /// Test and test-and-set spin lock.
    Ttas,
    /// Ticket spin lock.
    Ticket,
    /// Mellor-Crummey and Scott's queue lock.
    Mcs,
    /// The same, waiters sleep.
    McsPark,
    /// A ticket lock per NUMA node below a global one.
    Cohort,
}

impl LockKind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Os, Self::Ttas, Self::Ticket, Self::Mcs, Self::McsPark, Self::Cohort];
}

impl FromStr for LockKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "auto" | "os" => Self::Os,
            "ttas" => Self::Ttas,
            "ticket" => Self::Ticket,
            "mcs" => Self::Mcs,
            "mcs-park" => Self::McsPark,
            "cohort" => Self::Cohort,
            other => {
                let problem =
                    format!("{other:?} is not one of auto, os, ttas, ticket, mcs, mcs-park, cohort");
                return Err(Error::setting("--lock", problem));
            }
        })
    }
}

/// A value that one worker at a time may use.
pub struct Locked<T> {
    gate: Gate,
    /// With a gate of our own this is never contended: it carries the value past the compiler.
    value: Mutex<T>,
    site: Site,
}

impl<T> Locked<T> {
    /// Protect `value` for `workers` workers on `nodes` NUMA nodes.
    pub fn new(value: T, kind: LockKind, site: Site, (workers, nodes): (usize, usize)) -> Self {
        let gate = match kind {
            LockKind::Os => Gate::Os,
            LockKind::Ttas => Gate::Ttas(CachePadded::default()),
            LockKind::Ticket => Gate::Ticket(Ticket::default()),
            LockKind::Mcs => Gate::Queue(Queue::new(workers, false)),
            LockKind::McsPark => Gate::Queue(Queue::new(workers, true)),
            LockKind::Cohort => Gate::Cohort(Cohort::new(nodes)),
        };
        Self { gate, value: Mutex::new(value), site }
    }

    /// Run `inside` with the value while no other worker does, and count it.
    pub fn with<R>(&self, turn: &mut Turn, inside: impl FnOnce(&mut T) -> R) -> R {
        let asked = Instant::now();
        let (result, taken) = {
            let _pass = Pass::new(&self.gate, turn);
            let mut value = self.value();
            let taken = Instant::now();
            (inside(&mut value), taken)
        };
        turn.count(self.site, asked, taken);
        result
    }

    /// Run `inside` with a value that only the calling worker ever uses: nobody waits, nothing counts.
    pub fn own<R>(&self, inside: impl FnOnce(&mut T) -> R) -> R {
        inside(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Give the value back when the run is over.
    pub fn into_inner(self) -> T {
        self.value.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self) -> MutexGuard<'_, T> {
        // A poisoned value belongs to a worker that panicked: the run ends with that panic anyway.
        if matches!(self.gate, Gate::Os) {
            return self.value.lock().unwrap_or_else(PoisonError::into_inner);
        }
        match self.value.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => unreachable!("the gate lets one worker in"),
        }
    }
}

/// Mutual exclusion alone.
enum Gate {
    Os,
    Ttas(CachePadded<AtomicBool>),
    Ticket(Ticket),
    Queue(Queue),
    Cohort(Cohort),
}

/// Permission to be inside; given back on drop, so also on panic.
struct Pass<'a> {
    gate: &'a Gate,
    worker: usize,
    node: usize,
}

impl<'a> Pass<'a> {
    fn new(gate: &'a Gate, turn: &Turn) -> Self {
        match gate {
            Gate::Os => {}
            Gate::Ttas(taken) => {
                let mut spins = 0;
                while taken.load(Ordering::Relaxed) || taken.swap(true, Ordering::Acquire) {
                    relax(&mut spins);
                }
            }
            Gate::Ticket(ticket) => ticket.acquire(),
            Gate::Queue(queue) => queue.acquire(turn.worker),
            Gate::Cohort(cohort) => cohort.acquire(turn.node),
        }
        Self { gate, worker: turn.worker, node: turn.node }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        match self.gate {
            Gate::Os => {}
            Gate::Ttas(taken) => taken.store(false, Ordering::Release),
            Gate::Ticket(ticket) => ticket.release(),
            Gate::Queue(queue) => queue.release(self.worker),
            Gate::Cohort(cohort) => cohort.release(self.node),
        }
    }
}

fn relax(spins: &mut u32) {
    *spins += 1;
    if (*spins).is_multiple_of(SPINS_BEFORE_YIELD) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// First come, first served; everyone watches `serving`.
#[derive(Default)]
struct Ticket {
    next: CachePadded<AtomicU32>,
    serving: CachePadded<AtomicU32>,
}

impl Ticket {
    fn acquire(&self) {
        let mine = self.next.fetch_add(1, Ordering::Relaxed);
        let mut spins = 0;
        while self.serving.load(Ordering::Acquire) != mine {
            relax(&mut spins);
        }
    }

    fn release(&self) {
        self.serving.store(self.serving.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Whether someone waits behind the holder. Only the holder may ask.
    fn is_wanted(&self) -> bool {
        self.next.load(Ordering::Relaxed) != self.serving.load(Ordering::Relaxed).wrapping_add(1)
    }
}

/// A queue of workers; each waits on its own node, 0 stands for "nobody".
struct Queue {
    tail: CachePadded<AtomicUsize>,
    nodes: Vec<CachePadded<QueueNode>>,
    parks: bool,
}

#[derive(Default)]
struct QueueNode {
    next: AtomicUsize,
    is_waiting: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Queue {
    fn new(workers: usize, parks: bool) -> Self {
        let nodes = (0..workers).map(|_| CachePadded::default()).collect();
        Self { tail: CachePadded::default(), nodes, parks }
    }

    fn acquire(&self, worker: usize) {
        let node = &self.nodes[worker];
        node.thread.get_or_init(std::thread::current);
        node.next.store(0, Ordering::Relaxed);
        node.is_waiting.store(true, Ordering::Relaxed);
        let before = self.tail.swap(worker + 1, Ordering::AcqRel);
        if before == 0 {
            return;
        }
        self.nodes[before - 1].next.store(worker + 1, Ordering::Release);
        let mut spins = 0;
        while node.is_waiting.load(Ordering::Acquire) {
            if self.parks && spins >= SPINS_BEFORE_PARK {
                std::thread::park();
            } else {
                relax(&mut spins);
            }
        }
    }

    fn release(&self, worker: usize) {
        let node = &self.nodes[worker];
        if node.next.load(Ordering::Acquire) == 0
            && self.tail.compare_exchange(worker + 1, 0, Ordering::Release, Ordering::Relaxed).is_ok()
        {
            return;
        }
        // Someone is between joining the queue and making itself known to us.
        let mut spins = 0;
        let mut next = node.next.load(Ordering::Acquire);
        while next == 0 {
            relax(&mut spins);
            next = node.next.load(Ordering::Acquire);
        }
        let next = &self.nodes[next - 1];
        next.is_waiting.store(false, Ordering::Release);
        if let (true, Some(thread)) = (self.parks, next.thread.get()) {
            thread.unpark();
        }
    }
}

/// Ticket lock per NUMA node; the node's holder also holds the global ticket lock.
struct Cohort {
    global: Ticket,
    nodes: Vec<CachePadded<CohortNode>>,
}

#[derive(Default)]
struct CohortNode {
    ticket: Ticket,
    has_global: AtomicBool,
    passes: AtomicU32,
}

impl Cohort {
    fn new(nodes: usize) -> Self {
        Self { global: Ticket::default(), nodes: (0..nodes.max(1)).map(|_| CachePadded::default()).collect() }
    }

    fn acquire(&self, node: usize) {
        let node = &self.nodes[node % self.nodes.len()];
        node.ticket.acquire();
        // The node's ticket orders these two fields, so they need no order of their own.
        if !node.has_global.load(Ordering::Relaxed) {
            self.global.acquire();
            node.has_global.store(true, Ordering::Relaxed);
            node.passes.store(0, Ordering::Relaxed);
        }
    }

    fn release(&self, node: usize) {
        let node = &self.nodes[node % self.nodes.len()];
        let passes = node.passes.load(Ordering::Relaxed);
        if node.ticket.is_wanted() && passes < COHORT_PASSES {
            node.passes.store(passes + 1, Ordering::Relaxed);
        } else {
            node.has_global.store(false, Ordering::Relaxed);
            self.global.release();
        }
        node.ticket.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lock_lets_one_worker_in_at_a_time() {
        let (workers, rounds) = (4, 2_000_usize);
        for kind in LockKind::ALL {
            // Not atomic: a lost update would show.
            let locked = Locked::new((0_usize, 0_usize), kind, Site::Input, (workers, 2));
            let counts = std::thread::scope(|scope| {
                let handles: Vec<_> = (0..workers)
                    .map(|worker| {
                        let locked = &locked;
                        scope.spawn(move || {
                            let mut turn = Turn { worker, node: worker % 2, ..Turn::default() };
                            for _ in 0..rounds {
                                locked.with(&mut turn, |(a, b)| {
                                    *a += 1;
                                    assert_eq!(*a, *b + 1);
                                    *b += 1;
                                });
                            }
                            turn.locks[Site::Input as usize].acquisitions
                        })
                    })
                    .collect();
                handles.into_iter().map(|h| h.join().expect("no panic")).sum::<u64>()
            });
            assert_eq!((workers * rounds, workers * rounds), locked.into_inner(), "{kind:?}");
            assert_eq!((workers * rounds) as u64, counts, "{kind:?}");
        }
    }

    #[test]
    fn a_panic_inside_gives_the_lock_back() {
        for kind in LockKind::ALL {
            let locked = Locked::new(1, kind, Site::Input, (2, 1));
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                locked.with(&mut Turn::default(), |_| panic!("on purpose"));
            }));
            assert!(caught.is_err());
            assert_eq!(
                1,
                locked.with(&mut Turn { worker: 1, ..Turn::default() }, |value| *value),
                "{kind:?}"
            );
        }
    }
}
