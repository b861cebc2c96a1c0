//! NVIDIA GPUs through the driver's own interface, opened at run time: without a driver nothing
//! happens, and a probe says why nothing can be used.
//!
//! The compiled kernels are part of the library: machine code per architecture, and PTX that the
//! driver compiles for any other. A device is opened once per process.

mod image;
mod slot;

use crate::dtw::gpu::{Device, Kernel, Memory, Pool};
use crate::{Error, Result};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use slot::CudaSlot;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// CUDA 12.1: its PTX is what the kernels are shipped in.
const OLDEST_DRIVER: i32 = 12_010;
/// What the kernels are compiled for, at least.
const OLDEST_CAPABILITY: (i32, i32) = (7, 0);
/// With less free memory a device is not worth using.
const LEAST_FREE: usize = 256 << 20;

/// A GPU that the driver knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Number, as the driver counts.
    pub ordinal: i32,
    /// The maker's name.
    pub model: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// Memory; nothing if the device cannot be opened.
    pub memory: Option<Memory>,
    /// Why it cannot be used, if so.
    pub problem: Option<String>,
}

/// The GPUs of this machine, or why there are none.
pub fn probe() -> std::result::Result<Vec<Gpu>, String> {
    start_driver()?;
    let n = result::device::get_count().map_err(|error| text(error, "counting devices"))?;
    if n == 0 {
        return Err("the driver finds no GPU".to_owned());
    }
    Ok((0..n).map(examine).collect())
}

/// Find the library, initialise it, check its age; once.
fn start_driver() -> std::result::Result<(), String> {
    static STARTED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let start = || {
        // SAFETY: opening a library runs its initialisers; the driver's are meant for it.
        if !unsafe { sys::is_culib_present() } {
            return Err("libcuda is not there: no NVIDIA driver is installed".to_owned());
        }
        result::init().map_err(|error| text(error, "starting the driver"))?;
        let mut version = 0;
        // SAFETY: the library is present, and writes one number.
        let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
        status.result().map_err(|error| text(error, "asking the driver's version"))?;
        let shown = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
        if version < OLDEST_DRIVER {
            let (found, needed) = (shown(version), shown(OLDEST_DRIVER));
            return Err(format!("the driver knows CUDA {found}; {needed} or later is needed"));
        }
        Ok(())
    };
    STARTED.get_or_init(start).clone()
}

/// Ask the driver about one device.
fn examine(ordinal: i32) -> Gpu {
    let (model, capability) = match describe(ordinal) {
        Ok(described) => described,
        Err(error) => {
            let problem = Some(text(error, "describing the device"));
            return Gpu { ordinal, model: "unknown".to_owned(), capability: (0, 0), memory: None, problem };
        }
    };
    let mut gpu = Gpu { ordinal, model, capability, memory: None, problem: None };
    if capability < OLDEST_CAPABILITY {
        let ((major, minor), (least, _)) = (capability, OLDEST_CAPABILITY);
        gpu.problem =
            Some(format!("its compute capability is {major}.{minor}; {least}.0 or later is needed"));
        return gpu;
    }
    match open(ordinal).and_then(|cuda| cuda.memory()) {
        Ok(memory) if memory.free < LEAST_FREE => {
            gpu.problem = Some(format!("only {} MiB of its memory are free", memory.free >> 20));
            gpu.memory = Some(memory);
        }
        Ok(memory) => gpu.memory = Some(memory),
        Err(Error::Device { problem, .. } | Error::DeviceMemory { problem, .. }) => {
            gpu.problem = Some(problem);
        }
        Err(other) => gpu.problem = Some(other.to_string()),
    }
    gpu
}

fn describe(ordinal: i32) -> std::result::Result<(String, (i32, i32)), DriverError> {
    use sys::CUdevice_attribute as Attribute;
    let device = result::device::get(ordinal)?;
    // SAFETY: the device is the driver's.
    let ask = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let major = ask(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = ask(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok((result::device::get_name(device)?, (major, minor)))
}

fn text(error: DriverError, doing: &str) -> String {
    let name = error.error_name().map_or("an unknown error".into(), |name| name.to_string_lossy());
    format!("{doing}: {name}")
}

/// An opened device.
pub struct Cuda {
    name: String,
    context: Context,
    functions: Vec<Function>,
    multiprocessors: u32,
    pool: Pool<CudaSlot>,
}

struct Context(sys::CUcontext);
// SAFETY: a context may be used by any thread that makes it current; the driver locks what it shares.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

struct Function(sys::CUfunction);
// SAFETY: a function is a constant of its module, which is never unloaded.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// Open a device, or return the one that is open already.
fn open(ordinal: i32) -> Result<Arc<Cuda>> {
    static OPENED: Mutex<BTreeMap<i32, Arc<Cuda>>> = Mutex::new(BTreeMap::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cuda) = opened.get(&ordinal) {
        return Ok(cuda.clone());
    }
    let cuda = Arc::new(Cuda::open(ordinal)?);
    opened.insert(ordinal, cuda.clone());
    Ok(cuda)
}

/// Open these devices, or return those that are open already.
pub fn open_all(ordinals: &[i32]) -> Result<Vec<Arc<Cuda>>> {
    let mut ordinals = ordinals.to_vec();
    ordinals.sort_unstable();
    ordinals.dedup();
    ordinals.into_iter().map(open).collect()
}

impl Cuda {
    fn open(ordinal: i32) -> Result<Self> {
        let name = format!("cuda:{ordinal}");
        let unusable = |problem: String| Error::Device { device: name.clone(), problem };
        start_driver().map_err(unusable)?;
        let failed = |doing: &str| {
            let name = name.clone();
            let doing = doing.to_owned();
            move |error| driver_error(&name, error, &doing)
        };
        let n = result::device::get_count().map_err(failed("counting devices"))?;
        if !(0..n).contains(&ordinal) {
            return Err(unusable(format!("there are {n} GPUs, numbered from 0")));
        }
        let device = result::device::get(ordinal).map_err(failed("getting the device"))?;
        let (_, capability) = describe(ordinal).map_err(failed("describing the device"))?;
        let multiprocessors = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        // SAFETY: the device is the driver's.
        let multiprocessors = unsafe { result::device::get_attribute(device, multiprocessors) };
        // SAFETY: as above; it is never released, as the process keeps the device.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(failed("opening the device"))?;
        // SAFETY: the context was retained just now.
        unsafe { result::ctx::set_current(context) }.map_err(failed("using the device"))?;
        let module = image::load(capability).map_err(failed("loading the kernels"))?;
        let function = |kernel: Kernel| {
            let name = CString::new(kernel.name()).unwrap_or_default();
            // SAFETY: the module was loaded just now.
            unsafe { result::module::get_function(module, name) }.map(Function)
        };
        let functions = Kernel::ALL.into_iter().map(function).collect::<std::result::Result<_, _>>();
        Ok(Self {
            functions: functions.map_err(failed("finding the kernels"))?,
            multiprocessors: multiprocessors.map_err(failed("describing the device"))?.unsigned_abs(),
            context: Context(context),
            pool: Pool::default(),
            name,
        })
    }

    /// Make the context that of this thread.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context is retained for the life of the process.
        unsafe { result::ctx::set_current(self.context.0) }
            .map_err(|error| self.failed(error, "using the device"))
    }

    fn function(&self, kernel: Kernel) -> sys::CUfunction {
        self.functions[kernel as usize].0
    }

    fn failed(&self, error: DriverError, doing: &str) -> Error {
        driver_error(&self.name, error, doing)
    }
}

fn driver_error(device: &str, error: DriverError, doing: &str) -> Error {
    let (device, problem) = (device.to_owned(), text(error, doing));
    match error.0 {
        sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => Error::DeviceMemory { device, problem },
        _ => Error::Device { device, problem },
    }
}

impl Device for Arc<Cuda> {
    type Slot = CudaSlot;

    fn name(&self) -> &str {
        &self.name
    }

    fn memory(&self) -> Result<Memory> {
        self.enter()?;
        let (free, total) =
            result::mem_get_info().map_err(|error| self.failed(error, "asking for its memory"))?;
        Ok(Memory { free, total })
    }

    fn multiprocessors(&self) -> u32 {
        self.multiprocessors
    }

    fn slot(&self, bytes: usize) -> Result<CudaSlot> {
        CudaSlot::new(self.clone(), bytes)
    }

    fn pool(&self) -> &Pool<CudaSlot> {
        &self.pool
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn probing_never_panics_and_says_why_a_device_cannot_be_had() {
        match probe() {
            Ok(gpus) => assert!(!gpus.is_empty()),
            Err(problem) => {
                assert!(problem.contains("driver"), "{problem}");
                let error = open_all(&[0]).err().unwrap();
                assert_eq!(error.to_string(), format!("device cuda:0: {problem}"));
            }
        }
    }
}
