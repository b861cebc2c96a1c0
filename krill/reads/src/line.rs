//! What it costs to pass a cache line from core to core: the unit of every lock's price.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::numa::{cpu_list, nodes};

const ROUNDS: usize = 9;
const PASSES: u32 = 20_000;

/// Time a line takes between two cores of the first node, the least of some rounds, since whatever
/// else runs there only adds; `None` where this process may use one core only.
#[must_use]
pub fn passing_time() -> Option<Duration> {
    let (first, second) = two_cores(&nodes()[0])?;
    (0..ROUNDS).filter_map(|_| pass(first, second)).min()
}

/// A CPU, and one that is not on the same core.
fn two_cores(cpus: &[usize]) -> Option<(usize, usize)> {
    let &first = cpus.first()?;
    let path = format!("/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list");
    let siblings = std::fs::read_to_string(path).map_or_else(|_| vec![first], |text| cpu_list(&text));
    let second = cpus.iter().find(|cpu| **cpu != first && !siblings.contains(cpu))?;
    Some((first, *second))
}

/// Let two threads pass a number back and forth; `None` if the kernel does not let them sit there.
fn pass(first: usize, second: usize) -> Option<Duration> {
    let line = CachePadded::new(AtomicU32::new(0));
    let play = |cpu: usize, mine: u32| {
        let mut set = CpuSet::new();
        set.set(cpu);
        let is_placed = sched_setaffinity(None, &set).is_ok();
        let start = Instant::now();
        for pass in (mine..2 * PASSES).step_by(2) {
            while line.load(Ordering::Acquire) != pass {
                std::hint::spin_loop();
            }
            line.store(pass + 1, Ordering::Release);
        }
        is_placed.then(|| start.elapsed() / (2 * PASSES))
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| play(second, 1));
        let time = scope.spawn(|| play(first, 0)).join().ok()?;
        other.join().ok()?.and(time)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_nanoseconds_between_two_cores() {
        let cpus = &nodes()[0];
        assert_eq!(two_cores(cpus).is_some(), passing_time().is_some());
        if let Some((first, second)) = two_cores(cpus) {
            assert_ne!(first, second);
            let time = passing_time().expect("two cores");
            assert!((1..100_000).contains(&time.as_nanos()), "{time:?}");
        }
        assert_eq!(None, two_cores(&cpus[..cpus.len().min(1)]));
    }
}
