//! A device made of host memory and the kernels compiled for the host.

use krill_signal::dtw::gpu::{Batch, Device, Kernel, Launch, Memory, Pool, Slot};
use krill_signal::{Error, Result};
use std::ffi::CString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory as the device would have it: its start is aligned.
#[repr(align(256))]
#[derive(Clone, Copy)]
struct Line(#[expect(dead_code, reason = "seen as bytes")] [u8; 256]);

/// What happened on a device.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) n_allocations: AtomicUsize,
    pub(crate) n_batches: AtomicUsize,
    /// Batches that were started and not waited for.
    pub(crate) in_hand: AtomicUsize,
    pub(crate) most_in_hand: AtomicUsize,
    pub(crate) in_use: AtomicUsize,
    pub(crate) most_in_use: AtomicUsize,
    pub(crate) launches: Mutex<Vec<Launch>>,
}

pub(crate) struct Fake {
    pub(crate) total: usize,
    /// Allocations that are refused, whatever their size.
    pub(crate) n_refused: AtomicUsize,
    pub(crate) record: &'static Record,
    pool: Pool<FakeSlot>,
}

impl Fake {
    pub(crate) fn new(total: usize) -> Self {
        let record: &'static Record = Box::leak(Box::default());
        Self { total, n_refused: AtomicUsize::new(0), record, pool: Pool::default() }
    }

    pub(crate) fn launched(&self, kernel: Kernel) -> bool {
        self.record.launches.lock().unwrap().iter().any(|launch| launch.kernel == kernel)
    }
}

impl Device for Fake {
    type Slot = FakeSlot;

    fn name(&self) -> &'static str {
        "fake:0"
    }

    fn memory(&self) -> Result<Memory> {
        let free = self.total - self.record.in_use.load(Ordering::SeqCst);
        Ok(Memory { free, total: self.total })
    }

    fn multiprocessors(&self) -> u32 {
        2
    }

    fn slot(&self, bytes: usize) -> Result<FakeSlot> {
        let refuses =
            self.n_refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        let in_use = self.record.in_use.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if refuses || in_use > self.total {
            self.record.in_use.fetch_sub(bytes, Ordering::SeqCst);
            let problem = format!("cannot allocate {bytes} bytes");
            return Err(Error::DeviceMemory { device: self.name().to_owned(), problem });
        }
        self.record.n_allocations.fetch_add(1, Ordering::SeqCst);
        self.record.most_in_use.fetch_max(in_use, Ordering::SeqCst);
        // What was there before: signalling patterns, so that reading what nobody wrote shows.
        let lines = vec![Line([0xff; 256]); bytes.div_ceil(256)];
        Ok(FakeSlot { lines, bytes, staging: Vec::new(), results: Vec::new(), record: self.record })
    }

    fn pool(&self) -> &Pool<FakeSlot> {
        &self.pool
    }
}

pub(crate) struct FakeSlot {
    lines: Vec<Line>,
    bytes: usize,
    staging: Vec<u8>,
    results: Vec<u8>,
    record: &'static Record,
}

impl FakeSlot {
    fn memory(&mut self) -> &mut [u8] {
        // SAFETY: a line is 256 bytes, and nothing else.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.bytes) }
    }
}

impl Drop for FakeSlot {
    fn drop(&mut self) {
        self.record.in_use.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Slot for FakeSlot {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn staging(&mut self, bytes: usize) -> Result<&mut [u8]> {
        self.staging.resize(bytes, 0xff);
        Ok(&mut self.staging)
    }

    fn start(
        &mut self,
        n_sent: usize,
        launches: &[Launch],
        batch: &Batch,
        (start, length): (usize, usize),
    ) -> Result<()> {
        self.record.n_batches.fetch_add(1, Ordering::SeqCst);
        let in_hand = self.record.in_hand.fetch_add(1, Ordering::SeqCst) + 1;
        self.record.most_in_hand.fetch_max(in_hand, Ordering::SeqCst);
        let sent = std::mem::take(&mut self.staging);
        self.memory()[..n_sent].copy_from_slice(&sent[..n_sent]);
        for launch in launches {
            assert!(launch.blocks > 0 && launch.threads > 0, "{launch:?}");
            self.record.launches.lock().unwrap().push(*launch);
            let name = CString::new(launch.kernel.name()).unwrap();
            let batch = std::ptr::from_ref(batch).cast();
            // SAFETY: the structure is the kernels' own (a test compares), the engine laid out the offsets.
            let found = unsafe {
                krill_host_kernels::launch(&name, launch.blocks, launch.threads, self.memory(), batch)
            };
            assert!(found, "no kernel {name:?}");
        }
        self.results = self.memory()[start..start + length].to_vec();
        Ok(())
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.record.in_hand.fetch_sub(1, Ordering::SeqCst);
        Ok(&self.results)
    }
}
