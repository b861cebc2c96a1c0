//! `baleen align` with minimap2: reads in, a sorted and indexed BAM out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use krill_reads::{Batch, Error, Format, Numa, Output, Report, Result, Sink, Source, SourceSettings, Worker};

use crate::header::{self, Program};
use crate::index::{Index, Preset, Reference};
use crate::mapper::Mapper;
use crate::merge::{self, Runs, Writing};
use crate::read::{Read, first_word};
use crate::record::Encoder;
use crate::sort::{Sorter, Ties};

/// How reads are shared out and the result is written.
#[derive(Debug, Clone)]
pub struct AlignSettings {
    /// The input side of the pump.
    pub source: SourceSettings,
    /// Who collects which records before they are merged.
    pub output: Output,
    /// Where workers run.
    pub numa: Numa,
    /// Whether secondary alignments are written.
    pub writes_secondary: bool,
    /// Memory for sorting, all workers together.
    pub memory_bytes: usize,
    /// Threads that merge and deflate.
    pub merge_threads: usize,
    /// Compression level, 0 to 12.
    pub level: u8,
    /// What the header says of this run.
    pub program: Program,
}

/// What a run found and cost.
#[derive(Debug, Clone, Default)]
pub struct AlignReport {
    /// Reads (both of a pair).
    pub reads: u64,
    /// Reads with an alignment.
    pub mapped: u64,
    /// Reading, mapping, sorting.
    pub mapping: Report,
    /// Merging, deflating, writing.
    pub merging: Report,
}

/// Align `reads` (one file, or two of paired short reads) against `index`; write the BAM at `output`.
pub fn align(
    reads: &[PathBuf],
    index: &Index,
    output: &Path,
    settings: &AlignSettings,
) -> Result<AlignReport> {
    if reads.len() == 2 && index.preset() != Preset::ShortReads {
        let problem = format!("{} is for single reads; pairs need sr", index.preset().name());
        return Err(Error::setting("--preset", problem));
    }
    merge::check_lengths(index.references(), output)?;
    let source = Source::open(reads, &settings.source)?;
    let header = header::encode(index.references(), source.header_text(), &settings.program);
    let counts = Counts::default();
    let sink = sorting_sink(output, settings, Ties::Input);
    let mapping = krill_reads::run(&source, &sink, (settings.source.workers, settings.numa), |_| {
        Ok(Aligner {
            mapper: Mapper::new(index),
            encoder: Encoder::new(index.references(), settings.writes_secondary),
            reads: [Read::default(), Read::default()],
            counts: &counts,
        })
    })?;
    let runs = sorted_runs(sink.into_destinations())?;
    let merging = write_bam(runs, &header, index.references(), output, settings)?;
    Ok(AlignReport { reads: counts.reads.into_inner(), mapped: counts.mapped.into_inner(), mapping, merging })
}

/// A sorter for every lane of the sink, memory shared out evenly.
pub(crate) fn sorting_sink(output: &Path, settings: &AlignSettings, ties: Ties) -> Sink<Sorter> {
    let crew = (settings.source.workers, settings.source.nodes);
    let lanes = settings.output.destinations(crew.0);
    let sorters =
        (0..lanes).map(|lane| Sorter::new(output, lane, settings.memory_bytes / lanes, ties)).collect();
    Sink::new(settings.output, sorters, settings.source.lock, crew)
}

/// Sort what each sorter still holds, each on a thread of its own.
pub(crate) fn sorted_runs(sorters: Vec<Sorter>) -> Result<Runs> {
    let results: Vec<Result<_>> = std::thread::scope(|scope| {
        let handles: Vec<_> = sorters.into_iter().map(|sorter| scope.spawn(|| sorter.into_runs())).collect();
        handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let (memory, disk): (Vec<_>, Vec<_>) =
        results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok(Runs { memory, disk: disk.into_iter().flatten().collect() })
}

/// Merge runs into the BAM file.
pub(crate) fn write_bam(
    runs: Runs,
    header: &[u8],
    references: &[Reference],
    output: &Path,
    settings: &AlignSettings,
) -> Result<Report> {
    let writing =
        Writing { threads: settings.merge_threads, lock: settings.source.lock, level: settings.level };
    merge::write(runs, header, references.len(), output, writing)
}

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    mapped: AtomicU64,
}

/// One thread's worker.
struct Aligner<'a> {
    mapper: Mapper<'a>,
    encoder: Encoder<'a>,
    reads: [Read; 2],
    counts: &'a Counts,
}

impl Worker<Vec<u8>> for Aligner<'_> {
    fn work(&mut self, batch: &Batch, out: &mut Vec<u8>) -> Result<()> {
        let (mut reads, mut mapped) = (0, 0);
        for i in 0..batch.len() {
            let found = match (batch.format, batch.mates.as_slice()) {
                (Format::Bam, _) => self.align_bam(batch, i, out)?,
                (_, [_, _]) => self.align_pair(batch, i, out)?,
                _ => {
                    self.reads[0].set_fastq(&batch.mates[0], &batch.mates[0].spans[i], false)?;
                    self.align_single(out)
                }
            };
            reads += found.0;
            mapped += found.1;
        }
        self.counts.reads.fetch_add(reads, Ordering::Relaxed);
        self.counts.mapped.fetch_add(mapped, Ordering::Relaxed);
        Ok(())
    }
}

/// Reads, and mapped reads.
type Found = (u64, u64);

impl Aligner<'_> {
    fn align_bam(&mut self, batch: &Batch, i: usize, out: &mut Vec<u8>) -> Result<Found> {
        let mate = &batch.mates[0];
        let is_read = self.reads[0].set_bam(mate, &mate.text[batch.records[i].clone()])?;
        Ok(if is_read { self.align_single(out) } else { (0, 0) })
    }

    fn align_single(&mut self, out: &mut Vec<u8>) -> Found {
        let read = &self.reads[0];
        let hits = self.mapper.map(&read.name, &read.sequence);
        self.encoder.write(read, &hits, None, out);
        (1, u64::from(!hits.as_slice().is_empty()))
    }

    fn align_pair(&mut self, batch: &Batch, i: usize, out: &mut Vec<u8>) -> Result<Found> {
        for (read, mate) in self.reads.iter_mut().zip(&batch.mates) {
            read.set_fastq(mate, &mate.spans[i], true)?;
        }
        let [first, second] = &self.reads;
        // Ties are broken by the name as it stands in the file, with its mate number.
        let name = first_word(&batch.mates[0].text[batch.mates[0].spans[i].name.clone()]);
        let hits = self.mapper.map_pair(name, &first.sequence, &second.sequence);
        self.encoder.write(first, &hits[0], Some((&hits[1], true)), out);
        self.encoder.write(second, &hits[1], Some((&hits[0], false)), out);
        let mapped = hits.iter().filter(|hits| !hits.as_slice().is_empty()).count();
        Ok((2, mapped as u64))
    }
}
