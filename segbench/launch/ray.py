"""A run on a cluster of Ray: its nodes are prepared, Ray places the cells, and the records are published from here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from segbench.errors import SpecError
from segbench.execute.jobs import key_of
from segbench.execute.run import Summary, run
from segbench.execute.timing import lacks_timing

from .ray_cluster import connect, find_nodes, list_nodes, need_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.execute.jobs import RunOptions
    from segbench.execute.progress import Listener
    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder


def run_on_ray(
    cells: Sequence[Cell],
    folder: ResultsFolder,
    options: RunOptions,
    *,
    address: str | None,
    cpus: int | None,
    listener: Listener,
) -> Summary:
    """Run cells as `segbench.execute.run` does, but on a cluster of Ray: the one at an address, or one started here.

    A cell is given `cpus`, by default as many as it has threads, the `options.jobs`-th part of a GPU unless the device
    is the CPU, and the memory of its limit, if there is one. Raises SegbenchError as `run` does, and if there is no
    Ray, no node has what a cell needs, or one lacks code or data.
    """
    device, jobs = options.device, options.least_jobs
    if options.jobs == "auto":
        raise SpecError("--jobs auto: with --on ray, a cell is given its part of a GPU before it runs; give a number")
    if device not in ("auto", "cpu", "cuda"):
        raise SpecError(f"--device {device}: with --on ray, Ray chooses the GPU; give cuda, cpu or auto")
    done = folder.read_all_finished(map(key_of, cells))
    todo = [cell for cell in cells if key_of(cell) not in done or lacks_timing(cell, done[key_of(cell)])]
    if not todo:
        return run(cells, folder, options, listener=listener)
    with connect(address, max(need_of(cell, cpus, 0, None).cpus for cell in todo)):
        from .ray_workers import RayWorkers

        nodes = list_nodes()
        if device == "auto":
            device = "cuda" if any(node.gpus for node in nodes) else "cpu"
        if device == "cpu" and jobs > 1:
            raise SpecError(f"--jobs {jobs}: with --on ray, as many cells run at once as the CPUs allow; see --cpus")
        memory = None if options.memory_limit is None else options.limits.memory
        need = partial(need_of, cpus=cpus, share=1 / jobs if device == "cuda" else 0, memory=memory)
        needs = list({need(cell) for cell in todo})
        fitting = find_nodes(nodes, needs)
        workers = RayWorkers(folder.path, todo, need, memory)
        workers.prepare(todo, fitting, device, listener)
        return run(
            cells,
            folder,
            replace(options, device=device),
            listener=listener,
            workers=workers,
            at_once=sum(max(node.count_fitting(one) for one in needs) for node in fitting),
            time=workers.time_methods,
        )
