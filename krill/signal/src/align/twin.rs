//! The three kernels again in double precision, slow and obviously right: no band, no window, no lanes.
//!
//! Each test places one simulated signal with every instruction set that the processor has: all must
//! give the same bits, and what the twin gives.

use super::coarse::{self, Coarse, NARROW, WIDE};
use super::levels::Levels;
use super::moves::{MoveTable, Prior};
use super::posterior::{self, KEPT, LARGEST_EVIDENCE, Posterior, SHIFT, SHIFTED, SQUARINGS};
use super::shares::Shares;
use super::simd;
use super::target::Target;
use super::viterbi::{self, Viterbi};
use crate::Isa;

/// Blocks by entries.
type Table = Vec<Vec<f64>>;

/// A signal, its levels and where each entry truly begins.
struct Case {
    signal: Vec<f32>,
    levels: Levels,
    truth: Vec<u32>,
}

/// Numbers in 0..1 that do not look regular.
fn noise(i: usize) -> f32 {
    ((i as f32 * 12.9898).sin() * 43_758.547).rem_euclid(1.0)
}

impl Case {
    /// 58 entries between two end pieces, of about `dwell` samples each and one of `stall` more.
    fn new(dwell: usize, stall: usize) -> Self {
        let level: Vec<f32> = (0..58).map(|i| 70.0 + 50.0 * noise(i + 7)).collect();
        let mut target = Target::default();
        (target.position, target.level) = ((0..58).collect(), level);
        let mut levels = Levels::default();
        levels.fill(&target, 20.0, true);
        let mut truth = vec![0];
        let mut signal = Vec::new();
        for entry in 0..levels.n {
            let n = dwell / 2 + (noise(entry) * dwell as f32) as usize + if entry == 30 { stall } else { 0 };
            let level = if levels.mean[entry] > 1000.0 { 60.0 } else { levels.mean[entry] };
            for _ in 0..n {
                let i = signal.len();
                signal.push(
                    level + 6.0 * (noise(2 * i + 1) + noise(3 * i) - 1.0) + 3.0 * (noise(entry + 99) - 0.5),
                );
            }
            truth.push(signal.len() as u32);
        }
        Self { signal, levels, truth }
    }

    /// The truth, displaced by up to a dwell.
    fn path(&self) -> Vec<u32> {
        let mut path = self.truth.clone();
        let n = path.len() - 1;
        for i in 1..n {
            path[i] =
                path[i - 1] + 3 + (noise(i) * 0.9 * (self.truth[i + 1] - path[i - 1]) as f32) as u32 / 2;
        }
        path
    }

    /// Squared distance of a value from every entry, no more than its ceiling.
    fn costs(&self, value: f64, shift: f64) -> Vec<f64> {
        let one = |(&level, &ceiling): (&f32, &f32)| {
            (value - f64::from(level) - shift).powi(2).min(f64::from(ceiling))
        };
        self.levels.mean.iter().zip(&self.levels.ceiling).take(self.levels.n).map(one).collect()
    }

    /// Cheapest path with at least `states` values per entry; `entering` is paid on the first of them.
    fn cheapest(&self, values: &[f64], states: usize, entering: impl Fn(usize, usize) -> f64) -> Vec<u32> {
        let n = self.levels.n;
        let mut best = vec![f64::INFINITY; n * states];
        let mut moved = Vec::new();
        for (t, &value) in values.iter().enumerate() {
            let costs = self.costs(value, 0.0);
            let mut next = best.clone();
            let mut row = vec![false; n * states];
            for i in 0..n * states {
                let toll = if i % states == 0 { entering(i / states, t) } else { 0.0 };
                let step = if i > 0 {
                    best[i - 1] + toll
                } else if t == 0 {
                    0.0
                } else {
                    f64::INFINITY
                };
                row[i] = step < best[i];
                next[i] = step.min(best[i]) + costs[i / states];
            }
            best = next;
            moved.push(row);
        }
        let mut boundaries = vec![0; n];
        let mut i = n * states - 1;
        for t in (1..values.len()).rev() {
            if moved[t][i] {
                if i.is_multiple_of(states) {
                    boundaries[i / states] = t as u32;
                }
                i -= 1;
            }
        }
        boundaries
    }
}

fn means(signal: &[f32], block: usize) -> Vec<f64> {
    let mean = |samples: &[f32]| samples.iter().map(|&x| f64::from(x)).sum::<f64>() / block as f64;
    signal.chunks_exact(block).map(mean).collect()
}

/// What every instruction set gives, which must be the same.
fn on_all<R: PartialEq + std::fmt::Debug>(run: impl Fn(Isa) -> R) -> R {
    let expected = run(Isa::Scalar);
    for isa in Isa::available() {
        assert_eq!(run(isa), expected, "{}", isa.name());
    }
    expected
}

#[test]
fn the_coarse_path_is_the_cheapest_of_all() {
    let case = Case::new(30, 600);
    for band in [NARROW, WIDE] {
        let found = on_all(|isa| {
            let (mut scratch, mut boundaries) = (coarse::Scratch::default(), Vec::new());
            let levels = &case.levels;
            let (signal, stdv) = (&case.signal, 3.0);
            let (scratch, boundaries) = (&mut scratch, &mut boundaries);
            simd::run(isa, Coarse { signal, levels, band, stdv, scratch, boundaries });
            boundaries.clone()
        });
        let expected = case.cheapest(&means(&case.signal, 5), 1, |_, _| 0.0);
        let in_blocks: Vec<u32> = found[..case.levels.n].iter().map(|boundary| boundary / 5).collect();
        assert_eq!(in_blocks, expected);
        assert_eq!(found[case.levels.n] as usize, case.signal.len());
    }
}

/// A move table that has every entry where it truly begins.
fn true_moves(case: &Case) -> MoveTable {
    let n = case.levels.n - 2;
    let mut target = Target::default();
    target.read_index = (0..n as i32).rev().collect();
    let mut moves = vec![0; case.signal.len()];
    for &boundary in &case.truth[1..=n] {
        moves[boundary as usize] = 1;
    }
    let mut table = MoveTable::default();
    assert!(table.fill(&moves, 1, n, &target));
    table
}

fn best_path<const STATES: usize>(case: &Case, with_moves: bool, isa: Isa) -> Vec<u32> {
    let mut table = true_moves(case);
    let prior: Option<Prior<'_>> = with_moves.then(|| table.prior(case.levels.n));
    let (mut scratch, mut boundaries) = (viterbi::Scratch::default(), case.path());
    let (signal, levels, weight) = (&case.signal, &case.levels, WEIGHT);
    let kernel = Viterbi::<STATES> {
        signal,
        levels,
        weight,
        prior,
        scratch: &mut scratch,
        boundaries: &mut boundaries,
    };
    simd::run(isa, kernel);
    boundaries
}

const WEIGHT: f32 = 0.02;

#[test]
fn the_best_path_is_the_cheapest_of_all() {
    let case = Case::new(30, 600);
    let values = means(&case.signal, 1);
    let n = case.levels.n;
    assert_eq!(on_all(|isa| best_path::<1>(&case, false, isa))[..n], case.cheapest(&values, 1, |_, _| 0.0));
    assert_eq!(on_all(|isa| best_path::<2>(&case, false, isa))[..n], case.cheapest(&values, 2, |_, _| 0.0));
}

#[test]
fn moves_cost_a_nat_per_width_and_four_at_most() {
    let case = Case::new(30, 600);
    // The table begins at sample 0 with the adapter's end piece, which no base is called in.
    let toll = |entry: usize, t: usize| {
        let expected = if entry + 1 < case.levels.n { f64::from(case.truth[entry]) } else { last(&case) };
        ((t as f64 - expected).abs() / 40.0).min(4.0) / f64::from(WEIGHT)
    };
    let expected = case.cheapest(&means(&case.signal, 1), 2, toll);
    let found = on_all(|isa| best_path::<2>(&case, true, isa));
    assert_eq!(found[..case.levels.n], expected);
}

/// Where the table's end piece is expected: half way from the last base to the end of the moves.
fn last(case: &Case) -> f64 {
    let n = case.levels.n;
    f64::from(case.truth[n - 2] + case.signal.len() as u32) / 2.0
}

/// P(block `t` belongs to entry `j`): forward and backward over all entries, variants and sub-states.
fn posterior(case: &Case, values: &[f64], states: usize, weight: f64, odds: f64) -> Table {
    let (n, width) = (case.levels.n, 3 * states);
    let likelihoods: Vec<Vec<f64>> = values
        .iter()
        .map(|&value| {
            let power = f64::from(1 << SQUARINGS);
            let likelihood =
                |cost: &f64| (1.0 - (cost * weight / power).min(f64::from(LARGEST_EVIDENCE))).powf(power);
            let shifts = [0.0, f64::from(SHIFT), -f64::from(SHIFT)];
            let of_shift =
                shifts.map(|shift| case.costs(value, shift).iter().map(likelihood).collect::<Vec<_>>());
            (0..n * width).map(|i| of_shift[i % width / states][i / width]).collect()
        })
        .collect();
    let prior = [1.0 - 2.0 * f64::from(SHIFTED), f64::from(SHIFTED), f64::from(SHIFTED)];
    // Everything that leads from one state to another, with its weight; staying has weight 1.
    let mut steps = Vec::new();
    for j in 0..n {
        for (v, prior) in prior.iter().enumerate() {
            let first = j * width + v * states;
            steps.extend((1..states).map(|s| (first + s - 1, first + s, 1.0)));
            for from in 0..3_usize {
                let kept = if from == 0 { 0.0 } else { f64::from(KEPT) };
                let stays = if from == v { kept } else { 0.0 };
                if j > 0 {
                    let last = (j - 1) * width + from * states + states - 1;
                    steps.push((last, first, odds * (stays + (1.0 - kept) * prior)));
                }
            }
        }
    }
    let mut forward = vec![vec![0.0; n * width]];
    for v in 0..3 {
        forward[0][v * states] = prior[v] * likelihoods[0][v * states];
    }
    for likelihood in &likelihoods[1..] {
        let before = &forward[forward.len() - 1];
        let mut next = before.clone();
        for &(from, to, weight) in &steps {
            next[to] += before[from] * weight;
        }
        let scale = before.iter().sum::<f64>();
        forward.push(
            next.iter().zip(likelihood).map(|(value, likelihood)| value * likelihood / scale).collect(),
        );
    }
    let mut backward = vec![0.0; n * width];
    (0..3).for_each(|v| (0..states).for_each(|s| backward[(n - 1) * width + v * states + s] = 1.0));
    let mut shares = vec![Vec::new(); values.len()];
    for t in (0..values.len()).rev() {
        let product: Vec<f64> = forward[t].iter().zip(&backward).map(|(a, b)| a * b).collect();
        let total: f64 = product.iter().sum();
        shares[t] = product.chunks(width).map(|part| part.iter().sum::<f64>() / total).collect();
        let seen: Vec<f64> =
            backward.iter().zip(&likelihoods[t]).map(|(value, likelihood)| value * likelihood).collect();
        let scale = seen.iter().sum::<f64>();
        backward = seen.iter().map(|value| value / scale).collect();
        for &(from, to, weight) in &steps {
            backward[from] += seen[to] * weight / scale;
        }
    }
    shares
}

#[test]
fn posteriors_are_those_of_the_sum_over_all_paths() {
    for (dwell, block) in [(30, 2), (9, 1)] {
        let case = Case::new(dwell, 0);
        let n = case.levels.n;
        let values = means(&case.signal, block);
        // A path without stalls: the same odds everywhere.
        let even: Vec<u32> = (0..=n).map(|i| (i * case.signal.len() / n) as u32).collect();
        let found = on_all(|isa| {
            let (mut scratch, mut shares) = (posterior::Scratch::default(), Shares::default());
            let mut boundaries = even.clone();
            let kernel = Posterior::<3> {
                signal: &case.signal,
                levels: &case.levels,
                weight: WEIGHT,
                prior: None,
                scratch: &mut scratch,
                shares: &mut shares,
                boundaries: &mut boundaries,
            };
            simd::run(isa, kernel);
            let confidence = |entry: usize, t: usize| shares.confidence(entry, t * block..t * block + 1);
            let points =
                (0..values.len()).step_by(4).map(|t| (0..n).map(|entry| confidence(entry, t)).collect());
            (points.collect::<Vec<Vec<f32>>>(), boundaries)
        });
        let leave = 3.0 / (values.len() as f64 / n as f64);
        let odds = (leave / (1.0 - leave)).powi(3);
        let expected = posterior(&case, &values, 3, f64::from(WEIGHT) * block as f64, odds);
        for (point, found) in found.0.iter().enumerate() {
            for entry in 0..n {
                let difference = f64::from(found[entry]) - expected[4 * point][entry];
                assert!(difference.abs() < 0.02, "{dwell} {point} {entry}: {} {difference}", found[entry]);
            }
        }
        for entry in 1..n {
            let reached = |t: &Vec<f64>| t[entry..].iter().sum::<f64>() >= 0.5;
            let first = expected.iter().position(reached).expect("reached") * block;
            let boundary = found.1[entry] as usize;
            assert!(boundary.abs_diff(first) <= 3 * block, "{dwell} {entry}: {boundary} {first}");
        }
    }
}
