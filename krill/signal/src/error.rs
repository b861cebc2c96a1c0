//! The one error type of the engine. Messages carry the values at fault.

use thiserror::Error as ThisError;

/// What can be wrong with the arrays handed to the engine.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// Offsets of a ragged array do not describe its values.
    #[error("offsets {problem}")]
    Offsets {
        /// What is wrong, with the values at fault.
        problem: String,
    },
    /// An argument has a value outside its range.
    #[error("{name} {problem}")]
    Argument {
        /// Name of the argument as the caller knows it.
        name: &'static str,
        /// What is wrong, with the value at fault.
        problem: String,
    },
    /// A device cannot be used.
    #[error("device {device}: {problem}")]
    Device {
        /// Name of the device.
        device: String,
        /// Why not.
        problem: String,
    },
    /// A device has too little memory.
    #[error("device {device}: {problem}")]
    DeviceMemory {
        /// Name of the device.
        device: String,
        /// What was needed, and what there is.
        problem: String,
    },
}

/// Result of the engine's functions.
pub type Result<T> = std::result::Result<T, Error>;
