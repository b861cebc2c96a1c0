//! The compiled kernels, made by `kernels/compile.py`, and which of them a device takes.

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

/// Machine code by compute capability; it runs on later devices of the same major number.
const MACHINE_CODE: [((i32, i32), &[u8]); 6] = [
    ((7, 0), include_bytes!("../../kernels/built/dtw_sm_70.cubin")),
    ((7, 5), include_bytes!("../../kernels/built/dtw_sm_75.cubin")),
    ((8, 0), include_bytes!("../../kernels/built/dtw_sm_80.cubin")),
    ((9, 0), include_bytes!("../../kernels/built/dtw_sm_90.cubin")),
    ((10, 0), include_bytes!("../../kernels/built/dtw_sm_100.cubin")),
    ((12, 0), include_bytes!("../../kernels/built/dtw_sm_120.cubin")),
];

/// What the driver compiles for any other; ends in a zero.
const PTX: &[u8] = include_bytes!("../../kernels/built/dtw_compute_70.ptx");

/// Images for a device, best first.
fn images((major, minor): (i32, i32)) -> Vec<&'static [u8]> {
    let fits = |&&((m, n), _): &&((i32, i32), &'static [u8])| m == major && n <= minor;
    let own = MACHINE_CODE.iter().filter(fits).max_by_key(|&&(capability, _)| capability);
    own.map(|&(_, code)| code).into_iter().chain([PTX]).collect()
}

/// Load the first image that the driver takes, into the current context, for good.
pub(super) fn load(capability: (i32, i32)) -> Result<sys::CUmodule, DriverError> {
    let mut outcome = Err(DriverError(sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU));
    for image in images(capability) {
        // The driver reads headers of 8-byte fields: a copy that is aligned.
        let mut aligned = vec![0_u64; image.len().div_ceil(8)];
        for (word, bytes) in aligned.iter_mut().zip(image.chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(eight);
        }
        // SAFETY: a whole cubin, or PTX that ends in a zero; the driver copies what it keeps.
        outcome = unsafe { result::module::load_data(aligned.as_ptr().cast()) };
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the target line of PTX, or an ELF header of NVIDIA's, begins with.
    #[test]
    fn every_image_is_what_its_name_says() {
        for (capability, code) in MACHINE_CODE {
            assert_eq!(code[..4], *b"\x7fELF", "{capability:?}");
            assert_eq!(u16::from_le_bytes([code[18], code[19]]), 190, "{capability:?}: not for CUDA");
        }
        let text = std::str::from_utf8(PTX).unwrap_or_default();
        assert!(text.contains(".version 8.1") && text.contains(".target sm_70"));
        assert_eq!(PTX.last(), Some(&0));
    }

    #[test]
    fn a_device_gets_the_newest_code_of_its_kind_and_ptx_behind_it() {
        let code = |capability| MACHINE_CODE.iter().find(|(c, _)| *c == capability).map(|(_, code)| *code);
        for (device, expected) in [((7, 2), (7, 0)), ((7, 5), (7, 5)), ((8, 9), (8, 0)), ((12, 1), (12, 0))] {
            let found = images(device);
            assert_eq!((Some(found[0]), found[1]), (code(expected), PTX), "{device:?}");
        }
        assert_eq!(images((11, 0)), [PTX]);
    }

    #[test]
    fn every_image_holds_every_kernel() {
        for image in MACHINE_CODE.iter().map(|(_, code)| *code).chain([PTX]) {
            for kernel in crate::dtw::gpu::Kernel::ALL {
                let name = kernel.name().as_bytes();
                assert!(image.windows(name.len()).any(|part| part == name), "{}", kernel.name());
            }
        }
    }
}
