//! Devices taking matrices from one queue, each as much as its memory holds, several batches at a time:
//! while one is computed, others wait on the device, the next is packed and the last one's results are
//! read. Calls of several threads may use a device at once; its pool of memory lets none wait for
//! another in a ring.

use super::Gpus;
use super::batch::{Layout, Size};
use super::device::{Device, Slot};
use super::matrix::Matrix;
use super::pack::{Packed, Wanted};
use super::pool::{Held, Need};
use crate::parallel::Threads;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of the free memory, what is not planned with: the driver and other programs want some.
const KEPT_FREE: usize = 10; // one in so many
/// Batches in hand. A batch's last kernel may find no room until the pairs of those behind it, which fill
/// the device, are through; so late may the host know that it may pack again.
const IN_HAND: usize = 4;
/// A launch stays short: some twenty milliseconds. A small device may drive a screen too.
const MOST_CELLS_PER_MULTIPROCESSOR: u64 = 1_000_000_000;
/// A batch is no more than this share of a device's part of the work, so that packing and computing
/// overlap and no device waits for another's last batch; unless it would be fewer matrices than these.
const BATCHES_PER_DEVICE: usize = 4;
const FEW_MATRICES: usize = 16;
/// The first batch has so many matrices, each further one up to twice those before: the device begins
/// early, and is never done long before the next batch is packed.
const FIRST_MATRICES: usize = 4;
/// Windows are numbered, and samples counted, in 32 bits.
const MOST_SAMPLES: usize = u32::MAX as usize;

/// How much of each device a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Bytes of a device's memory that all who share it may use together; what is free if not given.
    pub limit_bytes: Option<usize>,
    /// Processes that share each device.
    pub sharers: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { limit_bytes: None, sharers: 1 }
    }
}

impl Share {
    /// Bytes for a call on a device with so many free.
    #[must_use]
    pub fn budget(&self, free: usize) -> usize {
        let usable = free - free / KEPT_FREE;
        usable.min(self.limit_bytes.unwrap_or(usize::MAX)) / self.sharers.max(1)
    }
}

/// Matrices that are not taken yet, made as they are taken.
struct Queue<M> {
    make: M,
    next: Mutex<usize>,
    n_matrices: usize,
    is_closed: AtomicBool,
}

impl<M> Queue<M> {
    /// Numbers of the next matrices; none if all are taken or a device has failed.
    fn take(&self, most: usize) -> Range<usize> {
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let most = if self.is_closed.load(Ordering::Relaxed) { 0 } else { most };
        let own = *next..(*next + most).min(self.n_matrices);
        *next = own.end;
        own
    }
}

/// Compute all matrices on these devices; `deliver` gets each with its results, in any order.
pub(super) fn serve<'a, D: Device>(
    gpus: &Gpus<'_, D>,
    wanted: Wanted,
    (n_matrices, make): (usize, impl Fn(usize) -> Matrix<'a> + Sync),
    deliver: &(impl Fn(&Matrix<'_>, &[f32]) + Sync),
) -> Result<()> {
    let &Gpus { devices, share, ref threads } = gpus;
    let queue = Queue { make, next: Mutex::new(0), n_matrices, is_closed: AtomicBool::new(false) };
    let most_matrices = n_matrices.div_ceil(BATCHES_PER_DEVICE * devices.len().max(1)).max(FEW_MATRICES);
    let one = |device: &D| {
        let done = device.memory().and_then(|memory| {
            let mut worker = Worker {
                device,
                queue: &queue,
                threads,
                wanted,
                next_matrices: FIRST_MATRICES.min(most_matrices),
                most_matrices,
                budget: share.budget(memory.free + device.pool().allocated()),
                waiting: Vec::new(),
            };
            let done = worker.run(deliver);
            device.pool().trim(worker.budget);
            done
        });
        if done.is_err() {
            queue.is_closed.store(true, Ordering::Relaxed);
        }
        done
    };
    if let [device] = devices {
        return one(device);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = devices.iter().map(|device| scope.spawn(|| one(device))).collect();
        let outcomes = threads.into_iter().map(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        outcomes.collect::<Vec<_>>().into_iter().collect()
    })
}

/// One device's part of the work.
struct Worker<'q, 'a, D: Device, M> {
    device: &'q D,
    queue: &'q Queue<M>,
    threads: &'q Threads,
    wanted: Wanted,
    /// Of the next batch, at most.
    next_matrices: usize,
    /// Of any batch.
    most_matrices: usize,
    /// Bytes of this process on the device.
    budget: usize,
    /// Taken from the queue and not computed yet; the last is next.
    waiting: Vec<Matrix<'a>>,
}

/// A batch in the works.
struct InFlight<'p, 'a, S: Slot> {
    slot: Held<'p, S>,
    packed: Packed<'a>,
}

impl<'q, 'a, D: Device, M: Fn(usize) -> Matrix<'a> + Sync> Worker<'q, 'a, D, M> {
    fn run(&mut self, deliver: &(impl Fn(&Matrix<'_>, &[f32]) + Sync)) -> Result<()> {
        let mut flying: VecDeque<InFlight<'q, 'a, D::Slot>> = VecDeque::with_capacity(IN_HAND);
        let mut was_halved = false;
        while let Some(packed) = self.next_batch() {
            let n_bytes = packed.layout.n_bytes;
            if n_bytes > self.budget {
                let problem =
                    format!("one position needs {n_bytes} bytes of its memory; {} may be used", self.budget);
                return Err(Error::DeviceMemory { device: self.device.name().to_owned(), problem });
            }
            // Should others have the rest, or this batch need it all: wait with nothing in hand.
            match self.slot(n_bytes, || land_all(&mut flying, deliver)) {
                Ok(slot) => {
                    flying.push_back(self.start(slot, packed)?);
                    if flying.len() == IN_HAND {
                        flying.pop_front().map_or(Ok(()), |first| land(first, deliver))?;
                    }
                    self.next_matrices = (2 * self.next_matrices).min(self.most_matrices);
                }
                Err(Error::DeviceMemory { .. }) if !was_halved => {
                    was_halved = true;
                    self.budget /= 2;
                    land_all(&mut flying, deliver)?;
                    self.waiting.extend(packed.matrices.into_iter().rev());
                }
                Err(error) => return Err(error),
            }
        }
        land_all(&mut flying, deliver)
    }

    /// As many matrices as this batch's share of the budget holds, at least one.
    fn next_batch(&mut self) -> Option<Packed<'a>> {
        let mut matrices: Vec<Matrix<'a>> = Vec::new();
        let mut size = Size::default();
        while let Some(matrix) = self.next_matrix() {
            let larger = size.plus(matrix.size);
            if !matrices.is_empty() && (matrices.len() >= self.next_matrices || !self.fits(&larger)) {
                self.waiting.push(matrix);
                break;
            }
            size = larger;
            matrices.push(matrix);
        }
        (!matrices.is_empty()).then(|| Packed::new(matrices, self.wanted, self.device.multiprocessors()))
    }

    fn next_matrix(&mut self) -> Option<Matrix<'a>> {
        if self.waiting.is_empty() {
            let own = self.queue.take(self.next_matrices);
            self.waiting = self.threads.map(own.len(), |k| (self.queue.make)(own.start + k));
            self.waiting.reverse();
        }
        self.waiting.pop()
    }

    fn fits(&self, size: &Size) -> bool {
        let Wanted { options, finish } = self.wanted;
        let multiprocessors = self.device.multiprocessors();
        let most_cells = u64::from(multiprocessors) * MOST_CELLS_PER_MULTIPROCESSOR;
        let layout = Layout::new(size, finish.n_numbers(), options, multiprocessors);
        layout.n_bytes <= self.budget / IN_HAND && size.cells <= most_cells && size.samples <= MOST_SAMPLES
    }

    /// Memory of at least this size, if need be once others have given it back.
    fn slot(&self, n_bytes: usize, lets_go: impl FnOnce() -> Result<()>) -> Result<Held<'q, D::Slot>> {
        // A quarter more, so that the next batches fit too.
        let roomy = (n_bytes + n_bytes / 4).min(self.budget / IN_HAND).max(n_bytes);
        let need = Need { n_bytes, roomy, budget: self.budget };
        self.device.pool().take(need, |bytes| self.device.slot(bytes), lets_go)
    }

    fn start(&self, mut slot: Held<'q, D::Slot>, packed: Packed<'a>) -> Result<InFlight<'q, 'a, D::Slot>> {
        let n_sent = packed.layout.n_sent;
        packed.write(slot.staging(n_sent)?, self.threads);
        let launches = packed.launches(self.device.multiprocessors());
        slot.start(n_sent, &launches, &packed.layout.batch, packed.results())?;
        Ok(InFlight { slot, packed })
    }
}

/// Wait for a batch, hand out its results, give its slot back.
fn land<S: Slot>(batch: InFlight<'_, '_, S>, deliver: &(impl Fn(&Matrix<'_>, &[f32]) + Sync)) -> Result<()> {
    let InFlight { mut slot, packed } = batch;
    packed.deliver(slot.finish()?, deliver);
    slot.keep();
    Ok(())
}

fn land_all<S: Slot>(
    flying: &mut VecDeque<InFlight<'_, '_, S>>,
    deliver: &(impl Fn(&Matrix<'_>, &[f32]) + Sync),
) -> Result<()> {
    flying.drain(..).try_for_each(|batch| land(batch, deliver))
}
