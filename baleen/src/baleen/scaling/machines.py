"""Machines as the simulator knows them: nodes, cores, threads of a core, cost of moving a cache line."""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from baleen.errors import UsageError


class Place(NamedTuple):
    """Where a thread runs.

    Parameters
    ----------
    node
        NUMA node.
    speed
        Of the thread, 1 = alone on a core.
    """

    node: int
    speed: float


@dataclass(frozen=True, kw_only=True)
class MachineModel:
    """A machine and its constants.

    Parameters
    ----------
    nodes, cores_per_node, threads_per_core
        Its parts.
    smt_gain
        Work of two threads of a core over that of one; four threads gain it twice.
    line_ns, far_line_ns
        Moving a cache line between cores of one node, of two.
    wake_ns
        Waking a sleeping thread.
    slowness
        Time inside locks over that of the machine it was measured on.
    """

    nodes: int
    cores_per_node: int
    threads_per_core: int = 1
    smt_gain: float = 1.3
    line_ns: float = 150.0
    far_line_ns: float = 600.0
    wake_ns: float = 1500.0
    slowness: float = 1.0

    @property
    def cores(self) -> int:
        """Cores of all nodes."""
        return self.nodes * self.cores_per_node

    @property
    def most_threads(self) -> int:
        """Threads that run at once."""
        return self.cores * self.threads_per_core

    def places(self, n: int) -> list[Place]:
        """Spread threads over nodes, then cores, then the threads of cores, as an idle Linux does.

        Raises
        ------
        UsageError
            If there are more threads than can run at once, which is not modelled.
        """
        if n > self.most_threads:
            message = f"{n} threads: the machine runs {self.most_threads} at once; more are not simulated"
            raise UsageError(message)
        on_core = [n // self.cores + (core < n % self.cores) for core in range(self.cores)]
        return [
            Place(
                i % self.cores % self.nodes, self.core_gain(on_core[i % self.cores]) / on_core[i % self.cores]
            )
            for i in range(n)
        ]

    def core_gain(self, threads: int) -> float:
        """Return the work of a core with so many threads over that with one."""
        doublings = {1: 0.0, 2: 1.0, 3: 1.585, 4: 2.0}[threads]
        return float(self.smt_gain**doublings)

    def move_ns(self, here: int, there: int) -> float:
        """Return the time a line takes from node to node."""
        return self.line_ns if here == there else self.far_line_ns


PAPER_MACHINES = {
    "skylake": MachineModel(nodes=2, cores_per_node=24, threads_per_core=2),
    "broadwell": MachineModel(nodes=4, cores_per_node=14, threads_per_core=2),
    "knl": MachineModel(nodes=1, cores_per_node=68, threads_per_core=4, smt_gain=1.41),
}
"""The machines of Langmead et al. 2019: 96, 112 and 272 threads.

Four threads of a core of Knights Landing gain 1.97 (Bowtie) to 2.00 (HISAT): processes of one thread, 68 and
272 of them, in the authors' github.com/BenLangmead/bowtie-scaling, results/stampede_knl.
"""


def machine_named(text: str, line_ns: float | None = None) -> MachineModel:
    """Return a machine by name, or by ``NODESxCORESxTHREADS`` (cores of a node, threads of a core).

    Parameters
    ----------
    text
        Which one.
    line_ns
        Moving a cache line within a node, where that was measured; the named machines have their own.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if text in PAPER_MACHINES:
        return PAPER_MACHINES[text]
    numbers = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-4])", text)
    if numbers is None:
        message = f"--machine: {text!r} is neither {', '.join(PAPER_MACHINES)} nor NODESxCORESxTHREADS"
        raise UsageError(message, hint="2x24x2 has two nodes of 24 cores of two threads")
    nodes, cores, threads = map(int, numbers.groups())
    machine = MachineModel(nodes=nodes, cores_per_node=cores, threads_per_core=threads)
    return machine if line_ns is None else replace(machine, line_ns=line_ns)
