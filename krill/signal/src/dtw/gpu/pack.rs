//! Matrices to the bytes of a batch, and the results back.

use super::super::{Cost, Options};
use super::batch::{Group, LANES, Layout, PADDING, Plain, Position, Size, Task, Window};
use super::device::{Kernel, Launch};
use super::matrix::{CELLS_PER_TASK, Finish, Matrix, WarpTask};
use crate::parallel::Threads;

/// Of a block, which has the axis of one position.
const AXIS_THREADS: u32 = 128;
/// Of a block, which has one pair; see `kernels/wide.h`.
const WIDE_THREADS: u32 = 128;

/// What all batches of a call have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) options: Options,
    pub(super) finish: Finish,
}

/// Matrices that are computed together.
pub(super) struct Packed<'a> {
    pub(super) matrices: Vec<Matrix<'a>>,
    pub(super) layout: Layout,
    wanted: Wanted,
}

impl<'a> Packed<'a> {
    pub(super) fn new(matrices: Vec<Matrix<'a>>, wanted: Wanted, multiprocessors: u32) -> Self {
        let size = matrices.iter().fold(Size::default(), |sum, matrix| sum.plus(matrix.size));
        let layout = Layout::new(&size, wanted.finish.n_numbers(), wanted.options, multiprocessors);
        Self { matrices, layout, wanted }
    }

    /// Write everything that is sent.
    pub(super) fn write(&self, bytes: &mut [u8], threads: &Threads) {
        let batch = self.layout.batch;
        let mut rest = &mut bytes[batch.signal as usize..];
        let mut parts = Vec::with_capacity(self.matrices.len());
        for matrix in &self.matrices {
            let (own, others) = rest.split_at_mut(matrix.size.samples * size_of::<f32>());
            parts.push((matrix, own));
            rest = others;
        }
        threads.for_each(parts, |(matrix, own)| {
            let mut signal = Writer::new(own, 0);
            for window in &matrix.windows {
                signal.extend_from_slice(&[f32::INFINITY; PADDING]);
                signal.extend_from_slice(window);
            }
        });
        let mut start = 0;
        Writer::new(bytes, batch.windows).extend(self.windows().map(|window| {
            let first = start + PADDING;
            start = first + window.len();
            Window { start: first as u32, length: window.len() as u32 }
        }));
        Writer::new(bytes, batch.next).extend_from_slice(&[0_u32; 2]);
        let labels = self.matrices.iter().flat_map(|matrix| matrix.labels.iter().copied());
        Writer::new(bytes, batch.labels).extend(labels);
        let (groups, positions) = self.groups_and_positions();
        Writer::new(bytes, batch.groups).extend(groups.into_iter());
        Writer::new(bytes, batch.positions).extend(positions.into_iter());
        Writer::new(bytes, batch.tasks).extend(self.tasks(false));
        Writer::new(bytes, batch.wide_tasks).extend(self.tasks(true));
    }

    fn windows(&self) -> impl Iterator<Item = &'a [f32]> + '_ {
        self.matrices.iter().flat_map(|matrix| matrix.windows.iter().copied())
    }

    fn groups_and_positions(&self) -> (Vec<Group>, Vec<Position>) {
        let (mut groups, mut positions) = (Vec::new(), Vec::new());
        let mut before = Size::default();
        let (mut columns, mut first_query) = (0, 0);
        for matrix in &self.matrices {
            for group in &matrix.groups {
                groups.push(Group {
                    columns,
                    first_window: (before.windows + group.windows.start) as u32,
                    n_windows: group.windows.len() as u32,
                    width: group.width as u32,
                    unused: 0,
                });
                columns += (group.width * LANES) as u64;
            }
            positions.push(Position {
                distances: before.distances as u64,
                axis: before.axis as u64,
                first_window: before.windows as u32,
                first_query: first_query as u32,
                n_both: matrix.n_both as u32,
                n_queries: matrix.n_queries as u32,
                n_references: matrix.n_references() as u32,
                unused: 0,
            });
            first_query += matrix.n_queries;
            before = before.plus(matrix.size);
        }
        (groups, positions)
    }

    /// Those of more than the usual cells first, so that the last to end are short.
    fn tasks(&self, is_wide: bool) -> impl Iterator<Item = Task> + '_ {
        [true, false].into_iter().flat_map(move |are_costly| {
            let wanted = move |task: &&WarpTask| {
                task.is_wide == is_wide && are_costly == (task.cells >= 2 * CELLS_PER_TASK)
            };
            let starts = self.matrices.iter().scan(Size::default(), |end, matrix| {
                let start = *end;
                *end = end.plus(matrix.size);
                Some((start, matrix))
            });
            starts.enumerate().flat_map(move |(position, (before, matrix))| {
                matrix.tasks.iter().filter(wanted).map(move |task| Task {
                    position: position as u32,
                    group: (before.groups + task.group) as u32,
                    first_query: (before.windows + task.queries.start) as u32,
                    n_queries: task.queries.len() as u32,
                    lanes_are: task.lanes_are,
                    unused: 0,
                })
            })
        })
    }

    /// What is launched, in order; a kernel without work is left out.
    pub(super) fn launches(&self, multiprocessors: u32) -> Vec<Launch> {
        let batch = &self.layout.batch;
        let Options { cost, open_start, open_end, .. } = self.wanted.options;
        let is_plain = cost == Cost::Squared && !open_start && !open_end;
        let pairs = if is_plain { Kernel::Pairs } else { Kernel::PairsGeneral };
        let lanes = LANES as u32;
        let mut launches = vec![
            Launch {
                kernel: Kernel::Columns,
                blocks: batch.n_groups.min(32 * multiprocessors),
                threads: lanes,
            },
            Launch { kernel: pairs, blocks: self.layout.pair_blocks, threads: lanes },
            Launch { kernel: Kernel::PairsWide, blocks: self.layout.wide_blocks, threads: WIDE_THREADS },
        ];
        let kernels: &[Kernel] = match self.wanted.finish {
            Finish::Distances => &[],
            Finish::Coordinate => &[Kernel::Axis, Kernel::Place],
            Finish::Summary(_) => &[Kernel::Summary],
        };
        let parts = batch.n_positions * batch.most_queries.div_ceil(lanes);
        launches.extend(kernels.iter().map(|&kernel| match kernel {
            Kernel::Axis => Launch { kernel, blocks: batch.n_positions, threads: AXIS_THREADS },
            _ => Launch { kernel, blocks: parts, threads: lanes },
        }));
        launches.retain(|launch| launch.blocks > 0);
        launches
    }

    /// Start and length, in bytes, of the results on the device.
    pub(super) fn results(&self) -> (usize, usize) {
        let batch = &self.layout.batch;
        let floats: usize = self.matrices.iter().map(|matrix| self.n_results(matrix)).sum();
        let start = if self.wanted.finish == Finish::Distances { batch.distances } else { batch.results };
        (start as usize, floats * size_of::<f32>())
    }

    fn n_results(&self, matrix: &Matrix<'_>) -> usize {
        if self.wanted.finish == Finish::Distances { matrix.size.distances } else { matrix.size.results }
    }

    /// Hand every matrix its results.
    pub(super) fn deliver(&self, bytes: &[u8], deliver: &(impl Fn(&Matrix<'_>, &[f32]) + Sync)) {
        let floats: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        let mut rest = &floats[..];
        for matrix in &self.matrices {
            let (own, others) = rest.split_at(self.n_results(matrix));
            deliver(matrix, own);
            rest = others;
        }
    }
}

/// Writes plain values one after the other.
struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    fn new(bytes: &'a mut [u8], start: u64) -> Self {
        Self { rest: &mut bytes[start as usize..] }
    }

    fn extend<T: Plain>(&mut self, values: impl Iterator<Item = T>) {
        for value in values {
            self.extend_from_slice(&[value]);
        }
    }

    fn extend_from_slice<T: Plain>(&mut self, values: &[T]) {
        // SAFETY: `Plain` values have no padding, so all their bytes are initialised; u8 aligns anywhere.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        let (own, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        own.copy_from_slice(bytes);
        self.rest = rest;
    }
}
