"""A run on a Dask cluster: the bytes of a local run, whatever happens to the workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baleen.cluster import died_on_its_way, open_workers
from baleen.config import RunConfig
from baleen.errors import UsageError
from baleen.executors import Lost

N_WORKERS = 2
ENVIRONMENT = {
    **os.environ,
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s",
    "PYTHONPATH": str(Path(__file__).parent),  # the workers import the functions of this file
}


def start(*command: object) -> "subprocess.Popen[bytes]":
    dask = [sys.executable, "-m", "distributed.cli." + str(command[0]), *map(str, command[1:])]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(dask, env=ENVIRONMENT, start_new_session=True, **silent)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a process told to end; one that was just bringing its worker back may not hear it."""
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """File of a scheduler on 127.0.0.1 that has two workers, which come again when they die."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard")
    processes = [start("dask_scheduler", "--scheduler-file", file, "--port", 0, *local)]
    common = ("--scheduler-file", file, "--nthreads", 1, "--death-timeout", 120, "--local-directory", folder)
    processes += [start("dask_worker", *common, *local) for _ in range(N_WORKERS)]
    try:
        yield file
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            end(process)


def config(scheduler: Path) -> RunConfig:
    return RunConfig(executor="dask", scheduler_file=str(scheduler))


def square(item: int) -> int:
    return item * item


def die_on_two(item: int) -> int:
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail(item: int) -> int:
    message = f"item {item}"
    raise OSError(message)


@pytest.mark.slow
def test_every_item_has_one_outcome(scheduler: Path) -> None:
    with open_workers(config(scheduler), 6) as workers:
        assert dict(workers.run(square, range(6))) == {i: i * i for i in range(6)}


@pytest.mark.slow
def test_an_item_that_kills_its_worker_is_given_up_alone(scheduler: Path) -> None:
    with open_workers(config(scheduler), 5) as workers:
        found = dict(workers.run(die_on_two, range(5)))
    assert isinstance(found.pop(2), Lost)
    assert found == {i: i for i in (0, 1, 3, 4)}


@pytest.mark.slow
def test_outcomes_that_died_with_their_worker_are_made_again(scheduler: Path) -> None:
    with open_workers(config(scheduler), 6) as workers:
        outcomes = workers.run(square, range(6))
        found = dict([next(outcomes)])
        time.sleep(1)  # the others are done, and lie on the workers
        for pid in dask_workers(scheduler):
            os.kill(pid, signal.SIGKILL)
        found.update(outcomes)
    assert found == {i: i * i for i in range(6)}


@pytest.mark.parametrize("is_lost", [True, False])
def test_an_outcome_lost_while_it_was_fetched_is_no_exception_of_the_work(*, is_lost: bool) -> None:
    import asyncio
    from concurrent.futures import Future

    from distributed.cfexecutor import _cascade_future

    def work() -> None:
        message = "of the work"
        raise TypeError(message)

    class Fetched:
        status = "lost" if is_lost else "error"

        async def _result(self, *, raiseit: bool) -> object:
            assert not raiseit
            if is_lost:
                return 3
            try:
                work()
            except TypeError as error:
                return type(error), error, error.__traceback__

    future: Future[int] = Future()

    async def fetch() -> None:
        await _cascade_future(Fetched(), future)

    asyncio.run(fetch())
    with pytest.raises(TypeError) as caught:
        future.result()
    assert died_on_its_way(caught.value) == is_lost


@pytest.mark.slow
def test_an_exception_of_the_work_reaches_the_caller(scheduler: Path) -> None:
    with open_workers(config(scheduler), 2) as workers, pytest.raises(OSError, match="item [01]"):
        list(workers.run(fail, [0, 1]))


def baleen(*arguments: object) -> "subprocess.Popen[str]":
    code = "import baleen.plan; baleen.plan.GROUP_WORK = 1; from baleen.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def succeed(*arguments: object) -> None:
    process = baleen(*arguments)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said


def dask_workers(scheduler: Path) -> list[int]:
    from distributed import Client

    with Client(scheduler_file=str(scheduler), set_as_default=False) as client:
        return list(client.run(os.getpid).values())


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_gives_the_bytes_of_a_local_run(scheduler: Path, tmp_path: Path) -> None:
    pair, local, remote = (tmp_path / name for name in ("pair", "local", "remote"))
    sizes = ["--contigs", 6, "--contig-length", 150, "--reads", 16, "--sites", 2]
    succeed("simulate", "-o", pair, "--pore", "rna004", *sizes)
    arguments: list[object] = ["run", "--ref", pair / "ref.fa"]
    for condition in ("native", "ivt"):
        for kind in ("bam", "blow5"):
            arguments += [f"--{condition}-{kind}", pair / condition / f"reads.{kind}"]
    succeed(*arguments, "-o", local, "--layout", "0x1")
    victim = dask_workers(scheduler)[0]
    process = baleen(*arguments, "-o", remote, "--executor", "dask", "--scheduler-file", scheduler)
    while not list(remote.glob("per_contig/*.evidence.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.kill(victim, signal.SIGKILL)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert (remote / "site_results.tsv").read_bytes() == (local / "site_results.tsv").read_bytes()


def test_a_scheduler_must_be_named_once() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="--scheduler ADDRESS or --scheduler-file"):
        open_workers(RunConfig(executor="dask"), 1)


@pytest.mark.parametrize("address", ["foo", "10.0.0.1", "tcp://10.0.0.1", "tcp://host:port", ""])
def test_an_address_without_a_port_ends_the_process(address: str, tmp_path: Path) -> None:
    code = (
        "from baleen.cluster import open_workers; from baleen.config import RunConfig; "
        f"open_workers(RunConfig(executor='dask', scheduler={address!r}), 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert f"--scheduler: {address!r} is no address; it looks like tcp://10.0.0.1:8786" in done.stderr


def test_a_scheduler_without_dask_is_refused() -> None:
    with pytest.raises(UsageError, match="--executor local has no scheduler\nhint: --executor dask"):
        open_workers(RunConfig(scheduler="tcp://10.0.0.1:8786"), 1)


def test_a_scheduler_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("baleen.cluster._CONNECT_S", 0)
    with pytest.raises(UsageError, match="none\\.json"):
        open_workers(RunConfig(executor="dask", scheduler_file=str(tmp_path / "none.json")), 1)


@pytest.mark.slow
def test_a_scheduler_that_deals_out_deadly_tasks_again_is_warned_of(scheduler, caplog) -> None:
    from distributed import Client

    def allow(number: int) -> None:
        with Client(scheduler_file=str(scheduler), set_as_default=False) as client:
            client.run_on_scheduler(
                lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", number)
            )

    with open_workers(config(scheduler), 1):
        assert "allowed-failures" not in caplog.text
    allow(3)
    try:
        with open_workers(config(scheduler), 1):
            assert "3 more workers (allowed-failures)" in caplog.text
    finally:
        allow(0)
