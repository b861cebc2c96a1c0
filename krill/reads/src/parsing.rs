//! How much of the work of reading is done inside the lock: the names of the strategies.

use std::str::FromStr;

use crate::{Error, Result};

/// Parsing strategy; O, D, B and L are those of Langmead et al. 2019, K and A are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsing {
    /// O: read and parse one read inside the lock.
    Original,
    /// D: copy one read until its fourth line end, parse outside.
    Deferred,
    /// B: the same for as many reads as fill a batch.
    Batch,
    /// L: read blocks of a padded file, which all hold the same number of whole reads.
    Block,
    /// K: one large read of an ordinary file; what follows the last record start is kept for the next.
    Chunk,
    /// A: no lock; an atomic counter hands out cuts of the file, workers find the records around them.
    Atomic,
}

impl Parsing {
    /// All strategies, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Original, Self::Deferred, Self::Batch, Self::Block, Self::Chunk, Self::Atomic];

    /// The letter of the documentation.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Original => 'O',
            Self::Deferred => 'D',
            Self::Batch => 'B',
            Self::Block => 'L',
            Self::Chunk => 'K',
            Self::Atomic => 'A',
        }
    }

    /// The strategy of a letter; `None` stands for `auto`.
    pub fn from_name(name: &str) -> Result<Option<Self>> {
        if name == "auto" { Ok(None) } else { name.parse().map(Some) }
    }
}

impl FromStr for Parsing {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|parsing| name == parsing.letter().to_string());
        found.ok_or_else(|| {
            Error::setting("--parsing", format!("{name:?} is not one of auto, O, D, B, L, K, A"))
        })
    }
}
