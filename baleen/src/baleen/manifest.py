"""What a run was made from: settings, inputs and version, so that `--resume` never mixes two runs."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from baleen import __version__
from baleen.config import Config
from baleen.errors import ResumeError, UsageError
from baleen.files import complete_file

PARAMS_NAME, RUN_NAME, CONFIG_NAME = ".run_params.json", "run.json", "config.toml"

_BLOCK_BYTES = 1 << 20
_N_BLOCKS = 16


def file_digest(path: Path) -> dict[str, Any]:
    """Return size and digest of a file: of all of it up to 16 MiB, of 16 spread blocks beyond.

    Where and when the file lies does not matter: a copy with the same content is the same input.
    """
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as handle:
        step = max(_BLOCK_BYTES, (size - _BLOCK_BYTES) // (_N_BLOCKS - 1))
        for start in range(0, size, step):
            handle.seek(start)
            digest.update(handle.read(_BLOCK_BYTES))
    return {"bytes": size, "digest": digest.hexdigest()}


def run_parameters(config: Config, files: Iterable[Path], chemistry: str | None) -> dict[str, Any]:
    """Return everything that can change a result, as JSON types, and the paths to explain it."""
    extra = [config.pileup.kmer_model, config.calling.hmm_params]
    paths = [*files, *(Path(name) for name in extra if name is not None)]
    return {
        "version": __version__,
        "chemistry": chemistry,
        "settings": json.loads(json.dumps(config.result_settings())),
        "inputs": [{"path": str(path), **file_digest(path)} for path in paths],
    }


def read_parameters(folder: Path) -> dict[str, Any]:
    """Return the parameters of the run whose slices lie in a folder."""
    parameters: dict[str, Any] = json.loads((folder / PARAMS_NAME).read_text())
    return parameters


def parameter_hash(parameters: Mapping[str, Any]) -> str:
    """Return a hash of the settings and the version (inputs excluded), for the table's header."""
    kept = {"version": parameters["version"], "settings": parameters["settings"]}
    return hashlib.blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=8).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List what differs between two runs, one line each; empty if one can go on with the other."""
    found = [
        f"{name}: {before.get(name)} then, {now.get(name)} now"
        for name in ("version", "chemistry")
        if before.get(name) != now.get(name)
    ]
    for section, settings in now["settings"].items():
        then = before["settings"].get(section, {})
        found += [
            f"{name}: {then.get(name)} then, {value} now"
            for name, value in settings.items()
            if then.get(name) != value
        ]
    old, new = before["inputs"], now["inputs"]
    if len(old) != len(new):
        found.append(f"input files: {len(old)} then, {len(new)} now")
    for a, b in zip(old, new, strict=False):
        if (a["bytes"], a["digest"]) != (b["bytes"], b["digest"]):
            found.append(
                f"input {b['path']}: the content differs ({a['bytes']} bytes then, {b['bytes']} now)"
            )
    return found


def claim_folder(
    output_dir: Path, folder: Path, parameters: Mapping[str, Any], *, is_resumed: bool, is_forced: bool
) -> None:
    """Make the output folder this run's: fresh, replaced, or gone on with.

    Parameters
    ----------
    output_dir, folder
        Results; slices (a folder within).
    parameters
        From `run_parameters`.
    is_resumed, is_forced
        Go on with, or replace, what is there.

    Raises
    ------
    UsageError
        If there are results and it is not said what to do with them.
    ResumeError
        If the run to go on with was made from something else.
    """
    path = folder / PARAMS_NAME
    if is_resumed and path.exists():
        drift = differences(json.loads(path.read_text()), parameters)
        if drift:
            message = f"{output_dir}: holds a run of other settings or inputs:\n  " + "\n  ".join(drift)
            raise ResumeError(message, hint="give the settings of then, another --output-dir, or --force")
        return
    check_folder(output_dir, is_resumed=is_resumed, is_forced=is_forced)
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        part.write_text(json.dumps(parameters, indent=1) + "\n")


def check_folder(output_dir: Path, *, is_resumed: bool, is_forced: bool) -> None:
    """Raise ``UsageError`` if the folder holds something and it is not said what to do with it."""
    is_used = output_dir.is_dir() and any(output_dir.iterdir())
    if is_used and not (is_forced or is_resumed):
        message = f"{output_dir}: is not empty"
        raise UsageError(message, hint="--resume goes on with the run in it, --force replaces it")


def write_run(output_dir: Path, facts: Mapping[str, Any], config: Config) -> None:
    """Write ``run.json`` (what was done) and ``config.toml`` (every setting; `--config` reads it)."""
    with complete_file(output_dir / RUN_NAME) as part:
        part.write_text(json.dumps(facts, indent=1, default=str) + "\n")
    values = {
        name: value
        for section in dataclasses.asdict(config).values()
        for name, value in section.items()
        if value is not None and name != "device"
    }
    # numbers, strings, truth values and lists are written alike in JSON and TOML
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    with complete_file(output_dir / CONFIG_NAME) as part:
        part.write_text("\n".join(lines) + "\n")
