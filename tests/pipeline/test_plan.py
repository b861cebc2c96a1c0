"""What a run has to do is kept beside its slices."""

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baleen.inputs import ContigTask, SampleFiles
from baleen.plan import PLAN_NAME, Plan, group_tasks, shard_groups


def plan_of(names: list[str], n_reads: int = 8) -> Plan:
    tasks = [
        ContigTask(name, i, 900, (n_reads, n_reads), 2 * n_reads * i, 2 * n_reads * (i + 1), 900 * i)
        for i, name in enumerate(names)
    ]
    sample = SampleFiles(name="native", is_native=True, bam=(Path("a.bam"),), signal=(Path("a.blow5"),))
    return Plan(
        samples=(sample,),
        contigs=dict.fromkeys(names, 900),
        groups=tuple(group_tasks(tasks)),
        chemistry="rna004",
        read_status={"ok": 3},
        skipped_contigs={"other": "reads below 15"},
    )


@given(names=st.lists(st.text(min_size=1, max_size=9), max_size=7, unique=True), n_reads=st.integers(1, 20))
def test_a_plan_is_read_back(tmp_path_factory, names, n_reads) -> None:
    folder = tmp_path_factory.mktemp("plan")
    plan = plan_of(names, n_reads)
    plan.write(folder)
    assert Plan.read(folder) == plan
    assert [one["index"] for one in json.loads((folder / PLAN_NAME).read_text())["groups"]] == [
        group.index for group in plan.groups
    ]
    assert pickle.loads(pickle.dumps(plan)) == plan


@pytest.mark.parametrize("n_shards", [1, 2, 5])
def test_shards_share_all_groups_out(n_shards: int) -> None:
    groups = plan_of([f"c{i}" for i in range(23)], 20).groups
    shards = [shard_groups(groups, shard, n_shards) for shard in range(1, n_shards + 1)]
    assert sorted(group.index for shard in shards for group in shard) == [group.index for group in groups]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
