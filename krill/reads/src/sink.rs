//! Where results go: one destination, several stripes, a slice per worker, or in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::counters::{Site, Turn};
use crate::lock::{LockKind, Locked};
use crate::{Error, Result};

/// Batches that may be finished ahead of the one to be written next, per worker.
const WINDOW_PER_WORKER: u64 = 8;

/// Who writes where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// One destination, one lock.
    Single,
    /// That many destinations; worker `w` uses number `w` modulo their number.
    Striped(usize),
    /// A destination per worker.
    Slices,
    /// One destination, batches in the order of the input.
    Ordered,
}

impl Output {
    /// Number of destinations for that many workers.
    #[must_use]
    pub fn destinations(self, workers: usize) -> usize {
        match self {
            Self::Single | Self::Ordered => 1,
            Self::Striped(stripes) => stripes.min(workers).max(1),
            Self::Slices => workers,
        }
    }
}

impl FromStr for Output {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let stripes =
            name.strip_prefix("striped:").and_then(|count| count.parse().ok()).filter(|&count| count > 0);
        match (name, stripes) {
            ("single", _) => Ok(Self::Single),
            ("slices", _) => Ok(Self::Slices),
            ("ordered", _) => Ok(Self::Ordered),
            (_, Some(stripes)) => Ok(Self::Striped(stripes)),
            _ => Err(Error::setting(
                "--output",
                format!("{name:?} is not one of single, striped:N, slices, ordered"),
            )),
        }
    }
}

/// Takes the results of one batch at a time.
pub trait Destination: Send {
    /// Results of one batch. The worker's own; it is emptied and used again.
    type Piece: Default + Send;

    /// Add the results of batch `order`; leaves `piece` empty.
    fn append(&mut self, order: u64, piece: &mut Self::Piece) -> Result<()>;
}

/// Destinations and who may use which when.
pub struct Sink<D: Destination> {
    output: Output,
    lanes: Vec<Locked<D>>,
    window: Mutex<Window<D::Piece>>,
    changed: Condvar,
    window_batches: u64,
}

/// State of the `ordered` sink: results that wait for their turn.
struct Window<P> {
    next: u64,
    waiting: BTreeMap<u64, P>,
    is_writing: bool,
    is_stopped: bool,
}

impl<D: Destination> Sink<D> {
    /// A sink over as many destinations as [`Output::destinations`] says.
    ///
    /// # Panics
    /// If their number is another.
    #[must_use]
    pub fn new(
        output: Output,
        destinations: Vec<D>,
        lock: LockKind,
        (workers, nodes): (usize, usize),
    ) -> Self {
        assert_eq!(output.destinations(workers), destinations.len(), "one destination per lane");
        let protect = |destination| Locked::new(destination, lock, Site::Output, (workers, nodes));
        Self {
            output,
            lanes: destinations.into_iter().map(protect).collect(),
            window: Mutex::new(Window {
                next: 0,
                waiting: BTreeMap::new(),
                is_writing: false,
                is_stopped: false,
            }),
            changed: Condvar::new(),
            window_batches: WINDOW_PER_WORKER * workers as u64,
        }
    }

    /// Hand over the results of batch `order`; leaves `piece` empty. Every batch must come, once.
    ///
    /// # Panics
    /// If a batch comes twice.
    pub fn put(&self, order: u64, piece: &mut D::Piece, turn: &mut Turn) -> Result<()> {
        if self.output == Output::Ordered {
            return self.put_in_order(order, std::mem::take(piece), turn);
        }
        let lane = &self.lanes[turn.worker % self.lanes.len()];
        match self.output {
            Output::Slices => lane.own(|lane| lane.append(order, piece)),
            _ => lane.with(turn, |lane| lane.append(order, piece)),
        }
    }

    fn put_in_order(&self, order: u64, piece: D::Piece, turn: &mut Turn) -> Result<()> {
        let asked = Instant::now();
        let is_far =
            |window: &mut Window<D::Piece>| !window.is_stopped && order >= window.next + self.window_batches;
        let mut window =
            self.changed.wait_while(self.window(), is_far).unwrap_or_else(PoisonError::into_inner);
        turn.locks[Site::Output as usize].waiting += asked.elapsed();
        let is_new = order >= window.next && window.waiting.insert(order, piece).is_none();
        assert!(is_new, "batch {order} came twice");
        if window.is_writing {
            return Ok(());
        }
        window.is_writing = true;
        loop {
            let next = window.next;
            let Some(mut piece) = window.waiting.remove(&next).filter(|_| !window.is_stopped) else { break };
            drop(window);
            let result = self.lanes[0].with(turn, |lane| lane.append(next, &mut piece));
            window = self.window();
            if let Err(error) = result {
                window.is_writing = false;
                return Err(error);
            }
            window.next += 1;
            self.changed.notify_all();
        }
        window.is_writing = false;
        Ok(())
    }

    fn window(&self) -> MutexGuard<'_, Window<D::Piece>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wake workers that wait for their turn; the run is over.
    pub fn stop(&self) {
        self.window().is_stopped = true;
        self.changed.notify_all();
    }

    /// The destinations, when all is written.
    ///
    /// # Panics
    /// If results still wait for a batch that never came.
    #[must_use]
    pub fn into_destinations(self) -> Vec<D> {
        let window = self.window();
        assert!(window.is_stopped || window.waiting.is_empty(), "batch {} never came", window.next);
        drop(window);
        self.lanes.into_iter().map(Locked::into_inner).collect()
    }
}

/// A file to append to.
pub struct FileDestination {
    path: PathBuf,
    file: File,
}

impl FileDestination {
    /// Make the file, or empty it.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), file: File::create(path).map_err(Error::io(path))? })
    }

    /// Append the whole content of the files at `parts`, and remove them. The kernel copies.
    pub fn merge(mut self, parts: &[PathBuf]) -> Result<()> {
        for part in parts {
            let mut slice = File::open(part).map_err(Error::io(part))?;
            std::io::copy(&mut slice, &mut self.file).map_err(Error::io(&self.path))?;
            std::fs::remove_file(part).map_err(Error::io(part))?;
        }
        self.finish()
    }

    /// See that the content is on disk.
    pub fn finish(self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path))
    }
}

impl Destination for FileDestination {
    type Piece = Vec<u8>;

    fn append(&mut self, _order: u64, bytes: &mut Vec<u8>) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io(&self.path))?;
        bytes.clear();
        Ok(())
    }
}
