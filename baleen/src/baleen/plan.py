"""What a run has to do: contigs in groups, kept as JSON beside the slices."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from baleen.files import complete_file
from baleen.inputs import ContigTask, RunInputs, SampleFiles

PLAN_NAME = ".plan.json"

_GROUPS_START, _GROUPS_END = ', "groups": [\n', "\n]}\n"

GROUP_WORK = 25_000
"""Reads times contig length that a group is filled up to: about two seconds of work, worth its files."""


@dataclass(frozen=True, slots=True)
class Group:
    """Contigs that share a slice.

    Parameters
    ----------
    index
        Number of the slice.
    tasks
        The contigs, in the order of the reference.
    work
        Reads times contig length.
    """

    index: int
    tasks: tuple[ContigTask, ...]
    work: float


@dataclass(frozen=True)
class Plan:
    """Everything after the inputs were checked and before a signal is read.

    Parameters
    ----------
    samples
        Files of each sample.
    contigs
        Name and length of every contig of the reference, in its order.
    groups
        The work.
    chemistry
        Name of the pore model, None without signal.
    read_status
        Reads per status, as the inputs left them.
    skipped_contigs
        Contigs that are not called, with the reason.
    """

    samples: tuple[SampleFiles, ...]
    contigs: dict[str, int]
    groups: tuple[Group, ...]
    chemistry: str | None
    read_status: dict[str, int]
    skipped_contigs: dict[str, str]

    @property
    def n_contigs(self) -> int:
        """Contigs to call."""
        return sum(len(group.tasks) for group in self.groups)

    @classmethod
    def of(cls, inputs: RunInputs) -> Self:
        """Plan a run."""
        status: Counter[str] = Counter()
        for counts in inputs.status_counts.values():
            status.update({one.name.lower(): n for one, n in counts.items()})
        return cls(
            samples=inputs.samples,
            contigs=dict(inputs.reference.lengths_bp),
            groups=tuple(group_tasks(inputs.tasks)),
            chemistry=inputs.chemistry,
            read_status=dict(status),
            skipped_contigs=dict(inputs.skipped_contigs),
        )

    def write(self, folder: Path) -> None:
        """Keep the plan in a folder: JSON with a line per group, so that it is never text as a whole."""
        rest = dataclasses.asdict(dataclasses.replace(self, groups=()))
        del rest["groups"]
        with complete_file(folder / PLAN_NAME) as part, part.open("w", encoding="utf-8") as lines:
            lines.write(json.dumps(rest, default=str)[:-1] + _GROUPS_START)
            for i, group in enumerate(self.groups):
                lines.write((",\n" if i else "") + json.dumps(dataclasses.asdict(group)))
            lines.write(_GROUPS_END)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the plan of a folder."""
        with (folder / PLAN_NAME).open(encoding="utf-8") as lines:
            rest: dict[str, Any] = json.loads(next(lines).removesuffix(_GROUPS_START) + "}")
            groups = (json.loads(line.rstrip(",\n")) for line in lines if line.startswith("{"))
            return cls(
                **{
                    **rest,
                    "samples": tuple(_sample(one) for one in rest["samples"]),
                    "groups": tuple(
                        Group(one["index"], tuple(_task(task) for task in one["tasks"]), one["work"])
                        for one in groups
                    ),
                }
            )


def _sample(data: Mapping[str, Any]) -> SampleFiles:
    paths = {name: tuple(map(Path, data[name])) for name in ("bam", "signal", "fastq", "reads")}
    table, summary = (data[name] and Path(data[name]) for name in ("eventalign", "eventalign_summary"))
    return SampleFiles(
        name=data["name"],
        is_native=data["is_native"],
        bam=paths["bam"],
        signal=paths["signal"],
        fastq=paths["fastq"],
        eventalign=table,
        eventalign_summary=summary,
        group=data["group"],
        panel=data["panel"] and Path(data["panel"]),
        reads=paths["reads"],
    )


def _task(data: Mapping[str, Any]) -> ContigTask:
    return ContigTask(**{**data, "n_reads": tuple(data["n_reads"])})


def group_tasks(tasks: Sequence[ContigTask]) -> list[Group]:
    """Join neighbouring small contigs into groups that share a slice.

    Depends on the tasks alone, so that slices fit together whatever the number of threads.
    """
    groups: list[Group] = []
    members: list[ContigTask] = []
    filled = 0.0
    for task in tasks:
        work = float(sum(task.n_reads)) * task.length_bp
        if members and filled + work > GROUP_WORK:
            groups.append(Group(len(groups), tuple(members), filled))
            members, filled = [], 0.0
        members.append(task)
        filled += work
    if members:
        groups.append(Group(len(groups), tuple(members), filled))
    return groups


def shard_groups(groups: Sequence[Group], shard: int, n_shards: int) -> list[Group]:
    """Return the groups of shard ``shard`` (from 1) of ``n_shards``: largest first to the emptiest."""
    filled = [0.0] * n_shards
    mine = []
    for group in largest_first(groups):
        emptiest = min(range(n_shards), key=lambda i: (filled[i], i))
        filled[emptiest] += group.work
        if emptiest == shard - 1:
            mine.append(group)
    return mine


def largest_first(groups: Sequence[Group]) -> list[Group]:
    """Order groups so that no large one is left to the end."""
    return sorted(groups, key=lambda group: (-group.work, group.index))
