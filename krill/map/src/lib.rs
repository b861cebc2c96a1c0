//! Read alignment on the pump: minimap2 in process, other engines as fed children; sorted BAM out.
//!
//! minimap2 is bound as a C library; all `unsafe` is in `index`, `mapper` and three reads of hits in
//! `record`. No Python here; used by the binding.

pub mod align;
pub mod children;
pub mod header;
pub mod index;

mod mapper;
mod merge;
mod read;
mod record;
mod sort;
mod tags;

pub use align::{AlignReport, AlignSettings, align};
pub use header::Program;
pub use index::{Index, Preset, minimap2_version};
