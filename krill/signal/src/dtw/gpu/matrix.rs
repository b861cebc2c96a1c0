//! The distances of one position, or of one block of a large matrix: which pairs share a warp.
//!
//! Windows of a part lie sorted by length, 32 neighbours are a group of lanes. Of the two ways to
//! meet a group and a part (the group in the lanes, or its windows as queries) the one with fewer
//! cells is taken: a group of very unequal windows had better not be lanes.

use super::super::{LONG_SAMPLES, Options};
use super::batch::{COLUMNS, LANES, LANES_ARE_QUERIES, LANES_ARE_REFERENCES, PADDING, Size, TALLEST};
use std::ops::Range;

/// Cells of one warp's piece of work, about: half a millisecond, so that no warp works on
/// alone for long at the end of a batch.
pub(super) const CELLS_PER_TASK: u64 = 1 << 21;
const MOST_QUERIES_PER_TASK: usize = 32;

/// What is made of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// The distances themselves, `[reference][query]`.
    Distances,
    /// A coordinate per query.
    Coordinate,
    /// Mean, median, number and so many nearest distances per query.
    Summary(usize),
}

impl Finish {
    /// Results of a query; distances are results of their own.
    pub(super) fn n_numbers(self) -> usize {
        match self {
            Self::Distances => 0,
            Self::Coordinate => 1,
            Self::Summary(n_nearest) => super::super::SUMMARY_HEAD + n_nearest,
        }
    }
}

/// Which windows are held against which: both query and reference, queries alone, references alone.
/// Each part is in canonical order.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) both: Vec<usize>,
    pub(super) queries: Vec<usize>,
    pub(super) references: Vec<usize>,
}

/// A group of lanes: windows of the matrix, neighbours in length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneGroup {
    pub(super) windows: Range<usize>,
    pub(super) width: usize,
}

/// Windows `queries` against group `group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WarpTask {
    pub(super) group: usize,
    pub(super) queries: Range<usize>,
    pub(super) lanes_are: u32,
    pub(super) is_wide: bool,
    pub(super) cells: u64,
}

/// A matrix with everything decided.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    /// Both, queries alone, references alone.
    pub(super) windows: Vec<&'a [f32]>,
    /// The caller's number of each window.
    pub(super) ids: Vec<usize>,
    /// Fold or bits of the mean of each window.
    pub(super) labels: Vec<u64>,
    pub(super) n_both: usize,
    pub(super) n_queries: usize,
    pub(super) groups: Vec<LaneGroup>,
    pub(super) tasks: Vec<WarpTask>,
    pub(super) size: Size,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(
        parts: &Parts,
        window: impl Fn(usize) -> &'a [f32],
        label: impl Fn(usize) -> u64,
        (options, finish): (Options, Finish),
    ) -> Self {
        let ids: Vec<usize> = [&parts.both[..], &parts.queries, &parts.references].concat();
        let windows: Vec<&[f32]> = ids.iter().map(|&i| window(i)).collect();
        let labels = ids.iter().map(|&i| label(i)).collect();
        let (n_both, n_queries) = (parts.both.len(), parts.both.len() + parts.queries.len());
        let mut plan =
            Plan { windows: &windows, is_open: options.open_start || options.open_end, ..Plan::default() };
        let both = plan.part(0..n_both);
        let queries = plan.part(n_both..n_queries);
        let references = plan.part(n_queries..windows.len());
        plan.triangle(&both);
        plan.rectangle(&queries, &both);
        plan.rectangle(&queries, &references);
        plan.rectangle(&both, &references);
        let Plan { groups, tasks, .. } = plan;
        let n_references = windows.len() - parts.queries.len();
        let size =
            size_of_matrix(&windows, &groups, &tasks, (n_both, n_queries, n_references), options, finish);
        Self { windows, ids, labels, n_both, n_queries, groups, tasks, size }
    }

    pub(super) fn n_references(&self) -> usize {
        self.windows.len() - (self.n_queries - self.n_both)
    }

    /// The windows that are references, in the order of the distances' rows.
    pub(super) fn references(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.n_both).chain(self.n_queries..self.windows.len())
    }
}

fn size_of_matrix(
    windows: &[&[f32]],
    groups: &[LaneGroup],
    tasks: &[WarpTask],
    (n_both, n_queries, n_references): (usize, usize, usize),
    options: Options,
    finish: Finish,
) -> Size {
    let is_plain = options == (Options { normalised: options.normalised, ..Options::default() });
    let most_rows = if is_plain { TALLEST } else { 8 };
    let longest =
        |queries: &Range<usize>| windows[queries.clone()].iter().map(|w| w.len()).max().unwrap_or(0);
    let narrow = tasks.iter().filter(|task| !task.is_wide && longest(&task.queries) > most_rows);
    // Of a wide pair either window may be the columns.
    let wide = tasks.iter().filter(|task| task.is_wide);
    let wide_width = wide.map(|task| groups[task.group].width.max(longest(&task.queries)));
    let is_coordinate = finish == Finish::Coordinate;
    Size {
        samples: windows.iter().map(|window| window.len() + PADDING).sum(),
        windows: windows.len(),
        groups: groups.len(),
        tasks: tasks.iter().filter(|task| !task.is_wide).count(),
        wide_tasks: tasks.iter().filter(|task| task.is_wide).count(),
        positions: 1,
        columns: groups.iter().map(|group| group.width * LANES).sum(),
        distances: n_queries * n_references,
        // The matrix, three vectors, four numbers; see coordinate.h.
        axis: if is_coordinate { n_both * n_both + 3 * n_both + 4 } else { 0 },
        results: n_queries * finish.n_numbers(),
        top_width: narrow.map(|task| groups[task.group].width).max().unwrap_or(0),
        wide_top_width: wide_width.max().unwrap_or(0),
        most_queries: n_queries,
        cells: tasks.iter().map(|task| task.cells).sum(),
    }
}

/// Windows of one part and their groups.
struct Part {
    windows: Range<usize>,
    /// The windows from here on are long.
    first_long: usize,
    groups: Range<usize>,
}

#[derive(Default)]
struct Plan<'a> {
    windows: &'a [&'a [f32]],
    is_open: bool,
    groups: Vec<LaneGroup>,
    tasks: Vec<WarpTask>,
}

impl Plan<'_> {
    /// Cut a part, in canonical order, into groups; long windows have their own.
    fn part(&mut self, windows: Range<usize>) -> Part {
        let n_short = self.windows[windows.clone()].partition_point(|window| window.len() <= LONG_SAMPLES);
        let first_long = windows.start + n_short;
        let first_group = self.groups.len();
        for half in [windows.start..first_long, first_long..windows.end] {
            let end = half.end;
            for start in half.step_by(LANES) {
                let windows = start..(start + LANES).min(end);
                let width = self.windows[windows.end - 1].len().next_multiple_of(COLUMNS);
                self.groups.push(LaneGroup { windows, width });
            }
        }
        Part { windows, first_long, groups: first_group..self.groups.len() }
    }

    /// Every pair of a part: each group with the windows that are as long or longer.
    fn triangle(&mut self, part: &Part) {
        for group in part.groups.clone() {
            let queries = self.groups[group].windows.start..part.windows.end;
            self.push(group, queries, part.first_long, LANES_ARE_QUERIES | LANES_ARE_REFERENCES);
        }
    }

    /// Every query with every reference. Open ends belong to the query.
    fn rectangle(&mut self, queries: &Part, references: &Part) {
        let side = |lanes_are: u32| match lanes_are {
            LANES_ARE_QUERIES => (queries, references),
            _ => (references, queries),
        };
        let has_more_queries = queries.windows.len() > references.windows.len();
        let lanes_are =
            if has_more_queries && !self.is_open { LANES_ARE_QUERIES } else { LANES_ARE_REFERENCES };
        let (lanes, others) = side(lanes_are);
        for group in lanes.groups.clone() {
            let members = self.groups[group].windows.clone();
            let turned: u64 = others.groups.clone().map(|other| self.cells(other, &members)).sum();
            if !self.is_open && turned < self.cells(group, &others.windows) {
                let other_side = LANES_ARE_QUERIES + LANES_ARE_REFERENCES - lanes_are;
                for other in others.groups.clone() {
                    self.push(other, members.clone(), lanes.first_long, other_side);
                }
            } else {
                self.push(group, others.windows.clone(), others.first_long, lanes_are);
            }
        }
    }

    /// Add the tasks of a group and neighbouring queries, of which those from `first_long` are long.
    fn push(&mut self, group: usize, queries: Range<usize>, first_long: usize, lanes_are: u32) {
        let is_long = self.groups[group].width > LONG_SAMPLES.next_multiple_of(COLUMNS);
        let cut = first_long.clamp(queries.start, queries.end);
        for (half, is_wide) in [(queries.start..cut, is_long), (cut..queries.end, true)] {
            let (mut queries, mut cells) = (half.start..half.start, 0);
            for query in half.clone() {
                queries.end = query + 1;
                cells += self.cells(group, &(query..query + 1));
                let is_full = is_wide || cells >= CELLS_PER_TASK || queries.len() == MOST_QUERIES_PER_TASK;
                if is_full || queries.end == half.end {
                    let own = std::mem::replace(&mut queries, query + 1..query + 1);
                    self.tasks.push(WarpTask { group, queries: own, lanes_are, is_wide, cells });
                    cells = 0;
                }
            }
        }
    }

    /// Cells that are computed, padding included.
    fn cells(&self, group: usize, queries: &Range<usize>) -> u64 {
        let rows: usize = self.windows[queries.clone()].iter().map(|w| w.len().next_multiple_of(8)).sum();
        (self.groups[group].width * LANES * rows) as u64
    }
}
