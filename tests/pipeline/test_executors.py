"""Work survives the death of its workers."""

import os
import signal
from pathlib import Path

import pytest

from baleen.executors import Layout, Lost, plan_layout, run_items


def square(item: int) -> int:
    return item * item


def die_once(item: tuple[int, str]) -> int:
    number, folder = item
    marker = Path(folder) / "died"
    if number == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def always_die_on_two(item: int) -> int:
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail(item: int) -> int:
    message = f"item {item}"
    raise RuntimeError(message)


@pytest.mark.parametrize("processes", [1, 2])
def test_every_item_has_one_outcome(processes: int) -> None:
    assert dict(run_items(square, range(6), processes)) == {i: i * i for i in range(6)}


@pytest.mark.slow
def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    items = [(i, str(tmp_path)) for i in range(5)]
    assert sorted(outcome for _, outcome in run_items(die_once, items, 2)) == list(range(5))


@pytest.mark.slow
def test_an_item_that_kills_its_worker_is_given_up_alone() -> None:
    outcomes = dict(run_items(always_die_on_two, range(5), 2))
    assert isinstance(outcomes.pop(2), Lost)
    assert outcomes == {i: i for i in (0, 1, 3, 4)}


def test_an_exception_of_the_work_reaches_the_caller() -> None:
    with pytest.raises(RuntimeError, match="item [01]"):
        list(run_items(fail, [0, 1], 2))


@pytest.mark.parametrize(
    ("threads", "n_items", "expected"),
    [
        (1, 10, Layout(1, 1)),
        (2, 10, Layout(2, 1)),
        (4, 2, Layout(2, 2)),
        (2, 0, Layout(1, 2)),
        (8, 3, Layout(3, 2)),
    ],
)
def test_few_items_get_many_threads_each(threads: int, n_items: int, expected: Layout) -> None:
    assert plan_layout(threads, n_items) == expected
