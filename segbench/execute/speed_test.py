"""Methods that are timed without having been trained: speed does not depend on the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from segbench.engine.job import TimingJob

from .jobs import ENGINE
from .pool import Interrupt
from .processes import fair_share
from .run import probe, start_workers
from .timing_session import device_lock, time_rivals, waiting_for
from .workers import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.plan.cell import Cell

    from .jobs import Functions
    from .progress import Listener
    from .timing_session import Timed


@dataclass(frozen=True)
class Request:
    """What is to be timed: cells of one protocol, each under the name of its method, and where.

    `device` is auto, cpu, cuda or cuda:N; `size` the [height, width] of images, None for that of the data.
    """

    cells: Sequence[Cell]
    device: str
    size: tuple[int, int] | None = None


def time_untrained(
    request: Request,
    listener: Listener,
    accept: Callable[[Mapping[str, Any]], None],
    functions: Functions = ENGINE,
) -> Timed | None:
    """Time methods in turn, alone on the device; None if it was interrupted.

    `accept` hears of the environment before anything is timed, and may raise. Raises the SegbenchError for a device
    that is not there. Waits while another process of segbench times on the device.
    """
    workers = start_workers(request.cells)
    with Interrupt() as interrupt:
        limits = Limits(memory=fair_share(1))
        environment = probe(workers, functions.probe, request.device, limits, interrupt, listener)
        if environment is None:
            return None
        accept(environment)
        device = str(environment["device"])
        waiting = waiting_for(device, listener, interrupt)
        with TemporaryDirectory(prefix="segbench-") as place, device_lock(device, waiting) as had:
            if not had:
                return None
            timed = time_rivals(
                _jobs(request, device, Path(place)),
                workers=workers,
                limits=limits,
                interrupt=interrupt,
                listener=listener,
                function=functions.timing,
            )
        return None if interrupt.requested else timed


def _jobs(request: Request, device: str, place: Path) -> dict[str, TimingJob]:
    return {
        cell.method.name: TimingJob(cell=cell, folder=str(place / str(number)), device=device, size=request.size)
        for number, cell in enumerate(request.cells)
    }
