"""Open the files of a run, check them against each other, and hand out reads contig by contig."""

from baleen.inputs.basecaller_mods import read_basecaller_mods
from baleen.inputs.contig_reads import close_files, copy_records, read_contig, read_reference
from baleen.inputs.run_inputs import RunInputs, open_run, open_sample, open_samples
from baleen.inputs.samples import SampleFiles, read_sheet
from baleen.inputs.tasks import ContigTask, ReadSource

__all__ = [
    "ContigTask",
    "ReadSource",
    "RunInputs",
    "SampleFiles",
    "close_files",
    "copy_records",
    "open_run",
    "open_sample",
    "open_samples",
    "read_basecaller_mods",
    "read_contig",
    "read_reference",
    "read_sheet",
]
