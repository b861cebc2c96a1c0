//! Expected levels as the passes read them: with an end piece on either side and padding behind.

use super::coarse::WIDEST as PADDING;
use super::target::Target;

/// Cost of a sample in an end piece and largest cost in an anchor (the basecaller may have called
/// the adapter, or nothing at all, and then nothing looks like the anchor), in expected costs of a sample in its right place.
const END_PIECE: f32 = 1.5;

/// Largest cost of a sample, in the same unit: a modified base may be off by several levels' noise.
const LARGEST: f32 = 10.0;

/// Level of an entry that no sample is near to.
const NOWHERE: f32 = 1e6;

/// Entry 0 and entry `n - 1` are end pieces: they take signal that is none of the target's (rest of
/// the adapter; bases beyond the alignment's 5' end) at a flat cost. Entry `j` is target entry `j - 1`.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Picoampere on the model's scale; padded.
    pub(super) mean: Vec<f32>,
    /// The squared distance of a sample from its level counts up to this; padded.
    pub(super) ceiling: Vec<f32>,
    /// Entries, without the padding.
    pub(super) n: usize,
}

impl Levels {
    /// Take the target's levels; `variance` is that expected of a sample around its level.
    pub(super) fn fill(&mut self, target: &Target, variance: f32) {
        self.n = target.level.len() + 2;
        self.mean.clear();
        self.mean.push(NOWHERE);
        self.mean.extend_from_slice(&target.level);
        self.mean.resize(self.n + PADDING, NOWHERE);
        self.set_variance(target, variance);
    }

    /// Renew the ceilings.
    pub(super) fn set_variance(&mut self, target: &Target, variance: f32) {
        let of_entry = |&position: &i32| if position < 0 { END_PIECE } else { LARGEST };
        self.ceiling.clear();
        self.ceiling.push(END_PIECE * variance);
        self.ceiling.extend(target.position.iter().map(|position| of_entry(position) * variance));
        self.ceiling.push(END_PIECE * variance);
        self.ceiling.resize(self.mean.len(), NOWHERE);
    }
}
