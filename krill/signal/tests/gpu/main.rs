//! The GPU's path against the processor's: planning, packing, kernels (compiled for the host) and
//! reductions, on a device of host memory.

#![expect(clippy::unwrap_used, reason = "tests")]

mod fake;

use fake::Fake;
use krill_signal::dtw::gpu::{Gpus, Kernel, Share};
use krill_signal::dtw::{self, Cost, LONG_SAMPLES, Options, Positions, Role, Run, scalar};
use krill_signal::{Error, Isa, Threads};
use std::sync::atomic::Ordering;

const PLENTY: usize = 1 << 30;

fn gpus(devices: &[Fake]) -> Gpus<'_, Fake> {
    Gpus { devices, share: Share::default(), threads: Threads::CALLER }
}

fn run() -> Run {
    // The portable path of x86-64 rounds twice; every other one is the definition's equal.
    let isa = Isa::available().pop().unwrap();
    assert!(isa != Isa::Scalar || cfg!(target_arch = "aarch64"), "these tests need AVX2");
    Run { isa, threads: 1 }
}

/// Numbers that look random, from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn up_to(&mut self, most: usize) -> usize {
        (self.next() * most as f32) as usize
    }

    /// Plateaus and steps, some with noise, some far off.
    fn signal(&mut self, length: usize) -> Vec<f32> {
        let offset = [0.0, 90.0, 3000.0][self.up_to(3)];
        let noise = [0.0, 2.0][self.up_to(2)];
        let mut level = offset;
        (0..length)
            .map(|i| {
                if i % 7 == 0 {
                    level = offset + 30.0 * (self.next() - 0.5).round();
                }
                level + noise * (self.next() - 0.5)
            })
            .collect()
    }
}

fn signals(lengths: &[usize]) -> Vec<Vec<f32>> {
    let mut random = Random(7);
    lengths.iter().map(|&length| random.signal(length)).collect()
}

fn slices(signals: &[Vec<f32>]) -> Vec<&[f32]> {
    signals.iter().map(Vec::as_slice).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Every way in which a distance can be asked for.
fn all_options() -> Vec<Options> {
    let flags = [false, true];
    let mut all = Vec::new();
    for cost in [Cost::Squared, Cost::Absolute] {
        for normalised in flags {
            for (open_start, open_end) in flags.into_iter().flat_map(|a| flags.map(|b| (a, b))) {
                all.push(Options { cost, normalised, open_start, open_end });
            }
        }
    }
    all
}

#[test]
fn structures_are_those_of_the_kernels() {
    assert_eq!(dtw::gpu::layout(), krill_host_kernels::layout());
}

#[test]
fn cross_equals_the_definition_at_every_edge() {
    let edges = [1, 2, 7, 8, 9, 31, 32, 33, 47, 48, 49, 55, 56, 57, 63, 64, 65, 111, 112, 113];
    let (a, b) = (signals(&edges), signals(&edges[..17]));
    let (a, b) = (slices(&a), slices(&b));
    for options in all_options() {
        let expected: Vec<f32> =
            a.iter().flat_map(|x| b.iter().map(move |y| scalar::distance(x, y, options))).collect();
        let got = gpus(&[Fake::new(PLENTY)]).cross(&a, &b, options).unwrap();
        assert_eq!(bits(&expected), bits(&got), "{options:?}");
    }
}

#[test]
fn windows_around_the_limit_of_float32_equal_the_definition() {
    let all = signals(&[5, LONG_SAMPLES - 1, LONG_SAMPLES, LONG_SAMPLES + 1]);
    let all = slices(&all);
    let open = Options { normalised: true, open_end: true, ..Options::default() };
    for (options, queries) in [(Options::default(), &all[..]), (open, &all[..1])] {
        let expected: Vec<f32> =
            queries.iter().flat_map(|x| all.iter().map(move |y| scalar::distance(x, y, options))).collect();
        let device = [Fake::new(PLENTY)];
        let got = gpus(&device).cross(queries, &all, options).unwrap();
        assert_eq!(bits(&expected), bits(&got), "{options:?}");
        assert!(device[0].launched(Kernel::PairsWide));
    }
}

#[test]
fn pairwise_equals_the_processor_for_any_number_of_signals() {
    for n in [0, 1, 2, 3, 31, 32, 33, 65, 100] {
        let mut random = Random(n as u64);
        let lengths: Vec<usize> = (0..n).map(|_| 1 + random.up_to(90)).collect();
        let all = signals(&lengths);
        let all = slices(&all);
        let options = Options { normalised: n % 2 == 0, ..Options::default() };
        let expected = dtw::pairwise(&all, options, run()).unwrap();
        let got = gpus(&[Fake::new(PLENTY)]).pairwise(&all, options).unwrap();
        assert_eq!(bits(&expected), bits(&got), "{n}");
    }
}

#[test]
fn pairwise_of_more_than_one_block_equals_the_processor() {
    let mut random = Random(3);
    let lengths: Vec<usize> = (0..1100).map(|_| 1 + random.up_to(4)).collect();
    let all = signals(&lengths);
    let all = slices(&all);
    let expected = dtw::pairwise(&all, Options::default(), run()).unwrap();
    let got = gpus(&[Fake::new(PLENTY)]).pairwise(&all, Options::default()).unwrap();
    assert_eq!(bits(&expected), bits(&got));
}

/// Windows of some positions, as intervals of one signal.
struct Contig {
    signal: Vec<f32>,
    start: Vec<i64>,
    end: Vec<i64>,
    offsets: Vec<i64>,
}

impl Contig {
    fn new(n_windows: &[usize], longest: usize) -> Self {
        let mut random = Random(n_windows.len() as u64);
        let (mut signal, mut start, mut end, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), vec![0]);
        for &n in n_windows {
            for _ in 0..n {
                start.push(signal.len() as i64);
                let length = 1 + random.up_to(longest);
                signal.extend(random.signal(length));
                end.push(signal.len() as i64);
            }
            offsets.push(start.len() as i64);
        }
        Self { signal, start, end, offsets }
    }

    fn positions(&self) -> Positions<'_> {
        Positions { signal: &self.signal, start: &self.start, end: &self.end, offsets: &self.offsets }
    }

    fn landmarks(&self) -> Vec<bool> {
        let mut random = Random(11);
        self.start.iter().map(|_| random.next() < 0.5).collect()
    }

    fn roles(&self) -> Vec<Role> {
        let mut random = Random(13);
        let role = |_| Role {
            is_query: random.next() < 0.7,
            is_reference: random.next() < 0.6,
            fold: random.up_to(4) as i64 - 1,
        };
        self.start.iter().map(role).collect()
    }
}

#[test]
fn coordinates_equal_the_processor_bit_by_bit() {
    let mut contig = Contig::new(&[0, 1, 4, 33, 70, 5, 40], 80);
    // Landmarks all alike, and one window that never ends.
    let (first, last) = (contig.offsets[5] as usize, contig.offsets[6] as usize);
    for i in first..last {
        (contig.start[i], contig.end[i]) = (contig.start[first], contig.end[first]);
    }
    contig.end[80] = contig.start[80] + 1200;
    for is_landmark in [contig.landmarks(), vec![true; contig.start.len()], vec![false; contig.start.len()]] {
        let expected = dtw::coordinates(contig.positions(), &is_landmark, run()).unwrap();
        let got = gpus(&[Fake::new(PLENTY)]).coordinates(contig.positions(), &is_landmark).unwrap();
        assert_eq!(bits(&expected), bits(&got));
    }
}

#[test]
fn distances_too_large_for_float32_give_the_processors_coordinates() {
    let contig = Contig {
        signal: (0..60).map(|i| if i % 10 < 5 { 3e38 } else { -3e38 * (i as f32 / 60.0) }).collect(),
        start: (0..12).map(|i| 5 * i).collect(),
        end: (1..13).map(|i| 5 * i).collect(),
        offsets: vec![0, 12],
    };
    let expected = dtw::coordinates(contig.positions(), &[true; 12], run()).unwrap();
    let got = gpus(&[Fake::new(PLENTY)]).coordinates(contig.positions(), &[true; 12]).unwrap();
    assert_eq!(bits(&expected), bits(&got));
}

#[test]
fn summaries_equal_the_processor_bit_by_bit() {
    let contig = Contig::new(&[0, 1, 2, 33, 70, 6], 70);
    let everyone: Vec<Role> = (0..contig.start.len())
        .map(|i| Role { is_query: true, is_reference: true, fold: i as i64 })
        .collect();
    for roles in [contig.roles(), everyone] {
        for (n_nearest, options) in [
            (0, Options::default()),
            (5, Options { normalised: true, ..Options::default() }),
            (100, Options { cost: Cost::Absolute, ..Options::default() }),
        ] {
            let expected = dtw::summaries(contig.positions(), &roles, n_nearest, options, run()).unwrap();
            let got =
                gpus(&[Fake::new(PLENTY)]).summaries(contig.positions(), &roles, n_nearest, options).unwrap();
            assert_eq!(bits(&expected), bits(&got), "{n_nearest}");
        }
    }
}

#[test]
fn batches_keep_to_the_limit_and_change_no_bit() {
    let contig = Contig::new(&[20; 12], 40);
    let expected = dtw::coordinates(contig.positions(), &contig.landmarks(), run()).unwrap();
    for (limit, sharers) in [(100_000, 1), (400_000, 3), (PLENTY, 1)] {
        let devices = [Fake::new(PLENTY)];
        let share = Share { limit_bytes: Some(limit), sharers };
        let got = Gpus { devices: &devices, share, threads: Threads::new(2).unwrap() }
            .coordinates(contig.positions(), &contig.landmarks())
            .unwrap();
        assert_eq!(bits(&expected), bits(&got), "{limit}");
        let record = devices[0].record;
        assert!(record.most_in_use.load(Ordering::SeqCst) <= limit / sharers, "{limit}");
        assert_eq!(record.n_batches.load(Ordering::SeqCst) == 2, limit == PLENTY); // 4 positions, then 8
        // Four slots at most, and theirs grown: slots are used again.
        assert!(record.n_allocations.load(Ordering::SeqCst) <= 8, "{record:?}");
        assert!(record.in_use.load(Ordering::SeqCst) <= limit / sharers / 8, "what lies idle is little");
    }
}

#[test]
fn a_device_has_batches_waiting_while_the_next_is_packed() {
    let contig = Contig::new(&[20; 60], 40);
    let devices = [Fake::new(PLENTY)];
    gpus(&devices).coordinates(contig.positions(), &contig.landmarks()).unwrap();
    let record = devices[0].record;
    assert!(record.n_batches.load(Ordering::SeqCst) > 3, "{record:?}");
    assert_eq!(record.most_in_hand.load(Ordering::SeqCst), 4);
    assert_eq!(record.in_hand.load(Ordering::SeqCst), 0);
}

#[test]
fn a_refused_batch_is_halved_once_and_then_reported() {
    let contig = Contig::new(&[20; 12], 40);
    let expected = dtw::coordinates(contig.positions(), &contig.landmarks(), run()).unwrap();
    let devices = [Fake::new(PLENTY)];
    devices[0].n_refused.store(1, Ordering::SeqCst);
    let got = gpus(&devices).coordinates(contig.positions(), &contig.landmarks()).unwrap();
    assert_eq!(bits(&expected), bits(&got));
    let devices = [Fake::new(PLENTY)];
    devices[0].n_refused.store(2, Ordering::SeqCst);
    let error = gpus(&devices).coordinates(contig.positions(), &contig.landmarks()).unwrap_err();
    assert!(matches!(&error, Error::DeviceMemory { device, .. } if device == "fake:0"), "{error}");
}

#[test]
fn memory_is_kept_for_the_next_call() {
    let contig = Contig::new(&[20; 12], 40);
    let devices = [Fake::new(PLENTY)];
    for _ in 0..3 {
        gpus(&devices).coordinates(contig.positions(), &contig.landmarks()).unwrap();
        assert_eq!(devices[0].record.n_allocations.load(Ordering::SeqCst), 2);
    }
}

/// With memory for one batch at a time, some calls wait for others, and none for itself.
#[test]
fn calls_at_once_share_the_budget_and_change_no_bit() {
    let contig = Contig::new(&[20; 12], 40);
    let expected = dtw::coordinates(contig.positions(), &contig.landmarks(), run()).unwrap();
    for limit in [30_000, 100_000, 400_000] {
        let devices = [Fake::new(PLENTY)];
        let share = Share { limit_bytes: Some(limit), sharers: 1 };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let gpus = Gpus { devices: &devices, share, threads: Threads::CALLER };
                    let got = gpus.coordinates(contig.positions(), &contig.landmarks()).unwrap();
                    assert_eq!(bits(&expected), bits(&got), "{limit}");
                });
            }
        });
        let most = devices[0].record.most_in_use.load(Ordering::SeqCst);
        assert!(most <= limit, "{most} of {limit}");
    }
}

#[test]
fn a_position_larger_than_the_memory_is_refused_with_the_numbers() {
    let contig = Contig::new(&[60], 40);
    let devices = [Fake::new(20_000)];
    let error = gpus(&devices).coordinates(contig.positions(), &contig.landmarks()).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("device fake:0: one position needs "), "{message}");
    assert!(message.ends_with("18000 may be used"), "{message}");
}

#[test]
fn several_devices_share_the_work_and_change_no_bit() {
    let contig = Contig::new(&[20; 30], 40);
    let expected = dtw::coordinates(contig.positions(), &contig.landmarks(), run()).unwrap();
    let devices = [Fake::new(200_000), Fake::new(100_000)];
    let got = gpus(&devices).coordinates(contig.positions(), &contig.landmarks()).unwrap();
    assert_eq!(bits(&expected), bits(&got));
    let batches: Vec<usize> =
        devices.iter().map(|device| device.record.n_batches.load(Ordering::SeqCst)).collect();
    assert!(batches.iter().sum::<usize>() > 2, "{batches:?}");
}

#[test]
fn one_failing_device_ends_the_call_with_its_error() {
    let contig = Contig::new(&[20; 30], 40);
    let devices = [Fake::new(2 << 20), Fake::new(1 << 20)];
    for device in &devices {
        device.n_refused.store(usize::MAX, Ordering::SeqCst);
    }
    assert!(gpus(&devices).coordinates(contig.positions(), &contig.landmarks()).is_err());
}

#[test]
fn samples_that_are_no_numbers_are_refused_as_on_the_processor() {
    let mut contig = Contig::new(&[20; 30], 40);
    let everyone = vec![true; contig.start.len()];
    let refusals = |contig: &Contig| {
        let got = gpus(&[Fake::new(PLENTY)]).coordinates(contig.positions(), &everyone).unwrap_err();
        let expected = dtw::coordinates(contig.positions(), &everyone, run()).unwrap_err();
        (got.to_string(), expected.to_string())
    };
    contig.signal[contig.start[500] as usize] = f32::NAN;
    let (got, expected) = refusals(&contig);
    assert_eq!(got, expected);
    assert!(got.contains("window [500] has NaN at sample 0"), "{got}");
    contig.signal[contig.end[20] as usize - 1] = f32::INFINITY;
    contig.end[300] = contig.start[300];
    let (got, expected) = refusals(&contig);
    assert_eq!(got, expected);
    assert!(got.contains("window [20] has inf at sample"), "{got}");
}

#[test]
fn open_ends_are_refused_where_pairs_have_no_order() {
    let all = signals(&[3, 4]);
    let options = Options { open_end: true, ..Options::default() };
    let error = gpus(&[Fake::new(PLENTY)]).pairwise(&slices(&all), options).unwrap_err();
    assert!(error.to_string().contains("open ends"), "{error}");
}
