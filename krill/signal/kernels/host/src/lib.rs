//! The CUDA kernels as the host runs them: what the engine's tests launch in place of a GPU.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};

unsafe extern "C" {
    fn krill_host_launch(
        name: *const c_char,
        blocks: c_uint,
        threads: c_uint,
        memory: *mut c_uchar,
        batch: *const c_void,
    ) -> c_int;
    fn krill_host_sizes(sizes: *mut c_uint);
}

/// Run a kernel over `memory`; false if there is none of this name.
///
/// # Safety
/// `batch` must be the structure `Batch` of `batch.h`, and its offsets lie in `memory`, which is
/// aligned to 256 bytes.
pub unsafe fn launch(
    name: &CStr,
    blocks: u32,
    threads: u32,
    memory: &mut [u8],
    batch: *const c_void,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe { krill_host_launch(name.as_ptr(), blocks, threads, memory.as_mut_ptr(), batch) == 0 }
}

/// Sizes of the structures of `batch.h`, in its order, and its constants.
#[must_use]
pub fn layout() -> [u32; 9] {
    let mut sizes = [0; 9];
    // SAFETY: it writes nine numbers.
    unsafe { krill_host_sizes(sizes.as_mut_ptr()) };
    sizes
}
