"""`baleen demo`: see the whole way from reads to calls, in a minute."""

from pathlib import Path

import click


@click.command("demo", short_help="simulate a small pair, call it, compare with the truth")
@click.option(
    "-o", "--output-dir", type=click.Path(path_type=Path, file_okay=False), default="demo", show_default=True,
    help="Folder for reads, results and picture.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an earlier demonstration in the folder.")
def command(*, output_dir: Path, force: bool) -> None:
    """Simulate native and control reads of E. coli rRNA, call modifications, show what was found.

    Prints the calls beside the truth, and where the result files and the picture of a site lie.
    """
    from baleen.console import start_logging
    from baleen.demo import run_demo

    start_logging()
    demo = run_demo(output_dir, force=force)
    for line in demo.table():
        click.echo(line)
    click.echo()
    for name, path in demo.files:
        click.echo(f"{name:<8} {path}")
