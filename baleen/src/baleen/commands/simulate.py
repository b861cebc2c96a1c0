"""`baleen simulate`: a native/control pair whose modifications are known."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from baleen.commands.options import field_options
from baleen.simulate.settings import SimulationConfig

_FILE = click.Path(path_type=Path)


@click.command("simulate", short_help="make a native/control pair with known modifications")
@click.option("-o", "--output-dir", type=_FILE, required=True, help="Folder for the files.")
@click.option("--ref", "reference", type=_FILE, help="Reference FASTA [E. coli 16S and 23S rRNA].")
@click.option("--contigs", type=click.IntRange(1), help="Use this many random transcripts instead.")
@click.option(
    "--contig-length", type=click.IntRange(100), default=300, show_default=True, help="Their length, bases."
)
@click.option("--sites-file", type=_FILE, help="Sites to modify: table with contig pos0 stoichiometry.")
@click.option(
    "--signal-format",
    type=click.Choice(["blow5", "pod5"]),
    default="blow5",
    show_default=True,
    help="Format of the signal.",
)
@click.option(
    "--alphabet", type=click.Choice(["U", "T"]), default="U", show_default=True, help="Letter in the FASTQ."
)
@click.option("--force", is_flag=True, help="Replace an earlier simulation in the folder.")
@field_options(SimulationConfig)
def command(**given: Any) -> None:
    """Simulate native and control (IVT) reads with modified sites of chosen stoichiometry.

    Writes ref.fa, native/ and ivt/ (signal, FASTQ, BAM) and what is true: truth_sites.tsv,
    truth_reads.tsv and, per condition, the sample boundaries of every base.
    """
    from baleen.console import LOG, start_logging
    from baleen.files import cut_short_warnings
    from baleen.simulated_pair import random_contigs, read_contigs, read_sites, shipped_contigs, write_pair

    start_logging()
    names = [field.name for field in dataclasses.fields(SimulationConfig)]
    config = SimulationConfig(**{name: given[name] for name in names})
    if given["contigs"] is not None and given["reference"] is not None:
        message = "--contigs and --ref exclude each other"
        raise click.UsageError(message)
    if given["contigs"] is not None:
        contigs = random_contigs(given["contigs"], given["contig_length"], config)
    elif given["reference"] is not None:
        contigs = read_contigs(given["reference"])
        for warning in cut_short_warnings([given["reference"]]):
            LOG.warning("warning: %s", warning)
    else:
        contigs = shipped_contigs()
    if given["sites_file"] is not None:
        contigs = read_sites(given["sites_file"], contigs)
    pair = write_pair(
        given["output_dir"],
        contigs,
        config,
        signal_format=given["signal_format"],
        alphabet=given["alphabet"],
        force=given["force"],
    )
    with pair.truth_sites.open() as table:
        n_sites = sum(1 for _ in table) - 1
    LOG.info(
        "%s: %d contigs, %d + %d reads, %d modified sites",
        pair.folder, len(contigs), *2 * [config.reads * len(contigs)], n_sites,
    )  # fmt: skip
