//! The arrays of a batch as the kernels see them: twin of `kernels/batch.h`, which says what each holds.

use super::super::Options;

/// Windows that share a warp.
pub(super) const LANES: usize = 32;
/// Columns that are computed side by side.
pub(super) const COLUMNS: usize = 2;
/// Infinities in front of every window's samples.
pub(super) const PADDING: usize = 8;
/// Rows in registers at most; with any cost or ends 8.
pub(super) const TALLEST: usize = 56;
/// Every array begins at a multiple of this many bytes.
const ALIGNMENT: usize = 256;

pub(super) const LANES_ARE_REFERENCES: u32 = 1;
pub(super) const LANES_ARE_QUERIES: u32 = 2;

/// Structures that are sent as they are: no padding bytes, any bits are valid.
pub(super) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for Window {}
impl Plain for Group {}
impl Plain for Task {}
impl Plain for Position {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Window {
    pub(super) start: u32,
    pub(super) length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Group {
    pub(super) columns: u64,
    pub(super) first_window: u32,
    pub(super) n_windows: u32,
    pub(super) width: u32,
    pub(super) unused: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Task {
    pub(super) position: u32,
    pub(super) group: u32,
    pub(super) first_query: u32,
    pub(super) n_queries: u32,
    pub(super) lanes_are: u32,
    pub(super) unused: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Position {
    pub(super) distances: u64,
    pub(super) axis: u64,
    pub(super) first_window: u32,
    pub(super) first_query: u32,
    pub(super) n_both: u32,
    pub(super) n_queries: u32,
    pub(super) n_references: u32,
    pub(super) unused: u32,
}

/// Where the arrays of a batch begin, and what is computed: the argument of every kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Batch {
    pub(super) signal: u64,
    pub(super) windows: u64,
    pub(super) groups: u64,
    pub(super) tasks: u64,
    pub(super) wide_tasks: u64,
    pub(super) positions: u64,
    pub(super) next: u64,
    pub(super) labels: u64,
    pub(super) columns: u64,
    pub(super) distances: u64,
    pub(super) axis: u64,
    pub(super) top: u64,
    pub(super) results: u64,
    pub(super) n_groups: u32,
    pub(super) n_tasks: u32,
    pub(super) n_wide_tasks: u32,
    pub(super) n_positions: u32,
    pub(super) top_width: u32,
    pub(super) wide_top_width: u32,
    pub(super) n_numbers: u32,
    pub(super) absolute: u32,
    pub(super) normalised: u32,
    pub(super) open_start: u32,
    pub(super) open_end: u32,
    pub(super) most_queries: u32,
}

/// How many of everything a batch holds; those of several matrices add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    /// With the infinities in front of each window.
    pub(super) samples: usize,
    pub(super) windows: usize,
    pub(super) groups: usize,
    pub(super) tasks: usize,
    pub(super) wide_tasks: usize,
    pub(super) positions: usize,
    pub(super) columns: usize,
    pub(super) distances: usize,
    pub(super) axis: usize,
    pub(super) results: usize,
    /// Columns of the widest group that needs the row above kept; the largest counts.
    pub(super) top_width: usize,
    pub(super) wide_top_width: usize,
    /// Of a matrix; the largest counts.
    pub(super) most_queries: usize,
    /// Cells that the kernels compute.
    pub(super) cells: u64,
}

impl Size {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            samples: self.samples + other.samples,
            windows: self.windows + other.windows,
            groups: self.groups + other.groups,
            tasks: self.tasks + other.tasks,
            wide_tasks: self.wide_tasks + other.wide_tasks,
            positions: self.positions + other.positions,
            columns: self.columns + other.columns,
            distances: self.distances + other.distances,
            axis: self.axis + other.axis,
            results: self.results + other.results,
            top_width: self.top_width.max(other.top_width),
            wide_top_width: self.wide_top_width.max(other.wide_top_width),
            most_queries: self.most_queries.max(other.most_queries),
            cells: self.cells + other.cells,
        }
    }
}

/// Warps of a multiprocessor at a time: what the registers of `dtw_pairs` allow.
const WARPS: usize = 12;
/// Blocks of `dtw_pairs_wide`.
const WIDE_BLOCKS: usize = 4;
/// Rows kept for long windows may take this much, unless one warp alone needs more.
const MOST_WIDE_TOP_BYTES: usize = 256 << 20;

/// Where everything lies on a device with so many processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) batch: Batch,
    /// The arrays that are sent end here.
    pub(super) n_sent: usize,
    pub(super) n_bytes: usize,
    pub(super) pair_blocks: u32,
    pub(super) wide_blocks: u32,
}

impl Layout {
    pub(super) fn new(size: &Size, n_numbers: usize, options: Options, multiprocessors: u32) -> Self {
        let most = multiprocessors as usize * WARPS;
        let row = size.top_width * LANES * size_of::<f32>();
        let wide_row = (size.wide_top_width * size_of::<f64>()).max(1);
        let pair_blocks = size.tasks.min(most);
        let most_wide = (MOST_WIDE_TOP_BYTES / wide_row).clamp(1, multiprocessors as usize * WIDE_BLOCKS);
        let wide_blocks = (size.wide_tasks * LANES).min(most_wide);
        // The two kernels run one after the other: one memory serves both.
        let top = (pair_blocks * row).max(wide_blocks * wide_row);
        let mut end = 0;
        let mut place = |bytes: usize| {
            let start = end;
            end = (start + bytes).next_multiple_of(ALIGNMENT);
            start as u64
        };
        let signal = place(size.samples * size_of::<f32>());
        let windows = place(size.windows * size_of::<Window>());
        let groups = place(size.groups * size_of::<Group>());
        let tasks = place(size.tasks * size_of::<Task>());
        let wide_tasks = place(size.wide_tasks * size_of::<Task>());
        let positions = place(size.positions * size_of::<Position>());
        let next = place(2 * size_of::<u32>());
        let labels = place(size.windows * size_of::<u64>());
        let columns = place(size.columns * size_of::<f32>());
        let distances = place(size.distances * size_of::<f32>());
        let axis = place(size.axis * size_of::<f64>());
        let top = place(top);
        let results = place(size.results * size_of::<f32>());
        place(ALIGNMENT); // kernels ask a step ahead for what they do not use behind the last
        let batch = Batch {
            signal,
            windows,
            groups,
            tasks,
            wide_tasks,
            positions,
            next,
            labels,
            columns,
            distances,
            axis,
            top,
            results,
            n_groups: size.groups as u32,
            n_tasks: size.tasks as u32,
            n_wide_tasks: size.wide_tasks as u32,
            n_positions: size.positions as u32,
            top_width: size.top_width as u32,
            wide_top_width: size.wide_top_width as u32,
            n_numbers: n_numbers as u32,
            absolute: (options.cost == super::super::Cost::Absolute).into(),
            normalised: options.normalised.into(),
            open_start: options.open_start.into(),
            open_end: options.open_end.into(),
            most_queries: size.most_queries as u32,
        };
        Self {
            batch,
            n_sent: columns as usize,
            n_bytes: end,
            pair_blocks: pair_blocks as u32,
            wide_blocks: wide_blocks as u32,
        }
    }
}

/// Sizes of the structures, in the order of `batch.h`, and its constants.
#[must_use]
pub fn layout() -> [u32; 9] {
    let sizes = [
        size_of::<Window>(),
        size_of::<Group>(),
        size_of::<Task>(),
        size_of::<Position>(),
        size_of::<Batch>(),
    ];
    let constants = [LANES, COLUMNS, PADDING, TALLEST];
    std::array::from_fn(|i| if i < 5 { sizes[i] as u32 } else { constants[i - 5] as u32 })
}
