//! The pump: source, lock, raw batch, worker, sink. Every stage that reads reads goes through it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::counters::{LockCount, Stopwatch, Turn, WorkerTime};
use crate::numa::{self, Numa};
use crate::sink::{Destination, Sink};
use crate::source::{Source, SourceWorker};
use crate::{Error, Result, interrupt};

/// What is done with each batch, outside all locks. One value per thread.
pub trait Worker<P> {
    /// Turn the records of `batch` into results, added to `out`.
    fn work(&mut self, batch: &Batch, out: &mut P) -> Result<()>;
}

impl<P, F: FnMut(&Batch, &mut P) -> Result<()>> Worker<P> for F {
    fn work(&mut self, batch: &Batch, out: &mut P) -> Result<()> {
        self(batch, out)
    }
}

/// What a run cost.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// From the start of the first worker to the end of the last.
    pub wall: Duration,
    /// Records (pairs, for two files) worked on.
    pub records: u64,
    /// Summed over the workers, one per [`crate::Site`].
    pub locks: [LockCount; 3],
    /// One per worker.
    pub workers: Vec<WorkerTime>,
}

impl Report {
    /// Add what another stage of the same run cost inside locks.
    pub fn add_locks(&mut self, other: &Self) {
        for (mine, theirs) in self.locks.iter_mut().zip(other.locks) {
            mine.add(theirs);
        }
    }
}

/// Run `threads` workers until the source is empty or one of them fails.
///
/// `make` is called on each worker's own thread. Of several errors the one of the earliest batch is
/// returned.
pub fn run<D, W, M>(
    source: &Source,
    sink: &Sink<D>,
    (threads, numa): (usize, Numa),
    make: M,
) -> Result<Report>
where
    D: Destination,
    W: Worker<D::Piece>,
    M: Fn(usize) -> Result<W> + Sync,
{
    let start = Instant::now();
    let nodes = numa::nodes();
    let stop = Stop { source, sink, is_stopped: AtomicBool::new(false), first: Mutex::new(None) };
    let done = std::thread::scope(|scope| {
        let (stop, nodes, make) = (&stop, &nodes, &make);
        let start_worker = |worker| {
            scope.spawn(move || {
                let _guard = StopOnPanic(stop);
                work_through(stop, worker, || {
                    let node = numa::place(numa, worker, nodes)?;
                    Ok((make(worker)?, Turn { worker, node, ..Turn::default() }))
                })
            })
        };
        let handles: Vec<_> = (0..threads).map(start_worker).collect();
        handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    if let Some((_, error)) = stop.first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut report = Report { wall: start.elapsed(), ..Report::default() };
    for (turn, time, records) in done.into_iter().flatten() {
        report.records += records;
        report.workers.push(time);
        for (sum, one) in report.locks.iter_mut().zip(turn.locks) {
            sum.add(one);
        }
    }
    Ok(report)
}

/// One worker's run from its first batch to its last.
fn work_through<D: Destination, W: Worker<D::Piece>>(
    stop: &Stop<'_, D>,
    worker: usize,
    make: impl FnOnce() -> Result<(W, Turn)>,
) -> Option<(Turn, WorkerTime, u64)> {
    let watch = Stopwatch::start();
    let (mut task, mut turn) = match make() {
        Ok(pair) => pair,
        Err(error) => {
            stop.with(worker as u64, error);
            return None;
        }
    };
    let (mut batch, mut state, mut out) =
        (stop.source.new_batch(), SourceWorker::default(), D::Piece::default());
    let (mut batches, mut records) = (0, 0);
    while !stop.is_stopped.load(Ordering::Relaxed) {
        if interrupt::is_asked() {
            stop.with(batch.order, Error::Stopped);
            return None;
        }
        let result = step(stop, &mut task, (&mut batch, &mut out), (&mut state, &mut turn));
        match result {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                stop.with(batch.order, error);
                return None;
            }
        }
        batches += 1;
        records += batch.len() as u64;
    }
    Some((turn, watch.stop(batches), records))
}

fn step<D: Destination, W: Worker<D::Piece>>(
    stop: &Stop<'_, D>,
    task: &mut W,
    (batch, out): (&mut Batch, &mut D::Piece),
    (state, turn): (&mut SourceWorker, &mut Turn),
) -> Result<bool> {
    if !stop.source.take(batch, state, turn)? {
        return Ok(false);
    }
    batch.parse()?;
    task.work(batch, out)?;
    stop.sink.put(batch.order, out, turn)?;
    Ok(true)
}

/// How a run ends early.
struct Stop<'a, D: Destination> {
    source: &'a Source,
    sink: &'a Sink<D>,
    is_stopped: AtomicBool,
    /// Error of the earliest batch so far.
    first: Mutex<Option<(u64, Error)>>,
}

impl<D: Destination> Stop<'_, D> {
    fn with(&self, order: u64, error: Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let is_consequence = matches!(error, Error::Stopped);
        if first.as_ref().is_none_or(|(earliest, known)| {
            matches!(known, Error::Stopped) || (!is_consequence && order < *earliest)
        }) {
            *first = Some((order, error));
        }
        drop(first);
        self.everyone();
    }

    fn everyone(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.source.stop();
        self.sink.stop();
    }
}

/// Lets no worker wait for one that panicked.
struct StopOnPanic<'a, 'b, D: Destination>(&'a Stop<'b, D>);

impl<D: Destination> Drop for StopOnPanic<'_, '_, D> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.everyone();
        }
    }
}
