"""How many cells there is room for on a device, by what recorded cells tell that they took."""

from __future__ import annotations

import json

import pytest
from run_functions import make_cell

from segbench.execute import capacity
from segbench.execute.capacity import Capacity
from segbench.execute.jobs import unfinished_record
from segbench.execute.progress import NoProgress
from segbench.store.folder import EVENTS, ResultsFolder, files_of
from segbench.store.record import Failure

GB = 10**9
GPU = {"machine": "here", "device": "cuda:0"}
CPU = {"machine": "here", "device": "cpu"}
USAGE = {"host_bytes": 2 * GB, "device_bytes": 9 * GB, "device_total_bytes": 100 * GB, "busy": 0.25}


class Told(NoProgress):
    def __init__(self):
        self.messages = []

    def notice(self, message):
        self.messages.append(message)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A results folder on a machine; returns the room that it makes of cells with what they took."""
    folder = ResultsFolder(tmp_path, "bench")

    def record(cell, usage, status="ok", **environment):
        """Return the record of a cell that has left what it took among its events."""
        made = unfinished_record(cell, status, Failure(cause="none"), {**GPU, "jobs": 1, **environment})
        files = files_of(folder.path, made)
        files.mkdir(parents=True, exist_ok=True)
        (files / EVENTS).write_text(json.dumps({"time": 1, "event": "usage", **usage}) + "\n")
        return made

    def room(*cells, on=GPU, cores=16, gpus=1, memory=100 * GB):
        monkeypatch.setattr(capacity, "usable_cores", lambda: cores)
        monkeypatch.setattr(capacity, "likely_gpus", lambda: gpus)
        monkeypatch.setattr(capacity, "free_bytes", lambda: memory)
        machine.told = Told()
        return Capacity(on, cells, folder, machine.told)

    def machine(usage, *, method="unet", threads=1, processes=1, on=GPU, **facts):
        """Return the room after one cell, further cells of its method, and how many of these fit at once."""
        cells = [make_cell(method, seed, threads=threads, processes=processes) for seed in range(40)]
        made = room(*cells, on=on, **facts)
        made.learn([record(cells[0], usage, device=on["device"])])
        return next(
            (count for count, cell in enumerate(cells) if not made.fits(cell, [one.key for one in cells[:count]])), 40
        )

    machine.room, machine.record = room, record
    return machine


@pytest.mark.parametrize(
    ("changes", "facts", "count"),
    [
        ({}, {}, 4),  # by its time: 4 times 25 %
        ({"busy": 1 / 3}, {}, 3),
        ({"busy": 0.34}, {}, 2),
        ({"busy": 1.0}, {}, 1),
        ({"busy": 0.01}, {}, 10),  # by its memory: 90 of 100 GB
        ({"busy": 0.01, "device_bytes": 30 * GB}, {}, 3),
        ({"busy": 0.01, "device_bytes": 95 * GB}, {}, 1),
        ({"busy": 0.01}, {"memory": 7 * GB}, 3),  # by that of the host
        ({"busy": 0.01}, {"cores": 6}, 6),
        ({"busy": 0.01}, {"cores": 6, "gpus": 2}, 3),  # the other ones are for the other GPU
        ({"busy": 0.01}, {"memory": 24 * GB, "gpus": 4}, 3),
    ],
)
def test_as_many_cells_fit_on_a_gpu_as_the_scarcest_thing_allows(machine, changes, facts, count):
    assert machine({**USAGE, **changes}, **facts) == count
    assert machine.told.messages[0].endswith(f"alone, so {count} at once")


@pytest.mark.parametrize(
    ("threads", "cores", "memory", "count"), [(1, 2, 9, 2), (1, 16, 9, 4), (3, 16, 90, 5), (8, 4, 90, 1)]
)
def test_as_many_cells_fit_on_a_cpu_as_it_has_cores_for_their_threads_and_memory(
    machine, threads, cores, memory, count
):
    usage = {"host_bytes": 2 * GB}
    assert machine(usage, threads=threads, cores=cores, memory=memory * GB, on=CPU) == count


@pytest.mark.parametrize("missing", ["busy", "device_bytes", "device_total_bytes", "host_bytes"])
def test_what_could_not_be_read_counts_as_all_there_is(machine, missing):
    assert machine({name: value for name, value in USAGE.items() if name != missing}) == 1


def test_without_a_number_for_the_memory_of_the_machine_cells_run_alone(machine):
    assert machine(USAGE, memory=None) == 1
    assert machine({"host_bytes": GB}, memory=None, on=CPU) == 1


def test_a_cell_of_several_processes_runs_alone(machine):
    assert machine(USAGE, processes=2) == 1


def test_a_line_says_what_was_measured_and_what_follows(machine):
    machine(USAGE)
    assert machine.told.messages == [
        "unet (data) on cuda:0: 9 GB of 100 GB, 25 % busy, and 2 GB of 100 GB of the host alone, so 4 at once"
    ]
    machine({"host_bytes": 2 * GB}, threads=3, on=CPU)
    assert machine.told.messages == ["unet (data) on cpu: 2 GB of 100 GB and 3 of 16 cores alone, so 5 at once"]
    machine({"host_bytes": 2 * GB, "device_total_bytes": 100 * GB})
    assert machine.told.messages == [
        "unet (data) on cuda:0: unknown memory of 100 GB, busy share unknown (extra nvml), and 2 GB of 100 GB of the "
        "host alone, so 1 at once"
    ]


@pytest.mark.parametrize(
    "facts", [{"status": "failed"}, {"jobs": 2}, {"machine": "elsewhere"}, {"machine": None}], ids=str
)
def test_only_a_finished_cell_tells_that_was_alone_on_such_a_device(machine, facts):
    cell = make_cell("unet")
    room = machine.room(cell)
    room.learn([machine.record(cell, USAGE, **facts)])
    assert machine.told.messages == []


def test_cells_of_several_methods_fit_as_long_as_all_shares_add_up(machine):
    small, large, unknown = make_cell("small"), make_cell("large"), make_cell("unknown")
    room = machine.room(small, large, unknown)
    room.learn([machine.record(small, USAGE), machine.record(large, {**USAGE, "busy": 0.6})])
    assert room.fits(small, [large.key])
    assert not room.fits(large, [large.key])
    assert not room.fits(large, [small.key, small.key])
    assert room.fits(small, [small.key] * 3)
    assert room.fits(unknown, [])
    assert not room.fits(unknown, [small.key])
    assert not room.fits(small, [unknown.key])


def test_a_device_is_full_when_no_method_that_was_measured_fits(machine):
    small, large = make_cell("small"), make_cell("large")
    room = machine.room(small, large)
    assert not room.is_full([])
    assert room.is_full([small.key])
    room.learn([machine.record(small, USAGE), machine.record(large, {**USAGE, "busy": 0.6})])
    assert not room.is_full([large.key])
    assert room.is_full([large.key, small.key])


def test_a_method_that_is_isolated_runs_alone_whatever_is_measured_later(machine):
    cells = [make_cell("unet", seed) for seed in (0, 1)]
    room = machine.room(*cells)
    room.learn([machine.record(cells[0], USAGE)])
    assert room.fits(cells[1], [cells[0].key])
    room.isolate(cells[0])
    room.learn([machine.record(cells[0], USAGE)])
    assert not room.fits(cells[1], [cells[0].key])
