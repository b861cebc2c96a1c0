"""What a run was made from: settings, inputs and version, so that `--resume` never mixes two runs."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baleen import __version__
from baleen.config import Config
from baleen.errors import ResumeError, UsageError
from baleen.files import as_output_error, complete_file, named_output_errors

FILE_SETTINGS = ("kmer_model", "hmm_params", "target")
"""Settings that may name a file."""

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


def run_parameters(config: Config, files: Mapping[str, Path], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that can change a result, as JSON types, and the paths to explain it.

    Parameters
    ----------
    config
        Settings. One that names a file counts by the file's content.
    files
        Input files by what they are for.
    facts
        What was found in the inputs: chemistry, digest of the reads table.
    """
    inputs = {role: {"path": str(path), **file_digest(path)} for role, path in files.items()}
    return {"version": __version__, **facts, **setting_parameters(config), "inputs": inputs}


def setting_parameters(config: Config) -> dict[str, Any]:
    """Return the part of the run's parameters that comes from the settings alone."""
    settings = json.loads(json.dumps(config.result_settings()))
    named = {name: value for section in settings.values() for name, value in section.items()}
    contents = {name: [_content(value) for value in _listed(named[name])] for name in FILE_SETTINGS}
    return {"settings": settings, "file_settings": contents}


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _content(value: str) -> str:
    return str(file_digest(Path(value))["digest"]) if Path(value).is_file() else value


def read_parameters(folder: Path) -> dict[str, Any]:
    """Return the parameters of the run whose slices lie in a folder."""
    parameters: dict[str, Any] = json.loads((folder / PARAMS_NAME).read_text())
    return parameters


def parameter_hash(parameters: Mapping[str, Any]) -> str:
    """Return a hash of the settings and the version (inputs excluded), for the table's header."""
    kept = {"version": parameters["version"], "settings": _compared_settings(parameters)}
    return hashlib.blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=8).hexdigest()


def _compared_settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by name, those that name files as the files' content."""
    settings = {name: value for section in parameters["settings"].values() for name, value in section.items()}
    return {**settings, **parameters["file_settings"]}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List what differs between two runs, one line each; empty if one can go on with the other."""
    then_settings, now_settings = _compared_settings(before), _compared_settings(now)
    found = [
        f"{name}: {then.get(name)} then, {new.get(name)} now"
        for then, new, names in (
            (before, now, ("version", "chemistry")),
            (then_settings, now_settings, sorted({*then_settings, *now_settings})),
        )
        for name in names
        if then.get(name) != new.get(name)
    ]
    old, new = before["inputs"], now["inputs"]
    for role in dict.fromkeys([*old, *new]):
        if role not in new:
            found.append(f"{role}: {old[role]['path']} then, not given now")
        elif role not in old:
            found.append(f"{role}: not given then, {new[role]['path']} now")
        elif (old[role]["bytes"], old[role]["digest"]) != (new[role]["bytes"], new[role]["digest"]):
            sizes = f"{old[role]['bytes']} bytes then, {new[role]['bytes']} now"
            found.append(f"{role}: the content of {new[role]['path']} differs ({sizes})")
    if not found and before.get("reads") != now.get("reads"):
        found.append("the reads that meet in the inputs differ")
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
        If the run to go on with, or the finished run in the folder, was made from something else.
    OutputError
        If the folder cannot be made.
    """
    check_folder(output_dir, is_resumed=is_resumed, is_forced=is_forced)
    with named_output_errors(output_dir):
        if folder.is_dir() and (is_forced or not (folder / PARAMS_NAME).exists()):
            shutil.rmtree(folder)
        if not folder.is_dir():
            if (output_dir / RUN_NAME).exists() and not is_forced:
                _check_same(output_dir, output_dir / RUN_NAME, parameters)
            if _make_claimed(folder, parameters):
                return
    _check_same(output_dir, folder / PARAMS_NAME, parameters)


def _check_same(output_dir: Path, path: Path, parameters: Mapping[str, Any]) -> None:
    """Raise ``ResumeError`` if the file of a run tells of other parameters."""
    try:
        before = json.loads(path.read_text())
        drift = differences(before["parameters"] if path.name == RUN_NAME else before, parameters)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path}: is not what a run of this version wrote ({error!r})"
        raise ResumeError(message, hint="--force starts afresh") from error
    if drift:
        message = f"{output_dir}: holds a run of other settings or inputs:\n  " + "\n  ".join(drift)
        raise ResumeError(message, hint="give the settings of then, another --output-dir, or --force")


def _make_claimed(folder: Path, parameters: Mapping[str, Any]) -> bool:
    """Make the folder with its parameters in one step; False if another shard was first."""
    fresh = folder.with_name(f".{folder.name}.{socket.gethostname()}-{os.getpid()}")
    fresh.mkdir(parents=True)
    with complete_file(fresh / PARAMS_NAME) as part:
        part.write_text(json.dumps(parameters, indent=1) + "\n")
    try:
        fresh.rename(folder)
    except OSError as error:
        shutil.rmtree(fresh)
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise as_output_error(folder, error) from error
        return False
    return True


_IN_USE = "--resume goes on with the run in it, --force replaces it"


def check_folder(output_dir: Path, *, is_resumed: bool, is_forced: bool, hint: str = _IN_USE) -> None:
    """Raise ``UsageError`` if the folder holds something and it is not said what to do with it."""
    is_used = output_dir.is_dir() and any(output_dir.iterdir())
    if is_used and not (is_forced or is_resumed):
        message = f"{output_dir}: is not empty"
        raise UsageError(message, hint=hint)


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
