//! Signal computation for native RNA reads.
//!
//! Arrays in, arrays out: no files, no Python, no global state. Called by the
//! `krill-binding` crate, which owns everything that knows of Python.

pub mod align;
pub mod codec;
pub mod cuda;
pub mod dtw;
pub mod error;
pub mod gain;
pub mod grid;
pub mod isa;
pub mod labelled;
mod lanes;
mod parallel;
pub mod pore_model;
pub mod ragged;
pub mod tables;

pub use error::{Error, Result};
pub use isa::Isa;
pub use parallel::Threads;
pub use ragged::Ragged;
