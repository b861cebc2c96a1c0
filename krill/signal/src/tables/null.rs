//! Values in units of the controls' spread, without the local trend of each column.

use super::{Table, median};
use crate::isa::{Isa, Kernel};
use crate::{Error, Result};

const MAD_TO_SD: f64 = 1.4826;

/// Squared deviations count up to so many robust standard deviations.
const CLIP_SD: f64 = 3.0;

/// How far the spread of a row is taken from the rows like it.
#[derive(Debug, Clone, Copy)]
pub struct Moderation {
    /// Columns that the variance of a row's like is worth beside its own.
    pub prior: f64,
    /// Columns that the variance of all rows is worth beside that of the row's like.
    pub kind_prior: f64,
    /// Standardised values are clipped here.
    pub clip: f32,
}

/// How the local trend of a column is found: over rows up to `reach` away, farther than `gap`.
#[derive(Debug, Clone, Copy)]
pub struct Trend {
    /// Rows, farthest.
    pub reach: usize,
    /// Rows, nearest that do not count.
    pub gap: usize,
    /// Rows without trend that are reckoned with.
    pub prior: f64,
    /// Tukey's biweight: values beyond it do not count; infinite = a plain mean.
    pub cut: f32,
    /// Mean response of the biweight to a small trend.
    pub slope: f32,
    /// Rows where the labels differ by so many standard errors say nothing of a trend; infinite = all
    /// rows count alike.
    pub difference: f64,
}

/// What [`standardise`] returns.
#[derive(Debug, Default, Clone)]
pub struct Standardised {
    /// `rows x columns`; 0 where absent.
    pub z: Vec<f32>,
    /// Standard deviation of the controls of each row, moderated.
    pub spread: Vec<f32>,
}

/// Return control-centered, variance-moderated values; `kind` names the rows that are alike, below 0
/// = like no other.
pub fn standardise(
    table: Table<'_>,
    kind: &[i64],
    moderation: Moderation,
    trend: Trend,
) -> Result<Standardised> {
    let fail = |name, problem: String| Err(Error::Argument { name, problem });
    if kind.len() != table.rows {
        return fail("kind", format!("has {} entries for {} rows", kind.len(), table.rows));
    }
    if trend.gap > trend.reach {
        return fail("trend", format!("has a gap of {} beyond its reach of {}", trend.gap, trend.reach));
    }
    let controls = Controls::of(&table);
    let spread: Vec<f32> =
        controls.deviations(kind, moderation).into_iter().map(|spread| spread as f32).collect();
    let z = Isa::selected()?.run(Levels { table, controls: &controls, spread: &spread, moderation, trend });
    Ok(Standardised { z, spread })
}

/// What the controls of each row look like.
#[derive(Debug, Default)]
struct Controls {
    n: Vec<usize>,
    center: Vec<f32>,
    robust: Vec<f64>,
    variance: Vec<f64>,
}

impl Controls {
    fn of(table: &Table<'_>) -> Self {
        let mut out = Self::default();
        let mut values = Vec::with_capacity(table.columns());
        for row in 0..table.rows {
            values.clear();
            values.extend(table.controls(row).map(|(value, _)| f64::from(value)));
            let center = median(&mut values).unwrap_or(0.0);
            for value in &mut values {
                *value = (*value - center).abs();
            }
            let robust = MAD_TO_SD * median(&mut values).unwrap_or(0.0);
            let squares = values.iter().map(|&deviation| deviation.min(CLIP_SD * robust).powi(2));
            out.variance.push(squares.sum::<f64>() / values.len().max(1) as f64);
            out.n.push(values.len());
            out.center.push(center as f32);
            out.robust.push(robust);
        }
        out
    }

    /// Degrees of freedom of a row's variance.
    fn freedom(&self, row: usize) -> f64 {
        self.n[row].saturating_sub(1) as f64
    }

    /// Standard deviation of each row, its variance shrunken to that of its kind, and that to all.
    fn deviations(&self, kind: &[i64], moderation: Moderation) -> Vec<f64> {
        let rows = 0..self.n.len();
        let typical = rows.clone().filter(|&row| self.n[row] >= 2 && self.robust[row] > 0.0).map(|row| {
            let n = self.n[row] as f64;
            self.robust[row].powi(2) * n / (n - 1.0)
        });
        let all = median(&mut typical.collect::<Vec<_>>()).unwrap_or(1.0);
        let kind_of = |row: usize| usize::try_from(kind[row]).ok().filter(|_| self.n[row] >= 2);
        let kinds = rows.clone().filter_map(kind_of).max().map_or(0, |most| most + 1);
        let (mut sums, mut counts) = (vec![0.0; kinds], vec![0.0; kinds]);
        for row in rows.clone() {
            if let Some(kind) = kind_of(row) {
                sums[kind] += self.freedom(row) * self.variance[row];
                counts[kind] += self.freedom(row);
            }
        }
        let floor = 1e-6 * all.max(1e-6);
        let deviation = |row: usize| {
            let (n, own) = (self.freedom(row), self.freedom(row) * self.variance[row]);
            let (other, other_n) =
                kind_of(row).map_or((0.0, 0.0), |kind| (sums[kind] - own, counts[kind] - n));
            let like = (other + moderation.kind_prior * all) / (other_n + moderation.kind_prior);
            ((own + moderation.prior * like) / (n + moderation.prior)).max(floor).sqrt()
        };
        rows.map(deviation).collect()
    }
}

struct Levels<'a> {
    table: Table<'a>,
    controls: &'a Controls,
    spread: &'a [f32],
    moderation: Moderation,
    trend: Trend,
}

impl Kernel for Levels<'_> {
    type Output = Vec<f32>;
    #[inline(always)]
    fn run(self) -> Vec<f32> {
        let columns = self.table.columns();
        let mut z = vec![0.0_f32; self.table.rows * columns];
        for row in 0..self.table.rows {
            let (values, weight) = self.table.row(row);
            let (center, spread) = (self.controls.center[row], self.spread[row]);
            let z = &mut z[row * columns..][..columns];
            for i in 0..columns {
                z[i] = if weight[i] > 0.0 { (values[i] - center) / spread } else { 0.0 };
            }
        }
        let likeness = self.likeness(&z);
        let mut around = Around::new(&self, &z, &likeness);
        let clip = self.moderation.clip;
        for row in 0..self.table.rows {
            around.move_to(row);
            let (_, weight) = self.table.row(row);
            let z = &mut z[row * columns..][..columns];
            for i in 0..columns {
                let trend = (around.sum[i] / (around.count[i] + self.trend.prior)) as f32;
                z[i] = if weight[i] > 0.0 { (z[i] - trend).clamp(-clip, clip) } else { 0.0 };
            }
            let own = z.iter().zip(self.table.is_control).filter(|(_, is_control)| **is_control);
            let sum: f64 = own.map(|(z, _)| f64::from(*z)).sum(); // 0 where absent
            let mean = (sum / self.controls.n[row].max(1) as f64) as f32;
            for i in 0..columns {
                z[i] = if weight[i] > 0.0 { z[i] - mean } else { 0.0 };
            }
        }
        z
    }
}

impl Levels<'_> {
    /// How much each row tells of trends, 1 to 0: the biweight of how far the labels' means differ
    /// there or on the next row, a difference that the whole surroundings have aside.
    #[inline(always)]
    fn likeness(&self, z: &[f32]) -> Vec<f32> {
        let Trend { reach, difference: most, .. } = self.trend;
        if most.is_infinite() {
            return vec![1.0; self.table.rows];
        }
        let (mut apart, error): (Vec<f64>, Vec<f64>) =
            (0..self.table.rows).map(|row| self.apart(z, row)).unzip();
        let mut values = Vec::with_capacity(2 * reach + 1);
        let usual: Vec<f64> = (0..apart.len())
            .map(|row| {
                let (low, high) = (row.saturating_sub(reach), (row + reach + 1).min(apart.len()));
                values.clear();
                values.extend_from_slice(&apart[low..high]);
                values.resize(2 * reach + 1, 0.0); // beyond the ends the labels agree
                median(&mut values).unwrap_or(0.0)
            })
            .collect();
        for ((apart, usual), error) in apart.iter_mut().zip(usual).zip(&error) {
            *apart = if *error > 0.0 { (*apart - usual).abs() / error } else { 0.0 };
        }
        values.clear();
        values.extend(apart.iter().zip(&error).filter(|(_, error)| **error > 0.0).map(|(apart, _)| *apart));
        let unit = most * (MAD_TO_SD * median(&mut values).unwrap_or(0.0)).max(1.0);
        let near = |row: usize| apart[row.saturating_sub(1)..(row + 2).min(apart.len())].iter();
        (0..apart.len())
            .map(|row| near(row).fold(0.0_f64, |most, &apart| most.max(apart)))
            .map(|apart| (1.0 - (apart / unit).powi(2)).max(0.0).powi(2) as f32)
            .collect()
    }

    /// Difference of the labels' means in a row and its standard error; 0 where there is one alone.
    #[inline(always)]
    fn apart(&self, z: &[f32], row: usize) -> (f64, f64) {
        let columns = self.table.columns();
        let (_, weight) = self.table.row(row);
        let clip = self.moderation.clip;
        let (mut sum, mut n) = ([0.0_f64; 2], [0.0_f64; 2]);
        for ((&z, &weight), &is_control) in
            z[row * columns..][..columns].iter().zip(weight).zip(self.table.is_control)
        {
            if weight > 0.0 {
                sum[usize::from(is_control)] += f64::from(z.clamp(-clip, clip));
                n[usize::from(is_control)] += 1.0;
            }
        }
        if n[0] == 0.0 || n[1] == 0.0 {
            return (0.0, 0.0);
        }
        (sum[0] / n[0] - sum[1] / n[1], (1.0 / n[0] + 1.0 / n[1]).sqrt())
    }
}

/// What counts for the trend of each column, around a row that moves on.
struct Around<'a> {
    levels: &'a Levels<'a>,
    likeness: &'a [f32],
    counted: Vec<f32>,
    sum: Vec<f64>,
    count: Vec<f64>,
}

impl<'a> Around<'a> {
    #[inline(always)]
    fn new(levels: &'a Levels<'a>, z: &[f32], likeness: &'a [f32]) -> Self {
        let Trend { reach, gap, cut, slope, .. } = levels.trend;
        let counted = z
            .iter()
            .map(|&z| {
                let inner = (1.0 - (z / cut) * (z / cut)).max(0.0);
                z * inner * inner / slope
            })
            .collect();
        let columns = levels.table.columns();
        let mut out = Self { levels, likeness, counted, sum: vec![0.0; columns], count: vec![0.0; columns] };
        // as if it stood before the first row
        for row in 0..reach {
            out.add(row, 1.0);
        }
        for row in 0..gap {
            out.add(row, -1.0);
        }
        out
    }

    /// Go on to the next row.
    #[inline(always)]
    fn move_to(&mut self, row: usize) {
        let Trend { reach, gap, .. } = self.levels.trend;
        self.add(row + reach, 1.0);
        self.add(row + gap, -1.0);
        if row > reach {
            self.add(row - reach - 1, -1.0);
        }
        if row > gap {
            self.add(row - gap - 1, 1.0);
        }
    }

    #[inline(always)]
    fn add(&mut self, row: usize, sign: f32) {
        if row >= self.levels.table.rows {
            return;
        }
        let columns = self.levels.table.columns();
        let (_, weight) = self.levels.table.row(row);
        let counted = &self.counted[row * columns..][..columns];
        let (sum, count) = (&mut self.sum[..columns], &mut self.count[..columns]);
        let sign = sign * self.likeness[row];
        for i in 0..columns {
            sum[i] += f64::from(sign * counted[i]);
            count[i] += f64::from(if weight[i] > 0.0 { sign } else { 0.0 });
        }
    }
}
