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
    """Seconds that pass as a test sets them."""

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


def test_one_cell_is_no_cells(lines):
    display, written = lines
    display.planned([make_cell("unet")], 0)
    assert written() == ["1 cell to run, 0 already recorded"]


def test_a_cell_that_is_resumed_says_where(lines):
    display, written = lines
    cell = make_cell("unet")
    display.planned([cell], 0)
    display.reported("cell", cell, Event("resumed", {"step": 5}))
    assert written()[1:] == ["data / unet / seed 0: resumed at step 5"]


def test_steps_are_written_at_most_every_ten_seconds(lines, clock):
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


def test_failures_outside_cells_and_warnings_are_written(lines):
    display, written = lines
    cell = make_cell("unet")
    display.planned([cell], 0)
    display.ended("timing", cell, "failed", Failure(cause="out of memory"))
    display.reported("cell", cell, Event("warning", {"message": "the checkpoint was corrupt"}))
    assert written()[1:] == [
        "timing of unet on data failed: out of memory",
        "data / unet / seed 0: the checkpoint was corrupt",
    ]


def test_timing_is_written_at_most_every_ten_seconds_for_all_methods_together(lines, clock):
    display, written = lines
    display.planned([], 0)
    for stage in ("forward, batches of 1", "argmax, batches of 1", "forward, batches of 8"):
        for method in ("unet", "fpn"):
            display.reported("timing", make_cell(method), Event("stage", {"name": stage, "seconds_left": 90.0}))
            clock.seconds += 4
    assert written()[1:] == [
        "timing unet on data: forward, batches of 1, about 1 min 30 s left",
        "timing fpn on data: argmax, batches of 1, about 1 min 30 s left",
    ]


def test_a_budget_that_is_known_only_when_the_cell_starts_counts_from_then_on(clock):
    tracker, cell = Tracker(print, clock), make_cell("unet")
    tracker.planned([cell], 0)
    protocol = cell.method.protocol.model_copy(update={"budget": Budget(seconds=20)})
    resolved = cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": protocol})})
    tracker.started("cell", resolved)
    tracker.reported("cell", resolved, Event("step", {"step": 7, "steps": None, "seconds": 5.0, "loss": 0.5}))
    assert tracker.cells[cell.key].part == 0.25


def test_a_resumed_cell_estimates_by_its_pace_since_then(clock):
    tracker, cell = Tracker(print, clock), make_cell("unet")
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
    tracker = Tracker(print, clock)
    tracker.planned([cell], 0)
    tracker.reported("cell", cell, step(7, None, seconds=10.0))
    assert tracker.cells[cell.key].part == 0.25


def test_the_whole_run_is_the_mean_of_its_cells(clock):
    tracker, cells = Tracker(print, clock), [make_cell("unet", seed) for seed in range(2)]
    tracker.planned(cells, 0)
    tracker.started("cell", cells[0])
    clock.seconds += 30
    tracker.reported("cell", cells[0], step(50))
    assert tracker.part == 0.25
    assert tracker.seconds_left() == pytest.approx(90)
    tracker.ended("cell", cells[0], "ok", None)
    assert (tracker.part, tracker.done) == (0.5, 1)


@pytest.fixture
def live():
    """A live display, a function that returns the lines of its bars, and one that returns the lines above them."""
    stream = io.StringIO()
    display = LiveProgress(Console(file=stream, width=120))

    def bars():
        with display.display.console.capture() as captured:
            display.display.console.print(display.display.get_renderable())
        return captured.get().splitlines()

    return display, bars, lambda: stream.getvalue().splitlines()


def test_the_live_display_has_a_bar_for_all_cells_and_one_for_each_that_runs(live):
    display, bars, _ = live
    cells = [make_cell("unet", seed) for seed in range(3)]
    display.planned(cells, 2)
    for cell in cells[:2]:
        display.started("cell", cell)
    display.reported("cell", cells[0], Event("stage", {"name": "train"}))
    display.reported("cell", cells[0], step(50))
    whole, first, second = bars()
    assert whole.startswith("all cells")
    assert "0 of 3 cells done" in whole
    assert first.startswith("data / unet / seed 0")
    assert first.rstrip().endswith("train, step 50 of 100, 20.0 images/s, loss 0.5")
    assert second.startswith("data / unet / seed 1")
    assert second.rstrip().endswith("starting")


def test_a_cell_that_ended_has_a_line_above_the_bars_and_a_bar_no_more(live):
    display, bars, written = live
    cells = [make_cell("unet", seed) for seed in range(3)]
    display.planned(cells, 2)
    display.started("cell", cells[0])
    display.ended("cell", cells[0], "failed", Failure(cause="killed by SIGSEGV"))
    display.notice("another run works here")
    assert written() == [
        "3 cells to run, 2 already recorded",
        "data / unet / seed 0: failed in 0 s: killed by SIGSEGV (1 of 3 done)",
        "another run works here",
    ]
    [whole] = bars()
    assert "1 of 3 cells done" in whole


def test_work_beside_cells_is_shown_at_the_bar_of_the_whole_run(live):
    display, bars, _ = live
    display.planned([], 1)
    display.started("timing", make_cell("unet"))
    display.reported("timing", make_cell("unet"), Event("stage", {"name": "forward, batches of 1", "seconds_left": 8}))
    assert bars()[0].rstrip().endswith("0 of 0 cells done, timing unet on data: forward, batches of 1, about 8 s left")


def test_names_that_look_like_markup_are_shown_as_they_are(live):
    display, bars, _ = live
    cell = make_cell("unet[red]")
    display.planned([cell], 0)
    display.started("cell", cell)
    assert "unet[red]" in bars()[1]


def test_a_pipe_gets_plain_lines_and_a_terminal_bars():
    with progress_on(io.StringIO()) as display:
        assert isinstance(display, PlainProgress)
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal, progress_on(terminal) as display:
        assert isinstance(display, LiveProgress)
    os.close(ours)


def test_messages_steer_no_terminal(lines):
    display, written = lines
    display.notice("\x1b]0;title\x07 \x9b2J")
    assert written() == [r"\u001b]0;title\u0007 \u009b2J"]
    stream = io.StringIO()
    LiveProgress(Console(file=stream, force_terminal=False)).notice("\x1b[2J")
    assert stream.getvalue() == r"\u001b[2J" + "\n"
