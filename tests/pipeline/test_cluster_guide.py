"""The cluster guide's job array is run as it stands, without a cluster."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(number: int) -> str:
    """A bash block of the guide."""
    page = (ROOT / "docs/guide/cluster.md").read_text()
    return re.findall(r"```bash\n(.*?)```", page, re.DOTALL)[number]


def run(folder: Path, text: str, **variables: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    done = subprocess.run(
        ["bash", "-e", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_job_array_of_the_guide_gives_the_bytes_of_one_run(tmp_path: Path) -> None:
    sizes = "--pore rna004 --contigs 2 --contig-length 120 --reads 16 --sites 2"
    run(tmp_path, f"baleen simulate -o pair {sizes}")
    for condition in ("native", "ivt"):
        for suffix in ("bam", "bam.bai", "blow5"):
            shutil.copy(tmp_path / "pair" / condition / f"reads.{suffix}", tmp_path / f"{condition}.{suffix}")
    shutil.copy(tmp_path / "pair/ref.fa", tmp_path / "transcripts.fa")
    array = script(0)
    n_shards = int(re.findall(r"^SHARDS=(\d+)$", array, re.MULTILINE)[0])
    assert f"#SBATCH --array=1-{n_shards}\n" in array
    for number in range(1, n_shards + 1):
        run(tmp_path, array, SLURM_CPUS_PER_TASK="1", SLURM_ARRAY_TASK_ID=str(number))
    (merge,) = re.findall(r"--wrap '(.*)'", script(1))
    run(tmp_path, merge)
    whole = re.sub(r'--shard "[^"]*"', "", array).replace("-o results", "-o whole")
    run(tmp_path, whole, SLURM_CPUS_PER_TASK="1", SLURM_ARRAY_TASK_ID="1")
    expected = (tmp_path / "whole/site_results.tsv").read_bytes()
    assert (tmp_path / "results/site_results.tsv").read_bytes() == expected
