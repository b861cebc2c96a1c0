"""Work survives the death of its workers."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from baleen.crew import Clock, Crew, crew_of
from baleen.errors import OutputError, UsageError
from baleen.executors import Layout, LocalWorkers, Lost, plan_layout


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
    raise OSError(message)


def fill_disk(item: int) -> int:
    message = "the disk is full"
    raise OutputError(message, hint="--resume")


def sum_of_parts(item: int) -> int:
    return sum(Clock(crew_of(2)).each(square, range(item)))


class Large:
    """A function that says how often it was sent, and to which process."""

    sent = 0

    def __getstate__(self) -> dict[str, Any]:
        Large.sent += 1
        return {"number": Large.sent}

    def __call__(self, item: int) -> tuple[int, int]:
        return vars(self)["number"], item


def outcomes(function: Callable[[Any], Any], items: Sequence[Any], layout: str) -> dict[Any, Any]:
    with LocalWorkers(plan_layout(layout, 0, len(items))) as workers:
        return dict(workers.run(function, items))


@pytest.mark.parametrize("layout", ["0x1", "0x2", "1x2", "2x1"])
def test_every_item_has_one_outcome(layout: str) -> None:
    assert outcomes(square, range(6), layout) == {i: i * i for i in range(6)}


def test_a_function_is_sent_to_a_process_once() -> None:
    first, second = Large(), Large()
    with LocalWorkers(plan_layout("1x2", 0, 6)) as workers:
        assert dict(workers.run(first, range(6))) == {i: (1, i) for i in range(6)}
        assert dict(workers.run(second, range(6))) == {i: (2, i) for i in range(6)}
        assert dict(workers.run(first, range(2))) == {i: (3, i) for i in range(2)}


@pytest.mark.parametrize("layout", ["0x2", "1x2"])
def test_items_share_the_crew_of_their_process(layout: str) -> None:
    assert outcomes(sum_of_parts, range(20), layout) == {i: sum(k * k for k in range(i)) for i in range(20)}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["1x2", "2x1"])
def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path, layout: str) -> None:
    items = [(i, str(tmp_path)) for i in range(5)]
    assert sorted(outcomes(die_once, items, layout).values()) == list(range(5))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["1x2", "2x1"])
def test_an_item_that_kills_its_worker_is_given_up_alone(layout: str) -> None:
    found = outcomes(always_die_on_two, range(5), layout)
    assert isinstance(found.pop(2), Lost)
    assert found == {i: i for i in (0, 1, 3, 4)}


@pytest.mark.parametrize("layout", ["0x1", "0x2", "2x1"])
def test_an_exception_of_the_work_reaches_the_caller(layout: str) -> None:
    with pytest.raises(OSError, match="item [01]"):
        outcomes(fail, [0, 1], layout)


def test_an_exception_keeps_its_exit_code_on_the_way_from_a_worker() -> None:
    with pytest.raises(OutputError, match="the disk is full\nhint: --resume") as raised:
        outcomes(fill_disk, [0], "1x1")
    assert raised.value.exit_code == 5


def test_workers_serve_two_steps() -> None:
    with LocalWorkers(Layout(1, 1)) as workers:
        first, second = (sorted(out for _, out in workers.run(os.getpgid, [0])) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("asked", "threads", "n_items", "expected"),
    [
        ("auto", 1, 10, Layout(0, 1)),
        ("auto", 2, 10, Layout(1, 2)),
        ("auto", 16, 100, Layout(4, 4)),
        ("auto", 16, 2, Layout(2, 8)),
        ("auto", 2, 0, Layout(1, 2)),
        ("3x5", 0, 1, Layout(3, 5)),
        ("0x2", 0, 9, Layout(0, 2)),
    ],
)
def test_few_items_get_many_threads_each(asked: str, threads: int, n_items: int, expected: Layout) -> None:
    assert plan_layout(asked, threads, n_items) == expected


@pytest.mark.parametrize("asked", ["4", "2x0", "axb", "-1x2"])
def test_a_layout_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match="PxT"):
        plan_layout(asked, 0, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_crew_gives_outcomes_in_order_and_counts_their_stage(threads: int) -> None:
    clock = Clock(Crew(threads))
    with clock.stage("whole"):
        assert list(clock.each(square, range(50), "part")) == [i * i for i in range(50)]
        assert list(clock.each(square, range(3))) == [0, 1, 4]
    assert set(clock.seconds) == {"whole", "part"}
    assert all(value >= 0 for seconds in clock.seconds.values() for value in seconds)


@pytest.mark.parametrize(("stage", "expected"), [("reading", True), ("calling", False)])
def test_being_blocked_counts_as_input_or_output_in_stages_of_files_alone(stage: str, expected: bool) -> None:
    clock = Clock(Crew(1))
    with clock.stage(stage):
        time.sleep(0.05)
    seconds = clock.seconds[stage]
    assert (seconds.io_at_most > 0.02) == expected
    assert seconds.io_at_most <= seconds.waiting


def test_a_stopped_crew_takes_no_more_work() -> None:
    crew = Crew(2)
    crew.stop()
    with pytest.raises(KeyboardInterrupt):
        list(Clock(crew).each(square, range(3)))
