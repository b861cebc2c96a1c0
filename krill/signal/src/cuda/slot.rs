//! Memory for one batch and a stream of work: what is started runs while the host does other things.

use super::Cuda;
use crate::Result;
use crate::dtw::gpu::{Batch, Launch, Slot};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use std::ffi::c_void;
use std::sync::Arc;

/// Device memory, its stream, and host memory that the device reads and writes by itself. One thread at
/// a time uses it; which one may change.
pub struct CudaSlot {
    cuda: Arc<Cuda>,
    memory: sys::CUdeviceptr,
    n_bytes: usize,
    stream: sys::CUstream,
    staging: Pinned,
    results: Pinned,
    n_results: usize,
}

// SAFETY: addresses and handles of the context, which any thread may use that makes it current, as every
// method does.
unsafe impl Send for CudaSlot {}

/// Host memory that stays where it is; empty until it is needed.
struct Pinned {
    start: *mut u8,
    length: usize,
}

impl Pinned {
    const EMPTY: Self = Self { start: std::ptr::null_mut(), length: 0 };

    fn grow(&mut self, length: usize) -> std::result::Result<(), DriverError> {
        if length <= self.length {
            return Ok(());
        }
        self.free();
        let roomy = length + length / 4;
        // SAFETY: the context is current; the memory is ours until `free`.
        let start: *mut u8 = unsafe { result::malloc_host(roomy, 0) }?.cast();
        // SAFETY: so many bytes were allocated; they are never read before they are written otherwise.
        unsafe { start.write_bytes(0, roomy) };
        *self = Self { start, length: roomy };
        Ok(())
    }

    fn bytes(&mut self, length: usize) -> &mut [u8] {
        if length == 0 {
            return &mut [];
        }
        assert!(length <= self.length, "pinned memory was not grown");
        // SAFETY: allocated and initialised by `grow`, and borrowed from `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start, length) }
    }

    fn free(&mut self) {
        if !self.start.is_null() {
            // SAFETY: from `malloc_host`, freed once. An error can only repeat an earlier one of the
            // context, which was reported.
            let _ = unsafe { result::free_host(self.start.cast()) };
            *self = Self::EMPTY;
        }
    }
}

impl CudaSlot {
    pub(super) fn new(cuda: Arc<Cuda>, n_bytes: usize) -> Result<Self> {
        cuda.enter()?;
        let kind = result::stream::StreamKind::NonBlocking;
        let stream = result::stream::create(kind).map_err(|error| cuda.failed(error, "making a stream"))?;
        // SAFETY: the kernels write what they read, after the copy of the rest.
        match unsafe { result::malloc_sync(n_bytes.max(1)) } {
            Ok(memory) => {
                let (staging, results) = (Pinned::EMPTY, Pinned::EMPTY);
                Ok(Self { cuda, memory, n_bytes, stream, staging, results, n_results: 0 })
            }
            Err(error) => {
                // SAFETY: made above and unused. The allocation's error is the one that counts.
                let _ = unsafe { result::stream::destroy(stream) };
                Err(cuda.failed(error, &format!("allocating {n_bytes} bytes")))
            }
        }
    }

    fn send_and_launch(
        &mut self,
        n_sent: usize,
        launches: &[Launch],
        batch: &Batch,
        (start, length): (usize, usize),
    ) -> std::result::Result<(), DriverError> {
        self.results.grow(length)?;
        self.n_results = length;
        let staging = &*self.staging.bytes(n_sent);
        // SAFETY: the slot is used by one batch at a time, whose end `finish` waits for, as does `drop`.
        unsafe { result::memcpy_htod_async(self.memory, staging, self.stream)? };
        let (mut memory, mut batch) = (self.memory, *batch);
        for launch in launches {
            let mut arguments: [*mut c_void; 2] = [(&raw mut memory).cast(), (&raw mut batch).cast()];
            let (blocks, threads) = ((launch.blocks, 1, 1), (launch.threads, 1, 1));
            let function = self.cuda.function(launch.kernel);
            // SAFETY: the arguments are those of every kernel; the driver copies them during the call.
            unsafe { result::launch_kernel(function, blocks, threads, 0, self.stream, &mut arguments)? };
        }
        let results = self.results.bytes(length);
        // SAFETY: as for the first copy; the layout put the results inside the memory.
        unsafe { result::memcpy_dtoh_async(results, self.memory + start as u64, self.stream) }
    }
}

impl Slot for CudaSlot {
    fn bytes(&self) -> usize {
        self.n_bytes
    }

    fn staging(&mut self, bytes: usize) -> Result<&mut [u8]> {
        self.cuda.enter()?;
        self.staging.grow(bytes).map_err(|error| self.cuda.failed(error, "allocating host memory"))?;
        Ok(self.staging.bytes(bytes))
    }

    fn start(
        &mut self,
        n_sent: usize,
        launches: &[Launch],
        batch: &Batch,
        results: (usize, usize),
    ) -> Result<()> {
        self.cuda.enter()?;
        let started = self.send_and_launch(n_sent, launches, batch, results);
        started.map_err(|error| self.cuda.failed(error, "starting a batch"))
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.cuda.enter()?;
        // SAFETY: the stream is ours.
        let done = unsafe { result::stream::synchronize(self.stream) };
        done.map_err(|error| self.cuda.failed(error, "computing a batch"))?;
        Ok(self.results.bytes(self.n_results))
    }
}

impl Drop for CudaSlot {
    fn drop(&mut self) {
        if self.cuda.enter().is_err() {
            return; // the context is gone, and its memory with it
        }
        // SAFETY: made in `new` and freed once, after the last batch has ended. Errors can only repeat an
        // earlier one of the context, which was reported.
        unsafe {
            let _ = result::stream::synchronize(self.stream);
            let _ = result::memory_free(self.memory);
            let _ = result::stream::destroy(self.stream);
        }
        self.staging.free();
        self.results.free();
    }
}
