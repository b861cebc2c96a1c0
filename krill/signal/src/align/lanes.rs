//! Sixteen neighbouring entries of the target at once.

/// Entries in a window.
pub(super) const LANES: usize = 16;

/// One value per entry of the window.
pub(super) type Lanes = [f32; LANES];

/// Window of `values` from `first` on.
#[inline(always)]
pub(super) fn load(values: &[f32], first: usize) -> Lanes {
    std::array::from_fn(|i| values[first..first + LANES][i])
}

/// Lane `i` takes lane `i - 1`; lane 0 takes `first`.
#[inline(always)]
pub(super) fn up<T: Copy>(lanes: [T; LANES], first: T) -> [T; LANES] {
    let mut moved = [first; LANES];
    moved[1..].copy_from_slice(&lanes[..LANES - 1]);
    moved
}

/// Lane `i` takes lane `i + 1`; the last lane takes `last`.
#[inline(always)]
pub(super) fn down<T: Copy>(lanes: [T; LANES], last: T) -> [T; LANES] {
    let mut moved = [last; LANES];
    moved[..LANES - 1].copy_from_slice(&lanes[1..]);
    moved
}

/// Lane-wise minimum.
#[inline(always)]
pub(super) fn min(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
}

/// Bit `i` says whether `a[i] < b[i]`.
#[inline(always)]
pub(super) fn less(a: Lanes, b: Lanes) -> u16 {
    let mut bits = 0;
    for i in 0..LANES {
        bits |= u16::from(a[i] < b[i]) << i;
    }
    bits
}
