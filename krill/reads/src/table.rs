//! Columns of numbers and names as lines of text, cells apart by tabs.

/// Values of a column, one per line.
#[derive(Clone, Copy, Debug)]
pub enum Column<'a> {
    /// Six significant digits, as C's `%.6g` has them; empty where not a number.
    Real(&'a [f64]),
    /// Whole numbers.
    Whole(&'a [i64]),
    /// Text of so many bytes at most, padded with zeros.
    Text(&'a [u8], usize),
}

impl Column<'_> {
    fn write(&self, line: usize, out: &mut Vec<u8>) {
        match self {
            Self::Real(values) => write_real(values[line], out),
            Self::Whole(values) => write_whole(values[line], out),
            Self::Text(bytes, width) => {
                let padded = &bytes[line * width..(line + 1) * width];
                let end = padded.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                out.extend_from_slice(&padded[..end]);
            }
        }
    }
}

/// The lines of columns that have `lines` of them each.
#[must_use]
pub fn lines(columns: &[Column<'_>], lines: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines * columns.len() * 8);
    for line in 0..lines {
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(b'\t');
            }
            column.write(line, &mut out);
        }
        out.push(b'\n');
    }
    out
}

fn write_whole(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let (mut digits, mut at, mut rest) = ([0; 20], 20, value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn write_real(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let size = value.abs();
    if size.is_infinite() {
        out.extend_from_slice(b"inf");
    } else if size == 0.0 {
        out.push(b'0');
    } else {
        let (digits, exponent) = near_digits(size).unwrap_or_else(|| exact_digits(size));
        write_digits(digits, exponent, out);
    }
}

const DIGITS: i32 = 6;
const LEAST: f64 = 1e5;

/// Powers of ten that no rounded product of can be out by more than a few units in the last place.
const POWERS: [f64; 45] = [
    1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8,
    1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Six digits of a value as a number and its decimal exponent, where a product with a power of ten,
/// which is out by less than 1e-9, tells them.
fn near_digits(size: f64) -> Option<(u32, i32)> {
    const SURE: f64 = 1e-6;
    let exponent = size.log10().floor();
    let power = POWERS.get(usize::try_from(22 + DIGITS - 1 - exponent as i32).ok()?)?;
    let scaled = size * power;
    let nearest = scaled.round();
    let is_inside = scaled > LEAST + SURE && nearest < 10.0 * LEAST;
    let is_sure = ((scaled - nearest).abs() - 0.5).abs() > SURE;
    (is_inside && is_sure).then_some((nearest as u32, exponent as i32))
}

fn exact_digits(size: f64) -> (u32, i32) {
    let text = format!("{size:.5e}"); // one digit, a point, five digits, the exponent
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let number = digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    (number, exponent.parse().unwrap_or(0))
}

fn write_digits(number: u32, exponent: i32, out: &mut Vec<u8>) {
    let (mut digits, mut rest) = ([0; DIGITS as usize], number);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let n = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
    if (-4..DIGITS).contains(&exponent) {
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.extend_from_slice(&digits[..n]);
            return;
        }
        let whole = exponent as usize + 1;
        out.extend_from_slice(&digits[..whole]);
        if n > whole {
            out.push(b'.');
            out.extend_from_slice(&digits[whole..n]);
        }
        return;
    }
    out.push(digits[0]);
    if n > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..n]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    write_whole(i64::from(exponent.abs()), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(value: f64) -> String {
        String::from_utf8(lines(&[Column::Real(&[value])], 1)).expect("ASCII")
    }

    #[test]
    fn numbers_are_as_c_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (123_456.0, "123456"),
            (999_999.5, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.000_1, "0.0001"),
            (0.000_099_999_94, "9.99999e-05"),
            (0.000_012_3, "1.23e-05"),
            (0.1 + 0.2, "0.3"),
            (2.5e-310, "2.5e-310"),
            (f64::MAX, "1.79769e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, ""),
        ] {
            assert_eq!(real(value), format!("{text}\n"), "{value:e}");
        }
    }

    #[test]
    fn the_quick_digits_are_the_exact_ones() {
        let mut state = 1_u64;
        let mut n_quick = 0;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 11) as f64 / (1_u64 << 53) as f64;
            let exponent = (state % 40) as i32 - 20;
            for value in [
                unit,
                unit * 10_f64.powi(exponent),
                f64::from((unit * 1e4) as f32),
                (unit * 4e6).floor() / 2.0,
            ] {
                if value > 0.0
                    && let Some(quick) = near_digits(value)
                {
                    assert_eq!(quick, exact_digits(value), "{value:e}");
                    n_quick += 1;
                }
            }
        }
        assert!(n_quick > 500_000, "{n_quick}");
    }

    #[test]
    fn cells_are_apart_by_tabs() {
        let columns =
            [Column::Text(b"ab\0c\0\0", 3), Column::Whole(&[-7, i64::MIN]), Column::Real(&[f64::NAN, 2.0])];
        assert_eq!(lines(&columns, 2), b"ab\t-7\t\nc\t-9223372036854775808\t2\n");
    }
}
