//! What a batch needs of a device, so that tests can stand in for one.

use super::batch::Batch;
use super::pool::Pool;
use crate::Result;

/// Bytes of a device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Not in use by anyone.
    pub free: usize,
    /// In all.
    pub total: usize,
}

/// A kernel of `kernels/dtw.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Lay windows side by side.
    Columns,
    /// Pairs of up to 1,000 samples, squared cost, closed ends.
    Pairs,
    /// The same, any cost and ends.
    PairsGeneral,
    /// Pairs with a longer window.
    PairsWide,
    /// Leading eigenvector of each position.
    Axis,
    /// Places along it.
    Place,
    /// Mean, median, number, nearest.
    Summary,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Columns,
        Self::Pairs,
        Self::PairsGeneral,
        Self::PairsWide,
        Self::Axis,
        Self::Place,
        Self::Summary,
    ];

    /// Name in the compiled module.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Columns => "dtw_columns",
            Self::Pairs => "dtw_pairs",
            Self::PairsGeneral => "dtw_pairs_general",
            Self::PairsWide => "dtw_pairs_wide",
            Self::Axis => "dtw_axis",
            Self::Place => "dtw_place",
            Self::Summary => "dtw_summary",
        }
    }
}

/// A kernel with the size of its grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Which.
    pub kernel: Kernel,
    /// Blocks.
    pub blocks: u32,
    /// Threads of a block.
    pub threads: u32,
}

/// Where batches are computed; several calls at once may.
pub trait Device: Sync {
    /// Memory on it for a batch.
    type Slot: Slot;

    /// Name as the caller knows it.
    fn name(&self) -> &str;

    /// Its memory, now.
    fn memory(&self) -> Result<Memory>;

    /// Processors that run blocks side by side.
    fn multiprocessors(&self) -> u32;

    /// Allocate; [`crate::Error::DeviceMemory`] if there is no room.
    fn slot(&self, bytes: usize) -> Result<Self::Slot>;

    /// What is allocated.
    fn pool(&self) -> &Pool<Self::Slot>;
}

/// Memory for one batch, on the device and beside it, and an order of work of its own.
pub trait Slot {
    /// Bytes on the device.
    fn bytes(&self) -> usize;

    /// Host memory of at least this size, from which `start` sends.
    fn staging(&mut self, bytes: usize) -> Result<&mut [u8]>;

    /// Send the first `n_sent` bytes of the staging, launch, fetch `results` (start and length on the
    /// device); return at once.
    fn start(
        &mut self,
        n_sent: usize,
        launches: &[Launch],
        batch: &Batch,
        results: (usize, usize),
    ) -> Result<()>;

    /// Wait for the results.
    fn finish(&mut self) -> Result<&[u8]>;
}
