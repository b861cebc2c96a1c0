"""Train the HMM from labels on the arrays that a run kept: files in, JSON out."""

import csv
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baleen import __version__, calling
from baleen.calling import HmmParameters
from baleen.calling.hmm_training import LabelledPairs, Labels, Quality, cross_validate, label_pairs, train
from baleen.console import LOG
from baleen.errors import InputError, UsageError
from baleen.files import complete_file
from baleen.manifest import file_digest, parameter_hash, read_parameters
from baleen.outputs.slices import Slice, slice_path
from baleen.pipeline import FOLDER_NAME, read_run
from baleen.worker import EVIDENCE, read_evidence

MIN_TOTAL, MIN_LABELS = 20, 10
"""Labels that training needs in all, and of either class."""

N_FOLDS, BLOCK_BP = 3, 200
"""Parts of the cross-validation; a block of a contig falls into one of them."""
STARTS = {
    2: HmmParameters(),
    3: HmmParameters((0.9, 0.05, 0.05), 0.3, 0.5),
}


@dataclass(frozen=True)
class LabelFile:
    """Labels by contig, and whether they are of single reads."""

    of_contig: dict[str, Labels]
    is_supervised: bool
    n_modified: int
    n_unmodified: int


def read_labels(path: Path) -> LabelFile:
    """Read a table of labels.

    Parameters
    ----------
    path
        Tab-separated, with a header line: ``contig position label`` (1 modified, 0 not), and
        ``read_id`` where single reads are labelled. Positions are 0-based.

    Raises
    ------
    InputError
        If the file is not such a table.
    UsageError
        If it holds fewer than 20 labels, or fewer than 10 of either class.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line[:1] != "#"]
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not text: {error}") from error
    table = csv.DictReader(lines, delimiter="\t", strict=True)
    missing = [name for name in ("contig", "position", "label") if name not in (table.fieldnames or ())]
    if missing:
        hint = "the first line must be: contig position label, or contig position read_id label"
        raise InputError(path, f"has no column {', '.join(missing)}", hint=hint)
    is_supervised = "read_id" in (table.fieldnames or ())
    rows: dict[str, list[tuple[int, int, str, int]]] = {}
    for line, row in enumerate(table, start=2):
        contig, position, label = row["contig"], row["position"] or "", row["label"] or ""
        if not position.isdecimal() or label not in {"0", "1"}:
            raise InputError(path, f"line {line}: position {position!r} with label {label!r}")
        fold = zlib.crc32(f"{contig}:{int(position) // BLOCK_BP}".encode()) % N_FOLDS
        rows.setdefault(contig, []).append((int(position), int(label), row.get("read_id") or "", fold))
    n_modified = sum(label for one in rows.values() for _, label, _, _ in one)
    n_total = sum(map(len, rows.values()))
    found = LabelFile(
        {contig: _labels(one, is_supervised=is_supervised) for contig, one in rows.items()},
        is_supervised, n_modified, n_total - n_modified,
    )  # fmt: skip
    _check_enough(path, found.n_modified, found.n_unmodified)
    return found


def _labels(rows: list[tuple[int, int, str, int]], *, is_supervised: bool) -> Labels:
    position, label, read_id, fold = zip(*rows, strict=True)
    return Labels(
        np.array(position, np.int64),
        np.array(label, np.int8),
        read_id if is_supervised else (),
        np.array(fold, np.int64),
    )


def _check_enough(path: Path, n_modified: int, n_unmodified: int) -> None:
    if n_modified + n_unmodified >= MIN_TOTAL and min(n_modified, n_unmodified) >= MIN_LABELS:
        return
    message = (
        f"{path}: {n_modified} modified and {n_unmodified} unmodified labels that can be used; "
        f"{MIN_TOTAL} in all and {MIN_LABELS} of each are needed"
    )
    raise UsageError(message)


def train_run(run_dir: Path, labels: Path, output: Path, n_states: int) -> list[str]:
    """Train on a run that kept its arrays, write the parameters, and return what was found as text.

    Parameters
    ----------
    run_dir
        Results of ``baleen run --keep-intermediate``.
    labels
        Table of labels; see `read_labels`.
    output
        JSON file for ``--hmm-params``.
    n_states
        2 or 3.

    Raises
    ------
    InputError, UsageError
        If the run kept no arrays, or too few labels meet its sites.
    """
    given = read_labels(labels)
    pairs, facts = _meet(run_dir, given, labels)
    start = STARTS[n_states]
    trained = train(pairs, start)
    before, held_out = cross_validate(pairs, start)
    provenance = {
        "program": f"baleen {__version__}",
        "mode": "supervised" if given.is_supervised else "semi-supervised",
        "labels": {"modified": given.n_modified, "unmodified": given.n_unmodified, **file_digest(labels)},
        **facts,
        "cross_validation": {
            "folds": N_FOLDS,
            "default": _measured(before, is_supervised=given.is_supervised),
            "trained": _measured(held_out, is_supervised=given.is_supervised),
        },
    }
    with complete_file(output) as part:
        part.write_text(json.dumps({**trained.to_json(), "provenance": provenance}, indent=1) + "\n")
    if not held_out.auroc > before.auroc:
        LOG.warning("warning: on labels held out, trained parameters are no better than the default ones")
    return _lines(trained, before, held_out, output)


def _measured(quality: Quality, *, is_supervised: bool) -> dict[str, float]:
    return quality._asdict() if is_supervised else {"auroc": quality.auroc}


def _lines(trained: HmmParameters, before: Quality, held_out: Quality, output: Path) -> list[str]:
    shares = ", ".join(f"{share:.4f}" for share in trained.stationary)
    return [
        f"shares {shares}; memory {trained.memory:.3f}; flank {trained.flank:.3f}; "
        f"emissions x {trained.scale:.3f} {trained.offset:+.3f}",
        f"AUROC of labels held out: {held_out.auroc:.4f}; with the default parameters {before.auroc:.4f}",
        f"parameters: {output}",
    ]


def _meet(run_dir: Path, given: LabelFile, path: Path) -> tuple[LabelledPairs, dict[str, str]]:
    """Return the pairs around labels of all contigs, and what they were made from."""
    plan, config = read_run(run_dir)
    folder = run_dir / FOLDER_NAME
    model_path = folder / ".model.json"
    if not model_path.exists():
        raise InputError(folder, "holds no model", hint="finish the run: baleen merge")
    model = calling.RunModel.from_json(json.loads(model_path.read_text()))
    parts, sizes = [], []
    for group in plan.groups:
        slice_file = slice_path(folder, group.index, EVIDENCE)
        if not slice_file.exists() or not {task.contig for task in group.tasks} & set(given.of_contig):
            continue
        piece = Slice(slice_file)
        for name in piece.tables():
            evidence = read_evidence(piece, name, config.calling)
            if evidence.contig in given.of_contig:
                found = label_pairs(evidence, model, config.calling, given.of_contig[evidence.contig])
                if found is not None:
                    parts.append(found)
                    sizes.append(len(evidence.reads))
        piece.close()
    if not parts:
        raise InputError(path, f"no label is at a position that {run_dir} has reads at")
    pairs = LabelledPairs.concatenate(parts, sizes)
    if given.is_supervised:
        _check_enough(path, int((pairs.label == 1).sum()), int((pairs.label == 0).sum()))
    return pairs, {"run_parameters": parameter_hash(read_parameters(folder))}
