"""Methods timed without having been trained: speed does not depend on the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.engine.job import TimingJob

from .jobs import ENGINE
from .pool import Interrupt
from .processes import fair_share
from .run import probe_device, start_workers
from .temporary import temporary_folder
from .timing_session import device_lock, time_interleaved
from .workers import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.config.timing import Runtime
    from segbench.plan.cell import Cell

    from .jobs import Functions
    from .progress import Listener
    from .timing_session import Timed


def time_untrained(
    cells: Sequence[Cell],
    *,
    device: str,
    size: tuple[int, int] | None,
    listener: Listener,
    accept: Callable[[Mapping[str, Any]], None],
    runtimes: Mapping[str, Runtime] | None = None,
    functions: Functions = ENGINE,
) -> Timed | None:
    """Time the methods of cells of one protocol interleaved, alone on the device; None if it was interrupted.

    `device` is auto, cpu, cuda or cuda:N; `size` the [height, width] of images, None for that of the data; `runtimes`
    are those of methods by name that do not run in torch. `accept` is called with the environment before anything is
    timed, and may raise. Raises the SegbenchError for a device that does not exist. Waits while another process of
    segbench times on the device.
    """
    workers = start_workers(cells)
    with Interrupt() as interrupt:
        limits = Limits(memory=fair_share(1))
        environment = probe_device(workers, functions.probe, device, limits, interrupt, listener)
        if environment is None:
            return None
        accept(environment)
        found = str(environment["device"])
        with temporary_folder() as folder, device_lock(environment, listener, interrupt) as locked:
            if not locked:
                return None
            timed = time_interleaved(
                _make_jobs(cells, Path(folder), found, size, runtimes or {}),
                workers=workers,
                limits=limits,
                interrupt=interrupt,
                listener=listener,
                function=functions.timing,
            )
        return None if interrupt.requested else timed


def _make_jobs(
    cells: Sequence[Cell], folder: Path, device: str, size: tuple[int, int] | None, runtimes: Mapping[str, Runtime]
) -> dict[str, TimingJob]:
    """Return the job of each method by its name, each with a folder of its own."""
    return {
        (name := cell.method.name): TimingJob(
            cell=cell, folder=str(folder / str(i)), device=device, size=size, runtime=runtimes.get(name, "torch")
        )
        for i, cell in enumerate(cells)
    }
