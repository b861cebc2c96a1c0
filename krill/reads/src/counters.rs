//! What a run cost: per lock how often, how long inside and waiting; per worker on CPU or not.
//!
//! Each worker counts for itself, so counting shares no cache line; sums are made at the end.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The places where workers meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// The lock around the source.
    Input = 0,
    /// The lock or locks around the sink.
    Output = 1,
    /// The wait for what the batch before left over.
    Relay = 2,
}

impl Site {
    /// All places, in the order of [`Turn::locks`].
    pub const NAMES: [&'static str; 3] = ["input", "output", "relay"];
}

/// Use of one lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockCount {
    /// How often it was taken.
    pub acquisitions: u64,
    /// Time between taking and giving back, less what was spent waiting for an inflating thread.
    pub inside: Duration,
    /// Time between asking and taking, and for an inflating thread.
    pub waiting: Duration,
}

impl LockCount {
    /// Add another worker's count.
    pub fn add(&mut self, other: Self) {
        self.acquisitions += other.acquisitions;
        self.inside += other.inside;
        self.waiting += other.waiting;
    }
}

/// One worker's identity and what it has counted so far.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Number of the worker, from 0. One thread for the whole run.
    pub worker: usize,
    /// NUMA node the worker runs on, from 0 without gaps.
    pub node: usize,
    /// One count per [`Site`].
    pub locks: [LockCount; 3],
}

impl Turn {
    /// Note one passage through a lock.
    pub fn count(&mut self, site: Site, asked: Instant, taken: Instant) {
        let count = &mut self.locks[site as usize];
        count.acquisitions += 1;
        count.waiting += taken - asked;
        count.inside += taken.elapsed();
    }

    /// Of the time inside, this was spent waiting for a thread that makes what is taken.
    pub(crate) fn count_wait(&mut self, site: Site, waited: Duration) {
        let count = &mut self.locks[site as usize];
        count.inside = count.inside.saturating_sub(waited);
        count.waiting += waited;
    }
}

/// How one worker's time was spent.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkerTime {
    /// On a core.
    pub on_cpu: Duration,
    /// Ready to run but without a core; `None` where the kernel does not say.
    pub waiting_to_run: Option<Duration>,
    /// Neither: waiting for a lock, a file, a pipe (holds the waiting to run where that is unknown).
    pub blocked: Duration,
    /// Batches worked on.
    pub batches: u64,
}

/// Measures a worker from its start to its end. Must be used on the worker's own thread.
pub struct Stopwatch {
    start: Instant,
    on_cpu: Duration,
    waiting_to_run: Option<Duration>,
}

impl Stopwatch {
    /// Start measuring this thread.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), on_cpu: thread_cpu(), waiting_to_run: run_delay() }
    }

    /// Time since the start, split.
    #[must_use]
    pub fn stop(self, batches: u64) -> WorkerTime {
        let on_cpu = thread_cpu().saturating_sub(self.on_cpu);
        let waiting_to_run = match (self.waiting_to_run, run_delay()) {
            (Some(before), Some(after)) => Some(after.saturating_sub(before)),
            _ => None,
        };
        let gone = on_cpu + waiting_to_run.unwrap_or_default();
        WorkerTime { on_cpu, waiting_to_run, blocked: self.start.elapsed().saturating_sub(gone), batches }
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Time this thread has waited for a core, if the kernel keeps it.
fn run_delay() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut fields = text.split_ascii_whitespace().map(str::parse::<u64>);
    let on_cpu = fields.next()?.ok()?;
    let delay = fields.next()?.ok()?;
    // A kernel without these statistics shows zeros for a thread that evidently ran.
    (on_cpu > 0).then(|| Duration::from_nanos(delay))
}
