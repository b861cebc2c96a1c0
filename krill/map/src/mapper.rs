//! Map reads with minimap2: one mapper, with one buffer, per thread.

use std::os::raw::{c_char, c_int};

use minimap2_sys as ffi;

use crate::index::Index;

/// One place where a read aligns.
pub(crate) type Hit = ffi::mm_reg1_t;

/// All places of one read, best first. Freed on drop.
pub(crate) struct Hits {
    raw: *mut Hit,
    count: usize,
    /// Bases of the read covered by seeds that are too frequent.
    pub(crate) repeat_length: i32,
}

impl Hits {
    pub(crate) fn as_slice(&self) -> &[Hit] {
        if self.count == 0 {
            return &[];
        }
        // SAFETY: minimap2 returned `count` hits at `raw`, which belong to this value.
        unsafe { std::slice::from_raw_parts(self.raw, self.count) }
    }

    fn as_mut_slice(&mut self) -> &mut [Hit] {
        if self.count == 0 {
            return &mut [];
        }
        // SAFETY: as in as_slice; borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.raw, self.count) }
    }

    /// The hit that stands for the read.
    pub(crate) fn primary(&self) -> Option<&Hit> {
        self.as_slice().iter().find(|hit| hit.sam_pri() == 1)
    }

    /// Turn hits of a reverse-complemented read into hits of the read.
    fn flip(&mut self, read_length: i32) {
        for hit in self.as_mut_slice() {
            (hit.qs, hit.qe) = (read_length - hit.qe, read_length - hit.qs);
            hit.set_rev(1 - hit.rev());
            // SAFETY: `p` is null or points to this hit's own alignment.
            if let Some(extra) = unsafe { hit.p.as_mut() } {
                let strand = extra.trans_strand();
                extra.set_trans_strand(if strand == 0 { 0 } else { 3 - strand });
            }
        }
    }
}

impl Drop for Hits {
    fn drop(&mut self) {
        for hit in self.as_slice() {
            // SAFETY: allocated by minimap2 with malloc, freed once.
            unsafe { libc::free(hit.p.cast()) };
        }
        // SAFETY: as above.
        unsafe { libc::free(self.raw.cast()) };
    }
}

/// CIGAR of a hit as BAM encodes it, without clips.
pub(crate) fn cigar(hit: &Hit) -> &[u32] {
    // SAFETY: with MM_F_CIGAR every hit has an alignment of `n_cigar` operations behind `p`.
    unsafe {
        hit.p.as_ref().map_or(&[][..], |extra| {
            std::slice::from_raw_parts((&raw const (*hit.p).cigar).cast::<u32>(), extra.n_cigar as usize)
        })
    }
}

/// A thread's own state for mapping against a shared index.
pub(crate) struct Mapper<'a> {
    index: &'a Index,
    buffer: *mut ffi::mm_tbuf_t,
    reversed: Vec<u8>,
    /// Name of the read, with the zero that C expects at its end.
    name: Vec<u8>,
}

// SAFETY: the buffer is used by whichever thread owns the mapper, never by two.
unsafe impl Send for Mapper<'_> {}

impl<'a> Mapper<'a> {
    pub(crate) fn new(index: &'a Index) -> Self {
        // SAFETY: allocates a buffer that Drop destroys.
        Self { index, buffer: unsafe { ffi::mm_tbuf_init() }, reversed: Vec::new(), name: Vec::new() }
    }

    /// Map one read. The name breaks ties as on minimap2's command line.
    pub(crate) fn map(&mut self, name: &[u8], sequence: &[u8]) -> Hits {
        let [hits] = self.map_segments(name, [sequence]);
        hits
    }

    /// Map a pair of short reads that face each other.
    pub(crate) fn map_pair(&mut self, name: &[u8], first: &[u8], second: &[u8]) -> [Hits; 2] {
        let mut reversed = std::mem::take(&mut self.reversed);
        reversed.clear();
        reversed.extend(second.iter().rev().map(|&base| complement(base)));
        let mut hits = self.map_segments(name, [first, &reversed]);
        hits[1].flip(second.len() as i32);
        self.reversed = reversed;
        hits
    }

    fn map_segments<const N: usize>(&mut self, name: &[u8], sequences: [&[u8]; N]) -> [Hits; N] {
        let lengths = sequences.map(|sequence| sequence.len() as c_int);
        let mut pointers = sequences.map(|sequence| sequence.as_ptr().cast::<c_char>());
        let mut counts: [c_int; N] = [0; N];
        let mut raw: [*mut Hit; N] = [std::ptr::null_mut(); N];
        self.name.clear();
        self.name.extend_from_slice(name);
        self.name.push(0);
        // SAFETY: all arrays have N entries, the sequences have the lengths given, the name ends
        // with a zero, the index and the buffer live as long as self.
        let repeat_length = unsafe {
            ffi::mm_map_frag(
                self.index.raw(),
                N as c_int,
                lengths.as_ptr(),
                pointers.as_mut_ptr(),
                counts.as_mut_ptr(),
                raw.as_mut_ptr(),
                self.buffer,
                self.index.options(),
                self.name.as_ptr().cast::<c_char>(),
            );
            (*self.buffer).rep_len
        };
        std::array::from_fn(|i| Hits { raw: raw[i], count: counts[i] as usize, repeat_length })
    }
}

impl Drop for Mapper<'_> {
    fn drop(&mut self) {
        // SAFETY: made by mm_tbuf_init, destroyed once.
        unsafe { ffi::mm_tbuf_destroy(self.buffer) };
    }
}

/// Complement of a base letter of either case; anything else stays.
pub(crate) fn complement(base: u8) -> u8 {
    COMPLEMENTS[usize::from(base)]
}

/// A table: deciding by letter costs a misjudged branch on most bases.
static COMPLEMENTS: [u8; 256] = {
    let mut complements = [0; 256];
    let mut base = 0;
    while base < 256 {
        complements[base] = complement_of(base as u8);
        base += 1;
    }
    complements
};

const fn complement_of(base: u8) -> u8 {
    let complement = match base.to_ascii_uppercase() {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        b'T' | b'U' => b'A',
        b'R' => b'Y',
        b'Y' => b'R',
        b'K' => b'M',
        b'M' => b'K',
        b'B' => b'V',
        b'V' => b'B',
        b'D' => b'H',
        b'H' => b'D',
        _ => return base,
    };
    if base.is_ascii_lowercase() { complement.to_ascii_lowercase() } else { complement }
}
