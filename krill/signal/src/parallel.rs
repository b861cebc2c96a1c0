//! Rows side by side.

use crate::{Error, Result};
use rayon::prelude::*;

/// Threads of one call. A single one is the caller's: it may be one of many, each with a call of its
/// own. More are a pool of this call alone.
pub struct Threads(Option<rayon::ThreadPool>);

impl Threads {
    /// The caller's alone.
    pub const CALLER: Self = Self(None);

    /// So many, at least 1.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        if threads == 1 {
            return Ok(Self::CALLER);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| {
            Error::Argument { name: "threads", problem: format!("cannot be started: {error}") }
        })?;
        Ok(Self(Some(pool)))
    }

    /// Return `work(0)`, `work(1)`, ... in order.
    pub(crate) fn map<T: Send>(&self, rows: usize, work: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        match &self.0 {
            None => (0..rows).map(work).collect(),
            Some(pool) => pool.install(|| (0..rows).into_par_iter().map(work).collect()),
        }
    }

    /// Do every job.
    pub(crate) fn for_each<J: Send>(&self, jobs: Vec<J>, work: impl Fn(J) + Sync + Send) {
        match &self.0 {
            None => jobs.into_iter().for_each(work),
            Some(pool) => pool.install(|| jobs.into_par_iter().for_each(work)),
        }
    }
}

/// Return `work(0)`, `work(1)`, ... in order, on so many threads.
pub(crate) fn map_rows<T: Send>(
    rows: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync + Send,
) -> Result<Vec<T>> {
    Ok(Threads::new(threads)?.map(rows, work))
}
