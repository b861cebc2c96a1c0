//! Expected levels as the passes read them: with an end piece on either side and padding behind.

use super::coarse::WIDEST as PADDING;
use super::target::Target;

/// Largest cost of a sample in its place, in expected costs of a sample in its right place: a modified
/// base may be off by several levels' noise.
const LARGEST: f32 = 20.0;

/// Cost of a sample in the end piece before the target: what is left of the adapter.
const BEFORE: f32 = 1.5;

/// Cost of a sample in the end piece behind it: the last bases leave the pore unread, at once.
const BEHIND: f32 = 4.0;

/// Largest cost of a sample on an anchor that is not trusted.
const UNTRUSTED: f32 = 1.5;

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
    /// Whether the unreported entries look like the signal: the basecaller may have called the
    /// adapter, or noise.
    pub(super) trusts_anchors: bool,
}

impl Levels {
    /// Take the target's levels; `variance` is that expected of a sample around its level.
    pub(super) fn fill(&mut self, target: &Target, variance: f32, trusts_anchors: bool) {
        self.n = target.level.len() + 2;
        self.mean.clear();
        self.mean.push(NOWHERE);
        self.mean.extend_from_slice(&target.level);
        self.mean.resize(self.n + PADDING, NOWHERE);
        self.trusts_anchors = trusts_anchors;
        self.set_variance(target, variance);
    }

    /// Renew the ceilings.
    pub(super) fn set_variance(&mut self, target: &Target, variance: f32) {
        let anchor = if self.trusts_anchors { LARGEST } else { UNTRUSTED };
        let of_entry = |&position: &i32| if position < 0 { anchor } else { LARGEST };
        self.ceiling.clear();
        self.ceiling.push(BEFORE * variance);
        self.ceiling.extend(target.position.iter().map(|position| of_entry(position) * variance));
        self.ceiling.push(BEHIND * variance);
        self.ceiling.resize(self.mean.len(), NOWHERE);
    }
}
