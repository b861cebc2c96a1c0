//! Pairs of many small sets: in a group of lanes of one set alone most would be padding, so pairs of
//! different sets, alike in both lengths, share a vector, each lane with queries of its own.

use super::{Buffers, Scratch, Setup, canonical_order};
use crate::dtw::simd::{LANES, Lanes, Real, Sweep, wants_two_streams};

/// A candidate of one lane and its queries, one per stream.
struct Slot<'a, const S: usize> {
    set: usize,
    candidate: (usize, &'a [f32]),
    queries: [(usize, &'a [f32]); S],
}

impl<const S: usize> Slot<'_, S> {
    fn height(&self) -> usize {
        self.queries.iter().map(|(_, query)| query.len()).max().unwrap_or(0)
    }
}

/// Each signal of a set against all shorter ones of the same set.
fn slots<'a, const S: usize>(sets: &'a [Vec<&'a [f32]>]) -> Vec<Slot<'a, S>> {
    let mut slots = Vec::new();
    for (number, signals) in sets.iter().enumerate() {
        let order = canonical_order(signals);
        for (rank, &i) in order.iter().enumerate() {
            for some in order[..rank].chunks(S) {
                // where streams are left over, they repeat the last query
                let queries = std::array::from_fn(|s| some[s.min(some.len() - 1)]).map(|j| (j, signals[j]));
                slots.push(Slot { set: number, candidate: (i, signals[i]), queries });
            }
        }
    }
    slots
}

/// Put slots next to each other whose candidates and queries are about as long: strips of like
/// candidates, each in the order of its queries.
fn pack<const S: usize>(slots: &mut [Slot<'_, S>]) {
    slots.sort_by_key(|slot| slot.candidate.1.len());
    let groups = slots.len().div_ceil(LANES);
    let strip = groups.div_ceil(groups.isqrt().max(1)).max(1) * LANES;
    for strip in slots.chunks_mut(strip) {
        strip.sort_by_key(Slot::height);
        for group in strip.chunks_mut(LANES) {
            group.sort_by_key(|slot| slot.candidate.1.len());
        }
    }
}

/// Distances of all pairs within each of many small sets: pairs of different sets share a vector.
/// No signal may be longer than [`LONG_SAMPLES`]; `emit(set, query, candidate, distance)`.
pub(in crate::dtw) fn within_each(
    sets: &[Vec<&[f32]>],
    setup: Setup,
    scratch: &mut Scratch,
    emit: &mut impl FnMut(usize, usize, usize, f32),
) {
    if wants_two_streams(setup.isa) {
        scratch.two.within_each(sets, setup, emit);
    } else {
        scratch.one.within_each(sets, setup, emit);
    }
}

impl<T: Real, const S: usize> Buffers<T, S> {
    /// As [`within_each`].
    fn within_each(
        &mut self,
        sets: &[Vec<&[f32]>],
        setup: Setup,
        emit: &mut impl FnMut(usize, usize, usize, f32),
    ) {
        let mut slots = slots::<S>(sets);
        pack(&mut slots);
        for group in slots.chunks(LANES) {
            self.own_queries(group, setup, emit);
        }
    }

    /// Queries of its own in each lane; the last slot has the longest candidate.
    fn own_queries(
        &mut self,
        slots: &[Slot<'_, S>],
        setup: Setup,
        emit: &mut impl FnMut(usize, usize, usize, f32),
    ) {
        let lanes: Vec<&[f32]> = slots.iter().map(|slot| slot.candidate.1).collect();
        let height = slots.iter().map(Slot::height).max().unwrap_or(0);
        self.clear();
        self.start(height, &lanes, setup.options);
        self.rotated.resize(height, [Lanes::ZERO; S]);
        for (lane, slot) in slots.iter().enumerate() {
            for (s, (_, query)) in slot.queries.iter().enumerate() {
                let padding = height - query.len();
                self.pad(s, lane..lane + 1, padding);
                for row in &mut self.rotated[..padding] {
                    row[s].0[lane] = T::INFINITY;
                }
                for (row, &sample) in self.rotated[padding..height].iter_mut().zip(*query) {
                    row[s].0[lane] = T::from_sample(sample);
                }
            }
        }
        let Self { columns, rotated, edge, corner, border, last, .. } = self;
        let rows = &rotated[..height];
        Sweep { rows, edge, corner: *corner, border: *border, columns, last }.run(setup);
        for s in 0..S {
            let length = |lane: usize| slots[lane].queries[s].1.len();
            for lane in 0..slots.len() {
                self.edge[(height - length(lane)).max(1) - 1][s] = Lanes::INFINITE;
            }
            let distances = self.distances(s, &lanes, length, setup.options);
            for (slot, distance) in slots.iter().zip(distances) {
                let is_repeated = s > 0 && slot.queries[s].0 == slot.queries[s - 1].0;
                if !is_repeated {
                    emit(slot.set, slot.queries[s].0, slot.candidate.0, distance);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::dtw::Options;
    use crate::dtw::scalar;

    /// Signals of these lengths, no two alike.
    fn signals(lengths: &[usize]) -> Vec<Vec<f32>> {
        let signal = |(k, &n): (usize, &usize)| (0..n).map(|i| ((i * i + 7 * k) as f32).sin()).collect();
        lengths.iter().enumerate().map(signal).collect()
    }

    #[test]
    fn sets_that_share_vectors_have_every_pair_once_with_the_definitions_bits() {
        let lengths: [&[usize]; 6] = [
            &[5, 1, 90, 17, 2, 2, 64, 33, 31, 1, 7, 250, 16, 15, 40, 8, 3],
            &[12, 300],
            &[],
            &[1],
            &[200, 1, 199],
            &[20; 33],
        ];
        let owned: Vec<_> = lengths.iter().map(|lengths| signals(lengths)).collect();
        let sets: Vec<Vec<&[f32]>> =
            owned.iter().map(|set| set.iter().map(Vec::as_slice).collect()).collect();
        for options in [Options::default(), Options { normalised: true, ..Options::default() }] {
            for isa in Isa::available().into_iter().filter(|isa| *isa != Isa::Scalar) {
                let mut found = std::collections::HashMap::new();
                let mut scratch = Scratch::default();
                for _ in 0..2 {
                    found.clear(); // a second time, with buffers that were used
                    within_each(&sets, Setup { isa, options }, &mut scratch, &mut |set, i, j, distance| {
                        assert!(found.insert((set, i.min(j), i.max(j)), distance).is_none());
                    });
                }
                let pairs: usize = sets.iter().map(|set| set.len() * set.len().saturating_sub(1) / 2).sum();
                assert_eq!(found.len(), pairs);
                for ((set, i, j), distance) in found {
                    let expected = scalar::distance(sets[set][i], sets[set][j], options);
                    assert_eq!(distance.to_bits(), expected.to_bits(), "{} {set} {i} {j}", isa.name());
                }
            }
        }
    }
}
