//! Windows of many positions as intervals of one signal: checked once, handed out by position.

use crate::parallel::Threads;
use crate::{Error, Result};

/// Windows of many positions as intervals of one signal.
#[derive(Debug, Clone, Copy)]
pub struct Positions<'a> {
    /// Signal that all windows lie in.
    pub signal: &'a [f32],
    /// First sample of each window.
    pub start: &'a [i64],
    /// One past the last sample of each window.
    pub end: &'a [i64],
    /// Windows of position `p` are `offsets[p]..offsets[p + 1]`.
    pub offsets: &'a [i64],
}

/// One position: its windows, what the caller says of each, and room for the results of each.
pub(super) struct Position<'a, L> {
    pub(super) windows: &'a [&'a [f32]],
    pub(super) labels: &'a [L],
    pub(super) results: &'a mut [f32],
}

impl<'a> Positions<'a> {
    /// Check every window and return them as slices.
    pub(super) fn windows(&self) -> Result<Vec<&'a [f32]>> {
        let windows = self.intervals()?;
        super::check("window", &windows, &Threads::CALLER)?;
        Ok(windows)
    }

    /// The windows as slices, of which any may be empty or hold what is no number.
    pub(super) fn intervals(&self) -> Result<Vec<&'a [f32]>> {
        let slices = self.start.iter().zip(self.end).enumerate().map(|(i, (&start, &end))| {
            let inside = 0 <= start && start <= end && end <= self.signal.len() as i64;
            if inside {
                return Ok(&self.signal[start as usize..end as usize]);
            }
            let problem =
                format!("[{i}] is {start}..{end}, not an interval of {} samples", self.signal.len());
            Err(Error::Argument { name: "window", problem })
        });
        slices.collect()
    }

    /// Cut windows, labels and results (`width` per window) at the positions.
    pub(super) fn cut<'b, L>(
        &self,
        windows: &'b [&'b [f32]],
        labels: &'b [L],
        mut results: &'b mut [f32],
        width: usize,
    ) -> Vec<Position<'b, L>> {
        let mut positions = Vec::with_capacity(self.offsets.len());
        for pair in self.offsets.windows(2) {
            let own = pair[0] as usize..pair[1] as usize;
            let (first, rest) = results.split_at_mut(own.len() * width);
            results = rest;
            positions.push(Position { windows: &windows[own.clone()], labels: &labels[own], results: first });
        }
        positions
    }
}
