//! What can go wrong while reads are moved. Every message names the file.

use std::path::{Path, PathBuf};

use thiserror::Error as ThisError;

/// A file cannot be read or written, or is not what it should be.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The operating system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The content of a file is not what its format demands.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        problem: String,
        /// The command that mends it, if there is one.
        hint: Option<String>,
    },
    /// A setting has a value it cannot have here.
    #[error("{name}: {problem}")]
    Setting {
        /// The setting as the user knows it.
        name: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// Another worker failed first; its error is the one to report.
    #[error("stopped because another worker failed")]
    Stopped,
}

/// Result of the pump's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The content of `path` is wrong.
    pub fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.into(), hint: None }
    }

    /// The same error with the command that mends the file; other errors stay as they are.
    #[must_use]
    pub fn with_hint(mut self, command: String) -> Self {
        if let Self::Format { hint, .. } = &mut self {
            *hint = Some(command);
        }
        self
    }

    /// An operation on `path` failed; for `map_err`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// A setting cannot have this value.
    pub fn setting(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting { name, problem: problem.into() }
    }
}
