//! A reference prepared for minimap2, and the presets. One index serves all threads.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use krill_reads::{Error, Result, fasta};
use minimap2_sys as ffi;

/// First bytes of an index that minimap2 wrote.
const INDEX_START: &[u8] = b"MMI\x02";

/// Settings of minimap2 for a kind of reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Direct RNA, spliced where needed: `-x splice -uf -k14`.
    Rna,
    /// Direct RNA against transcripts: `-x map-ont -k14 --for-only`.
    RnaTranscripts,
    /// cDNA against a genome: `-x splice`.
    Splice,
    /// Nanopore DNA: `-x map-ont`.
    MapOnt,
    /// Short reads, single or paired: `-x sr`.
    ShortReads,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] =
        [Self::Rna, Self::RnaTranscripts, Self::Splice, Self::MapOnt, Self::ShortReads];

    /// Name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rna => "rna",
            Self::RnaTranscripts => "rna-transcripts",
            Self::Splice => "splice",
            Self::MapOnt => "map-ont",
            Self::ShortReads => "sr",
        }
    }

    fn base(self) -> &'static CStr {
        match self {
            Self::Rna | Self::Splice => c"splice",
            Self::RnaTranscripts | Self::MapOnt => c"map-ont",
            Self::ShortReads => c"sr",
        }
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::setting("--preset", format!("{name:?} is not one of {names}"))
        })
    }
}

/// Version of the minimap2 inside.
#[must_use]
pub fn minimap2_version() -> String {
    ffi::MM_VERSION.to_string_lossy().into_owned()
}

/// Name and length of a reference sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Name up to the first blank.
    pub name: String,
    /// Bases.
    pub length: u32,
}

/// A reference, indexed.
pub struct Index {
    raw: *mut ffi::mm_idx_t,
    options: ffi::mm_mapopt_t,
    references: Vec<Reference>,
    preset: Preset,
}

// SAFETY: minimap2 only reads an index once it is built, from any thread.
unsafe impl Send for Index {}
// SAFETY: as above.
unsafe impl Sync for Index {}

impl Index {
    /// Index the sequences of a FASTA file (or load a minimap2 index) with `threads` threads.
    pub fn build(path: &Path, preset: Preset, threads: usize) -> Result<Self> {
        let rest = fasta::check_start(path, INDEX_START)?;
        let (mut index_options, mut options) = options(preset);
        // The whole reference in one part, however large: mapping quality needs to see all of it.
        index_options.batch_size = u64::MAX >> 1;
        let c_path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::format(path, "has a zero byte in its name"))?;
        let read = || {
            // SAFETY: plain C calls; the reader is closed before its pointer is lost.
            unsafe {
                ffi::mm_verbose = 1;
                let reader =
                    ffi::mm_idx_reader_open(c_path.as_ptr(), &raw const index_options, std::ptr::null());
                if reader.is_null() {
                    return Err(Error::format(path, "cannot be read as FASTA"));
                }
                let raw = ffi::mm_idx_reader_read(reader, threads.max(1) as i32);
                ffi::mm_idx_reader_close(reader);
                if raw.is_null() {
                    return Err(Error::format(path, "holds no sequence"));
                }
                Ok(Self { raw, options, references: Vec::new(), preset })
            }
        };
        // The file is inflated a second time beside the indexing, which takes longer.
        let (index, checked) = std::thread::scope(|scope| {
            let checked = scope.spawn(|| rest.map_or(Ok(()), fasta::Rest::check));
            let index = read();
            (index, checked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        checked?;
        let mut index = index?;
        index.references = index.read_references(path)?;
        // SAFETY: both point to initialised values; the index outlives the call.
        unsafe { ffi::mm_mapopt_update(&raw mut options, index.raw) };
        index.options = options;
        Ok(index)
    }

    fn read_references(&self, path: &Path) -> Result<Vec<Reference>> {
        // SAFETY: minimap2 keeps `n_seq` sequences with zero-terminated names at `seq`.
        let sequences = unsafe { std::slice::from_raw_parts((*self.raw).seq, (*self.raw).n_seq as usize) };
        let mut seen = HashSet::new();
        let mut references = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            // SAFETY: as above.
            let name = unsafe { CStr::from_ptr(sequence.name) }.to_string_lossy().into_owned();
            if !seen.insert(name.clone()) {
                return Err(Error::format(path, format!("holds two sequences named {name}")));
            }
            references.push(Reference { name, length: sequence.len });
        }
        if references.is_empty() {
            return Err(Error::format(path, "holds no sequence"));
        }
        Ok(references)
    }

    /// The reference sequences, in order.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The preset it was built for.
    #[must_use]
    pub fn preset(&self) -> Preset {
        self.preset
    }

    pub(crate) fn raw(&self) -> *const ffi::mm_idx_t {
        self.raw
    }

    pub(crate) fn options(&self) -> &ffi::mm_mapopt_t {
        &self.options
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // SAFETY: made by mm_idx_reader_read and destroyed once, here.
        unsafe { ffi::mm_idx_destroy(self.raw) };
    }
}

/// minimap2's options as its command line sets them for `-a` and the preset.
fn options(preset: Preset) -> (ffi::mm_idxopt_t, ffi::mm_mapopt_t) {
    // SAFETY: both are plain C structs that mm_set_opt(NULL) fills.
    let (mut index, mut map): (ffi::mm_idxopt_t, ffi::mm_mapopt_t) = unsafe { std::mem::zeroed() };
    // SAFETY: as above; the preset names are known to minimap2.
    unsafe {
        ffi::mm_set_opt(std::ptr::null(), &raw mut index, &raw mut map);
        ffi::mm_set_opt(preset.base().as_ptr(), &raw mut index, &raw mut map);
    }
    map.flag |= i64::from(ffi::MM_F_CIGAR | ffi::MM_F_OUT_SAM);
    match preset {
        Preset::Rna => {
            index.k = 14;
            map.flag |= i64::from(ffi::MM_F_SPLICE_FOR);
            map.flag &= !i64::from(ffi::MM_F_SPLICE_REV);
        }
        Preset::RnaTranscripts => {
            index.k = 14;
            map.flag |= i64::from(ffi::MM_F_FOR_ONLY);
        }
        Preset::Splice | Preset::MapOnt | Preset::ShortReads => {}
    }
    (index, map)
}
