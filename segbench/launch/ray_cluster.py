"""A cluster of Ray: joined or started here, and which of its nodes have what a cell needs."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from segbench.errors import CellError, SpecError
from segbench.execute.processes import format_bytes
from segbench.plan.machine import usable_cores
from segbench.registry.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segbench.plan.cell import Cell

# What Ray is told by its environment, of which it reads some on being imported. Its processes would run at niceness 15,
# where a busy machine all but halts them, and a cluster of this machine alone would listen on all its addresses.
_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0"}
RAY_HERE = {"RAY_worker_niceness": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_SHORT_FOLDER = Path("/tmp")  # the paths of Ray's sockets have about 70 bytes more, and the system allows 107


@dataclass(frozen=True)
class Need:
    """What Ray is to find on a node for a cell: CPUs, parts of GPUs, bytes of memory."""

    cpus: int
    gpus: float = 0
    memory: int | None = None

    def options(self) -> dict[str, Any]:
        """Return these as the options of a task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory}

    def __str__(self) -> str:
        parts = [f"{self.cpus} CPU{'s' * (self.cpus > 1)}"]
        parts += [f"{self.gpus:g} GPU{'s' * (self.gpus > 1)}"] if self.gpus else []
        parts += [f"{format_bytes(self.memory)} of memory"] if self.memory else []
        return ", ".join(parts)


def need_of(cell: Cell, cpus: int | None, share: float, memory: int | None) -> Need:
    """Return what a cell needs: so many CPUs, by default one for each thread, and a share of a GPU (0: none).

    A cell that several processes train needs it for each of them.
    """
    protocol = cell.method.protocol
    count = protocol.processes
    gpus = share * count if count == 1 else float(count * bool(share))
    return Need((cpus or protocol.threads or 1) * count, gpus, memory)


@dataclass(frozen=True)
class Node:
    """A node of the cluster: its id and address, and what it has in all."""

    id: str
    address: str
    cpus: float
    gpus: float
    memory: float

    def count_fitting(self, need: Need) -> int:
        """Return how many cells it has room for at once."""
        asked = ((self.cpus, need.cpus), (self.gpus, need.gpus), (self.memory, need.memory or 0))
        return min(int(has / wanted + 1e-6) for has, wanted in asked if wanted)


@contextmanager
def connect(address: str | None, cpus: int) -> Iterator[None]:
    """Join the cluster at an address, or start one on this machine with at least so many CPUs, until the block ends.

    Raises SegbenchError if Ray is not installed, and CellError if there is no cluster to be had.
    """
    require("ray", "ray")
    for name, value in (_ALWAYS if address else {**_ALWAYS, **RAY_HERE}).items():
        os.environ.setdefault(name, value)
    import ray

    with nullcontext() if address else TemporaryDirectory(prefix="segbench-ray-", dir=_SHORT_FOLDER) as folder:
        where: dict[str, Any] = {"address": address}
        if address is None:
            where = {"address": "local", "num_cpus": max(usable_cores(), cpus), "_temp_dir": folder}
            where |= {"include_dashboard": False}
        try:
            ray.init(**where, log_to_driver=False, logging_level="error", configure_logging=True)
        except Exception as error:  # of many types
            which = f"the cluster of Ray at --address {address} cannot be joined" if address else "Ray does not start"
            raise CellError(f"{which}: {next(iter(str(error).strip().splitlines()), type(error).__name__)}") from error
        try:
            yield
        except ray.exceptions.RayError as error:
            what = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise CellError(f"the cluster of Ray is lost: {what}; the same command resumes where it was") from error
        finally:
            ray.shutdown()


def list_nodes() -> list[Node]:
    """Return the nodes of the cluster that are alive."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], *(has.get(name, 0.0) for name in ("CPU", "GPU", "memory")))
        for node in alive
        for has in [node["Resources"]]
    ]


def find_nodes(nodes: Sequence[Node], needs: Sequence[Need]) -> list[Node]:
    """Return the nodes that have room for every kind of cell; SpecError if there is none for one of them."""
    for need in needs:
        if not any(node.count_fitting(need) for node in nodes):
            has = "; ".join(str(Need(int(node.cpus), node.gpus, int(node.memory))) for node in nodes)
            raise SpecError(
                f"--on ray: a cell needs {need}, which no node of the cluster has: {has}. A cell needs a CPU for each "
                "of its threads; --cpus N asks for another number, as `threads: N` in the protocol does"
            )
    return [node for node in nodes if any(node.count_fitting(need) for need in needs)]
