"""Work items on the workers of a Dask cluster, which see the same files as the main process."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from baleen import __version__
from baleen.config import RunConfig
from baleen.console import LOG
from baleen.errors import UsageError
from baleen.executors import MAX_DEATHS, LocalWorkers, Lost, plan_layout

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_ADDRESS = re.compile(r"([a-z]+://)?[^/]+:[0-9]+")
_CONNECT_S = 30
_SILENCE_S = 60.0
_LOST = Lost(f"its worker died {MAX_DEATHS} times (out of memory, or a crash)")


def open_workers(config: RunConfig, n_items: int) -> "LocalWorkers | DaskWorkers":
    """Return the workers that were asked for; a context.

    Raises
    ------
    UsageError
        If there is no such cluster, or it runs another version.
    """
    layout = plan_layout(config.layout, config.threads, n_items)
    if config.executor == "local":
        if config.scheduler is not None or config.scheduler_file is not None:
            message = "--scheduler, --scheduler-file: --executor local has no scheduler"
            raise UsageError(message, hint="--executor dask")
        return LocalWorkers(layout)
    return DaskWorkers(config, threads=1 if config.layout == "auto" else layout.threads)


class DaskWorkers:
    """Workers of a cluster that somebody else started.

    Parameters
    ----------
    config
        Where the scheduler is.
    threads
        Of the engine in each worker.
    """

    def __init__(self, config: RunConfig, threads: int) -> None:
        self.threads = threads
        try:
            import distributed
        except ImportError as error:
            message = "--executor dask: distributed is not installed"
            raise UsageError(message, hint="pip install 'baleen-rna[distributed]'") from error
        if (config.scheduler is None) == (config.scheduler_file is None):
            message = "--executor dask: give either --scheduler ADDRESS or --scheduler-file FILE"
            raise UsageError(message)
        if config.scheduler is not None and not _ADDRESS.fullmatch(config.scheduler):
            # distributed says so too, but its client then keeps the process from ending
            message = f"--scheduler: {config.scheduler!r} is no address; it looks like tcp://10.0.0.1:8786"
            raise UsageError(message)
        if config.scheduler_file is not None:
            _await_file(Path(config.scheduler_file))
        where = {"address": config.scheduler, "scheduler_file": config.scheduler_file}
        try:
            self._client = distributed.Client(**where, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]  # as it comes
        except (OSError, ValueError) as error:
            message = f"--executor dask: no scheduler at {config.scheduler or config.scheduler_file}: {error}"
            raise UsageError(message, hint="dask scheduler --scheduler-file FILE") from error
        self._death = distributed.KilledWorker

    @property
    def per_machine(self) -> int:
        """Workers of the machine that has most of them now."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return max(Counter(worker["host"] for worker in workers.values()).values(), default=1)

    @property
    def description(self) -> str:
        """What they are, for the record."""
        return f"dask, {self._n_workers()} workers of {self.threads} thread(s)"

    def __enter__(self) -> Self:
        versions = self._client.run(_version)
        others = {address: found for address, found in versions.items() if found != __version__}
        if others:
            address, found = next(iter(others.items()))
            message = f"the Dask worker {address} runs baleen {found}, this is {__version__}"
            raise UsageError(message, hint="install the same version everywhere")
        self._warn_of_failures()
        return self

    def _warn_of_failures(self) -> None:
        """Say so if the scheduler would hand a task that killed its worker to the next one."""
        allowed = self._client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures)  # type: ignore[no-untyped-call]  # as it comes
        if allowed:
            LOG.warning(
                "warning: the scheduler gives a task whose worker died to %d more workers "
                "(allowed-failures); start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0",
                allowed,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()  # type: ignore[no-untyped-call]  # as it comes

    def run(
        self, function: Callable[[Item], Outcome], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Outcome | Lost]]:
        """Yield ``(item, outcome)`` as items finish; an exception of the work is raised here.

        Items whose worker died are tried again alone at the end, and given up if that one dies too.
        """
        suspects: list[Item] = []
        for item, outcome in self._outcomes(function, items):
            if isinstance(outcome, Lost):
                LOG.warning("a Dask worker died; its work items are tried again alone")
                suspects.append(item)
            else:
                yield item, outcome
        for item in suspects:
            yield item, self._alone(function, item)

    def _alone(self, function: Callable[[Item], Outcome], item: Item) -> Outcome | Lost:
        for _ in range(MAX_DEATHS - 1):
            ((_, outcome),) = self._outcomes(function, [item])
            if not isinstance(outcome, Lost):
                break
        return outcome

    def _outcomes(
        self, function: Callable[[Item], Outcome], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Outcome | Lost]]:
        executor = self._client.get_executor(pure=False)  # type: ignore[no-untyped-call]  # as it comes
        running: dict[Future[Outcome], Item] = {executor.submit(function, item): item for item in items}
        try:
            while running:
                for future in self._finished(running):
                    item = running.pop(future)
                    outcome: Outcome | Lost
                    try:
                        outcome = future.result()  # may have been on a worker that died since
                    except self._death:
                        outcome = _LOST
                    except TypeError as error:
                        if not died_on_its_way(error):
                            raise
                        outcome = _LOST
                    yield item, outcome
        finally:
            executor.shutdown(wait=False)  # cancels what has not begun

    def _finished(self, running: "dict[Future[Outcome], Item]") -> "set[Future[Outcome]]":
        """Return those that have finished, at least one; say so if there is nobody to do the work."""
        while True:
            done = wait(running, timeout=_SILENCE_S, return_when=FIRST_COMPLETED).done
            if done:
                return done
            if not self._n_workers():
                LOG.warning("the Dask cluster has no workers; waiting for some")

    def _n_workers(self) -> int:
        return len(self._client.scheduler_info(n_workers=-1)["workers"])


def died_on_its_way(error: TypeError) -> bool:
    """Whether an outcome was lost while it was fetched, and this is how `distributed` says so.

    Its executor takes an outcome whose worker dies just then for an exception and fails to raise it
    (`distributed.cfexecutor`); an exception of the work itself has frames of the work.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name == "_cascade_future"


def _await_file(path: Path) -> None:
    """Wait for a scheduler that has just been started."""
    deadline = time.monotonic() + _CONNECT_S
    while not path.is_file():
        if time.monotonic() > deadline:
            message = f"--scheduler-file: {path} is not there"
            raise UsageError(message, hint=f"dask scheduler --scheduler-file {path}")
        time.sleep(0.2)


def _version() -> str:
    return __version__
