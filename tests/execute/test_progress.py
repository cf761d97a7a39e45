"""What is shown of a run."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console
from run_functions import make_cell

from segbench.config.protocol import Budget
from segbench.execute.progress import LiveProgress, PlainProgress, Tracker, progress_on
from segbench.execute.workers import Event
from segbench.store.record import Failure


class Clock:
    """Seconds that pass when told to."""

    seconds = 100.0

    def __call__(self):
        return self.seconds


def step(number, steps=100, **fields):
    return Event("step", {"step": number, "steps": steps, "loss": 0.5, "images_per_second": 20.0, **fields})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(clock):
    """A plain display, and the lines it has written."""
    stream = io.StringIO()
    display = PlainProgress(stream, clock)
    return display, lambda: stream.getvalue().splitlines()


def test_plain_lines_tell_where_a_cell_starts_and_how_it_ends(lines, clock):
    display, written = lines
    cell, other = make_cell("unet"), make_cell("fpn")
    display.planned([cell, other], 3)
    display.started("preflight", cell)
    display.ended("preflight", cell, "ok", None)
    display.started("cell", cell)
    clock.seconds += 75
    display.ended("cell", cell, "failed", Failure(cause="the loss became nan", plugin="smp"))
    display.ended("cell", other, "skipped", Failure(cause="needs unet"))
    assert written() == [
        "2 cells to run, 3 already recorded",
        "trying unet on data",
        "data / unet / seed 0: started",
        "data / unet / seed 0: failed in 1 min 15 s: the loss became nan (plugin 'smp') (1 of 2 done)",
        "data / fpn / seed 0: skipped: needs unet (2 of 2 done)",
    ]


def test_steps_are_told_at_most_every_ten_seconds(lines, clock):
    display, written = lines
    cell = make_cell("unet")
    display.planned([cell], 0)
    display.started("cell", cell)
    for number in range(0, 50, 2):
        display.reported("cell", cell, step(number))
        clock.seconds += 1
    assert written()[2:] == [
        "data / unet / seed 0: step 20 of 100, 20.0 images/s, loss 0.5, 40 s left",
        "data / unet / seed 0: step 40 of 100, 20.0 images/s, loss 0.5, 30 s left",
    ]


def test_failures_outside_cells_and_warnings_are_told(lines):
    display, written = lines
    cell = make_cell("unet")
    display.planned([cell], 0)
    display.ended("timing", cell, "failed", Failure(cause="out of memory"))
    display.reported("cell", cell, Event("warning", {"message": "the checkpoint was corrupt"}))
    assert written()[1:] == [
        "timing of unet on data failed: out of memory",
        "data / unet / seed 0: the checkpoint was corrupt",
    ]


def test_what_is_timed_is_told_at_most_every_ten_seconds_for_all_rivals_together(lines, clock):
    display, written = lines
    display.planned([], 0)
    for stage in ("forward, batches of 1", "argmax, batches of 1", "forward, batches of 8"):
        for method in ("unet", "fpn"):
            display.reported("timing", make_cell(method), Event("stage", {"name": stage}))
            clock.seconds += 4
    assert written()[1:] == [
        "timing unet on data: forward, batches of 1",
        "timing fpn on data: argmax, batches of 1",
    ]


def test_a_budget_that_is_known_only_when_the_cell_starts_counts_from_then_on(clock):
    tracker, cell = Tracker(clock), make_cell("unet")
    tracker.planned([cell], 0)
    protocol = cell.method.protocol.model_copy(update={"budget": Budget(seconds=20)})
    settled = cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": protocol})})
    tracker.started("cell", settled)
    tracker.reported("cell", settled, Event("step", {"step": 7, "steps": None, "seconds": 5.0, "loss": 0.5}))
    assert tracker.cells[cell.key].part == 0.25


def test_a_resumed_cell_estimates_by_its_pace_since_then(clock):
    tracker, cell = Tracker(clock), make_cell("unet")
    tracker.planned([cell], 0)
    tracker.started("cell", cell)
    tracker.reported("cell", cell, step(80))
    assert tracker.cells[cell.key].seconds_left(clock()) is None
    clock.seconds += 10
    tracker.reported("cell", cell, step(90))
    assert tracker.cells[cell.key].seconds_left(clock()) == pytest.approx(10)


def test_a_budget_in_seconds_is_measured_by_them(clock):
    cell = make_cell("unet")
    protocol = cell.method.protocol.model_copy(update={"budget": Budget(seconds=40)})
    cell = cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": protocol})})
    tracker = Tracker(clock)
    tracker.planned([cell], 0)
    tracker.reported("cell", cell, step(7, None, seconds=10.0))
    assert tracker.cells[cell.key].part == 0.25


def test_the_whole_run_is_the_mean_of_its_cells(clock):
    tracker, cells = Tracker(clock), [make_cell("unet", seed) for seed in range(2)]
    tracker.planned(cells, 0)
    tracker.started("cell", cells[0])
    clock.seconds += 30
    tracker.reported("cell", cells[0], step(50))
    assert tracker.part == 0.25
    assert tracker.seconds_left() == pytest.approx(90)
    tracker.ended("cell", cells[0], "ok", None)
    assert (tracker.part, tracker.done) == (0.5, 1)


def picture(display):
    console = Console(width=120, height=14, file=io.StringIO())
    console.print(display.picture())
    return console.file.getvalue().splitlines()


def test_the_live_table_shows_state_steps_speed_and_loss():
    display = LiveProgress(Console(file=io.StringIO(), width=120, height=30))
    cells = [make_cell("unet", seed) for seed in range(3)]
    display.planned(cells, 2)
    display.started("cell", cells[0])
    display.reported("cell", cells[0], Event("stage", {"name": "train"}))
    display.reported("cell", cells[0], step(50))
    display.ended("cell", cells[1], "failed", Failure(cause="killed by SIGSEGV"))
    display.notice("another run works here")
    shown = [line.split() for line in picture(display)]
    assert shown[0] == ["cell", "state", "step", "images/s", "left", "loss"]
    assert shown[1][6:] == ["train", "50/100", "20.0", "0.5"]
    assert shown[2][6:] == ["failed:", "killed", "by", "SIGSEGV"]
    assert shown[3][6:] == ["waiting"]
    assert "1 of 3 cells done, 2 recorded before" in " ".join(shown[4])
    assert " ".join(shown[5]) == "another run works here"


def test_the_live_table_keeps_what_runs_and_what_failed_when_there_is_no_room_for_all():
    display = LiveProgress(Console(file=io.StringIO(), width=120, height=11))
    cells = [make_cell("unet", seed) for seed in range(9)]
    display.planned(cells, 0)
    for cell in cells[:7]:
        display.ended("cell", cell, "failed" if cell.seed == 4 else "ok", None)
    display.started("cell", cells[8])
    shown = [" ".join(line.split()) for line in picture(display)]
    assert shown[1:5] == [
        "data / unet / seed 4 failed",
        "data / unet / seed 7 waiting",
        "data / unet / seed 8 starting",
        "... and 6 more",
    ]


def test_names_that_look_like_markup_are_shown_as_they_are():
    display = LiveProgress(Console(file=io.StringIO(), width=120, height=30))
    display.planned([make_cell("unet[red]")], 0)
    assert "unet[red]" in picture(display)[1]


def test_a_pipe_gets_plain_lines_and_a_terminal_a_live_table():
    with progress_on(io.StringIO()) as display:
        assert isinstance(display, PlainProgress)
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal, progress_on(terminal) as display:
        assert isinstance(display, LiveProgress)
    os.close(ours)
