//! Rows side by side.

use crate::{Error, Result};
use rayon::prelude::*;

/// Return `work(0)`, `work(1)`, ... in order. With one thread they run in the caller's: it may be
/// one of many, each with a call of its own. More are a pool of this call alone.
pub(crate) fn map_rows<T: Send>(
    rows: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync + Send,
) -> Result<Vec<T>> {
    if threads == 1 {
        return Ok((0..rows).map(work).collect());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| {
        Error::Argument { name: "threads", problem: format!("cannot be started: {error}") }
    })?;
    Ok(pool.install(|| (0..rows).into_par_iter().map(work).collect()))
}
