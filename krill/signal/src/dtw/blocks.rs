//! Which pairs share a vector: signals sorted by length, 16 neighbours form a group of lanes.
//!
//! Padding is what this file fights. A group's columns run to its longest signal, so the side with
//! the tighter group becomes the lanes and the other side's signals pass as queries, whose rows
//! need none. Pairs inside a group are met by rotating the lanes against themselves.

mod packs;

use super::simd::{LANES, Lanes, Real, Sweep, wants_two_streams};
use super::{LONG_SAMPLES, Options};
use crate::Isa;
use std::ops::Range;

pub(super) use packs::within_each;

/// Queries of one task: enough to make up for transposing the group, few enough to share out.
const QUERIES_PER_TASK: usize = 128;

/// What is computed, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) isa: Isa,
    pub(super) options: Options,
}

/// Signals in canonical order, cut into groups of at most 16.
pub(super) struct Set<'a> {
    signals: &'a [&'a [f32]],
    /// By length, then by content: what shares a vector does not depend on the order of the input.
    order: Vec<usize>,
    groups: Vec<Range<usize>>,
}

/// One group of lanes and what is held against it.
pub(super) enum Task {
    /// All pairs within the group.
    Inside(usize),
    /// Every one of these queries (indices of signals) with every one of the group.
    Against(usize, Vec<usize>),
}

impl<'a> Set<'a> {
    pub(super) fn new(signals: &'a [&'a [f32]]) -> Self {
        let order = canonical_order(signals);
        let n_short = order.partition_point(|&i| signals[i].len() <= LONG_SAMPLES);
        let cut = |range: Range<usize>| {
            let end = range.end;
            range.step_by(LANES).map(move |start| start..(start + LANES).min(end))
        };
        let groups = cut(0..n_short).chain(cut(n_short..order.len())).collect();
        Self { signals, order, groups }
    }

    /// Every pair once. Of two groups the one with less padding is the lanes.
    pub(super) fn triangle_tasks(&self) -> Vec<Task> {
        let mut ranked: Vec<usize> = (0..self.groups.len()).collect();
        ranked.sort_by(|&g, &h| self.padding(g).total_cmp(&self.padding(h)));
        let mut rank_of = vec![0; self.order.len()];
        for (rank, &group) in ranked.iter().enumerate() {
            rank_of[self.groups[group].clone()].fill(rank);
        }
        let mut tasks: Vec<Task> = Vec::new();
        for (rank, &group) in ranked.iter().enumerate() {
            let queries: Vec<usize> =
                (0..self.order.len()).filter(|&k| rank_of[k] > rank).map(|k| self.order[k]).collect();
            tasks.extend(queries.chunks(QUERIES_PER_TASK).map(|some| Task::Against(group, some.to_vec())));
            tasks.push(Task::Inside(group));
        }
        tasks
    }

    /// Every query with every signal of this set.
    pub(super) fn rectangle_tasks(&self, queries: &Set<'_>) -> Vec<Task> {
        let against = |group| {
            queries.order.chunks(QUERIES_PER_TASK).map(move |some| Task::Against(group, some.to_vec()))
        };
        (0..self.groups.len()).flat_map(against).collect()
    }

    /// Cells computed per useful cell of a full row of lanes.
    fn padding(&self, group: usize) -> f64 {
        let lengths = self.groups[group].clone().map(|k| self.signals[self.order[k]].len());
        let longest = self.signals[self.order[self.groups[group].end - 1]].len();
        (longest * LANES) as f64 / lengths.sum::<usize>() as f64
    }

    /// Compute one task: `emit(query, signal of this set, distance)`, each pair once.
    pub(super) fn run(
        &self,
        task: &Task,
        queries: &Set<'_>,
        setup: Setup,
        scratch: &mut Scratch,
        emit: &mut impl FnMut(usize, usize, f32),
    ) {
        let (Task::Inside(group) | Task::Against(group, _)) = task;
        let members = &self.order[self.groups[*group].clone()];
        let lanes: Vec<&[f32]> = members.iter().map(|&i| self.signals[i]).collect();
        let mut emit_lane = |query: usize, lane: usize, distance: f32| emit(query, members[lane], distance);
        match task {
            Task::Inside(_) => {
                scratch.inside(&lanes, setup, &mut |a, b, distance| emit_lane(members[a], b, distance));
            }
            Task::Against(_, some) => {
                let some: Vec<_> = some.iter().map(|&i| (i, queries.signals[i])).collect();
                scratch.against(&some, &lanes, setup, &mut emit_lane);
            }
        }
    }
}

/// Order by length, then by content.
pub(super) fn canonical_order(signals: &[&[f32]]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..signals.len()).collect();
    let by_content = |a: &[f32], b: &[f32]| {
        let unequal = a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|ordering| ordering.is_ne());
        unequal.unwrap_or(std::cmp::Ordering::Equal)
    };
    order.sort_by(|&i, &j| {
        let (a, b) = (signals[i], signals[j]);
        a.len().cmp(&b.len()).then_with(|| by_content(a, b))
    });
    order
}

/// Memory of one thread, used again by each task.
#[derive(Default)]
pub(super) struct Scratch {
    one: Buffers<f32, 1>,
    two: Buffers<f32, 2>,
    wide: Buffers<f64, 1>,
}

impl Scratch {
    fn clear(&mut self) {
        self.one.clear();
        self.two.clear();
        self.wide.clear();
    }

    /// Every query with every lane; neighbouring queries of similar length share a loop.
    fn against(
        &mut self,
        queries: &[(usize, &[f32])],
        lanes: &[&[f32]],
        setup: Setup,
        emit: &mut impl FnMut(usize, usize, f32),
    ) {
        self.clear();
        let mut rest = queries;
        while let [(first, a), others @ ..] = rest {
            rest = others;
            if a.len().max(lanes[lanes.len() - 1].len()) > LONG_SAMPLES {
                self.wide.broadcast([a], lanes, setup, &mut |_, lane, distance| emit(*first, lane, distance));
                continue;
            }
            match others {
                [(second, b), others @ ..] if can_share(a, b, setup) => {
                    rest = others;
                    let query = [*first, *second];
                    self.two.broadcast([a, b], lanes, setup, &mut |s, lane, d| emit(query[s], lane, d));
                }
                _ => self.one.broadcast([a], lanes, setup, &mut |_, lane, d| emit(*first, lane, d)),
            }
        }
    }

    /// Every pair of lanes: lane `l` against lane `l + shift`, for half of the shifts.
    fn inside(&mut self, lanes: &[&[f32]], setup: Setup, emit: &mut impl FnMut(usize, usize, f32)) {
        self.clear();
        let is_long = lanes[lanes.len() - 1].len() > LONG_SAMPLES;
        let mut shift = 1;
        while shift <= lanes.len() / 2 {
            if is_long {
                self.wide.rotate([shift], lanes, setup, emit);
            } else if wants_two_streams(setup.isa) && shift < lanes.len() / 2 {
                self.two.rotate([shift, shift + 1], lanes, setup, emit);
                shift += 1;
            } else {
                self.one.rotate([shift], lanes, setup, emit);
            }
            shift += 1;
        }
    }
}

/// Whether two queries may run in one loop, and gain by it: the shorter is padded to the longer,
/// which costs less than half an idle port as long as the shorter has a third of the longer.
fn can_share(a: &[f32], b: &[f32], setup: Setup) -> bool {
    let (shorter, longer) = (a.len().min(b.len()), a.len().max(b.len()));
    let is_padded = shorter < longer;
    wants_two_streams(setup.isa)
        && longer <= LONG_SAMPLES
        && 3 * shorter >= longer
        && !(setup.options.open_start && is_padded)
}

/// The arrays of a sweep of `S` streams.
struct Buffers<T, const S: usize> {
    columns: Vec<Lanes<T>>,
    queries: Vec<[T; S]>,
    rotated: Vec<[Lanes<T>; S]>,
    /// Infinite between sweeps.
    edge: Vec<[Lanes<T>; S]>,
    corner: [Lanes<T>; S],
    border: [Lanes<T>; S],
    last: Vec<[Lanes<T>; S]>,
    /// The lanes twice, `[row][lane]`, so that a shifted load rotates them; ends aligned.
    twice: Vec<[T; 2 * LANES]>,
}

impl<T: Real, const S: usize> Default for Buffers<T, S> {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            queries: Vec::new(),
            rotated: Vec::new(),
            edge: Vec::new(),
            corner: [Lanes::ZERO; S],
            border: [Lanes::ZERO; S],
            last: Vec::new(),
            twice: Vec::new(),
        }
    }
}

impl<T: Real, const S: usize> Buffers<T, S> {
    /// Forget the group of lanes.
    fn clear(&mut self) {
        self.columns.clear();
        self.twice.clear();
    }

    /// The same query in all lanes; `emit(stream, lane, distance)`.
    fn broadcast(
        &mut self,
        queries: [&[f32]; S],
        lanes: &[&[f32]],
        setup: Setup,
        emit: &mut impl FnMut(usize, usize, f32),
    ) {
        let height = queries.iter().map(|query| query.len()).max().unwrap_or(0);
        self.start(height, lanes, setup.options);
        for (s, query) in queries.iter().enumerate() {
            let padding = height - query.len();
            self.pad(s, 0..LANES, padding);
            for row in &mut self.queries[..padding] {
                row[s] = T::INFINITY;
            }
            for (row, &sample) in self.queries[padding..].iter_mut().zip(*query) {
                row[s] = T::from_sample(sample);
            }
        }
        let Self { columns, queries: rows, edge, corner, border, last, .. } = self;
        Sweep { rows, edge, corner: *corner, border: *border, columns, last }.run(setup);
        for (s, query) in queries.iter().enumerate() {
            self.edge[(height - query.len()).max(1) - 1][s] = Lanes::INFINITE;
            let distances = self.distances(s, lanes, |_| query.len(), setup.options);
            for (lane, &distance) in distances[..lanes.len()].iter().enumerate() {
                emit(s, lane, distance);
            }
        }
    }

    /// Lane `l + shift` as the query of lane `l`; `emit(query lane, lane, distance)`.
    fn rotate(
        &mut self,
        shifts: [usize; S],
        lanes: &[&[f32]],
        setup: Setup,
        emit: &mut impl FnMut(usize, usize, f32),
    ) {
        let n = lanes.len();
        let height = lanes[n - 1].len();
        self.start(height, lanes, setup.options);
        self.rotated.resize(height, [Lanes::ZERO; S]);
        self.lay_out_twice(lanes);
        let padding = |lane: usize, shift: usize| height - lanes[(lane + shift) % n].len();
        for (s, &shift) in shifts.iter().enumerate() {
            for (row, twice) in self.rotated.iter_mut().zip(&self.twice) {
                row[s].0.copy_from_slice(&twice[shift..shift + LANES]);
            }
            for lane in 0..n {
                self.pad(s, lane..lane + 1, padding(lane, shift));
            }
        }
        let Self { columns, rotated: rows, edge, corner, border, last, .. } = self;
        Sweep { rows, edge, corner: *corner, border: *border, columns, last }.run(setup);
        for (s, &shift) in shifts.iter().enumerate() {
            for lane in 0..n {
                self.edge[padding(lane, shift).max(1) - 1][s] = Lanes::INFINITE;
            }
            let distances = self.distances(s, lanes, |lane| lanes[(lane + shift) % n].len(), setup.options);
            // Half a turn meets every pair twice.
            let n_pairs = if 2 * shift == n { n / 2 } else { n };
            for (lane, &distance) in distances[..n_pairs].iter().enumerate() {
                emit((lane + shift) % n, lane, distance);
            }
        }
    }

    /// Make room for `height` rows; the borders are those of a matrix without padding.
    fn start(&mut self, height: usize, lanes: &[&[f32]], options: Options) {
        if self.columns.is_empty() {
            let width = lanes[lanes.len() - 1].len();
            self.columns.resize(width, Lanes::ZERO);
            for (lane, signal) in lanes.iter().enumerate() {
                for (column, &sample) in self.columns.iter_mut().zip(*signal) {
                    column.0[lane] = T::from_sample(sample);
                }
            }
            let above = if options.open_start { Lanes::ZERO } else { Lanes::INFINITE };
            self.border = [above; S];
            self.last.resize(width, [Lanes::ZERO; S]);
        }
        self.corner = [Lanes::ZERO; S];
        self.edge.resize(height.max(self.edge.len()), [Lanes::INFINITE; S]);
        self.queries.resize(height, [T::ZERO; S]);
    }

    /// Fill `twice`, unless this group is there already.
    fn lay_out_twice(&mut self, lanes: &[&[f32]]) {
        if !self.twice.is_empty() {
            return;
        }
        let (n, height) = (lanes.len(), lanes[lanes.len() - 1].len());
        self.twice.resize(height, [T::INFINITY; 2 * LANES]);
        for (lane, signal) in lanes.iter().enumerate() {
            for (row, &sample) in self.twice[height - signal.len()..].iter_mut().zip(*signal) {
                row[lane] = T::from_sample(sample);
                row[lane + n] = row[lane];
            }
        }
    }

    /// Let the matrix begin at the lower left of `padding` infinite rows, so that queries of
    /// unequal length end in the same row.
    fn pad(&mut self, stream: usize, lanes: Range<usize>, padding: usize) {
        if padding > 0 {
            self.corner[stream].0[lanes.clone()].fill(T::INFINITY);
            self.edge[padding - 1][stream].0[lanes].fill(T::ZERO);
        }
    }

    /// Read the results of one stream from the last row.
    #[inline]
    fn distances(
        &self,
        stream: usize,
        lanes: &[&[f32]],
        query_length: impl Fn(usize) -> usize,
        options: Options,
    ) -> [f32; LANES] {
        let mut ends = [T::ZERO; LANES];
        let mut totals = [1; LANES];
        for (lane, candidate) in lanes.iter().enumerate().take(LANES) {
            let cell = |column: usize| self.last[column][stream].0[lane];
            let end = candidate.len() - 1;
            let least = |best, value| if value < best { value } else { best };
            ends[lane] = if options.open_end { (0..end).map(cell).fold(cell(end), least) } else { cell(end) };
            totals[lane] = (query_length(lane) + candidate.len()) as u32;
        }
        T::finish(ends, totals, options)
    }
}
