//! The read pump: files in, raw batches of whole records to workers, results out.
//!
//! Inside a lock only bytes move; parsing, inflating, computing and deflating happen in the worker.
//! No Python here; signals are only decoded; used by `krill-map` and by the binding.

pub mod bam;
pub mod batch;
pub mod bgzf;
pub mod blow5;
pub mod blow5_record;
pub mod counters;
pub mod error;
pub mod fasta;
pub mod fastq;
pub mod interrupt;
pub mod line;
pub mod lock;
pub mod mod_tags;
pub mod numa;
pub mod padded;
pub mod parsing;
pub mod pump;
pub mod signals;
pub mod sink;
pub mod source;
pub mod split;
pub mod table;
pub mod vbz;

mod atomic;
mod blocks;
mod feed;
mod mates;
mod pairs;
mod relay;
mod stream;
mod text;

pub use batch::{Batch, Format, pair_name};
pub use counters::Site;
pub use error::{Error, Result};
pub use lock::LockKind;
pub use numa::Numa;
pub use parsing::Parsing;
pub use pump::{Report, Worker, run};
pub use sink::{Destination, FileDestination, Output, Sink};
pub use source::{Source, SourceSettings};
