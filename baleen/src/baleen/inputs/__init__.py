"""Open the files of a run, check them against each other, and hand out reads contig by contig."""

from baleen.inputs.basecaller_mods import read_basecaller_mods
from baleen.inputs.contig_reads import close_files, read_contig, read_reference
from baleen.inputs.run_inputs import RunInputs, open_run, open_sample
from baleen.inputs.samples import SampleFiles, read_sheet
from baleen.inputs.tasks import ContigTask, ReadSource

__all__ = [
    "ContigTask",
    "ReadSource",
    "RunInputs",
    "SampleFiles",
    "close_files",
    "open_run",
    "open_sample",
    "read_basecaller_mods",
    "read_contig",
    "read_reference",
    "read_sheet",
]
