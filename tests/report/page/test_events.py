from __future__ import annotations

import json
import os

import pytest

from segbench.report.page.events import MOST_EVENTS, read_courses
from segbench.store.folder import EVENTS


@pytest.fixture
def write(tmp_path):
    def events(*lines):
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        (tmp_path / EVENTS).write_text(text)
        return read_courses(tmp_path)

    return events


def step(number, loss, **fields):
    return {"time": 0.5, "event": "step", "step": number, "loss": loss, **fields}


def test_loss_and_validation_are_read_by_step(write):
    found = write(
        {"time": 0.1, "event": "stage", "name": "train"},
        step(3, 0.75),
        {"time": 0.6, "event": "validation", "step": 4, "miou": 0.5},
        step(7, 0.5),
    )
    assert found == {"loss": ((3, 7), (0.75, 0.5)), "miou": ((4,), (0.5,))}


def test_a_training_that_went_back_replaces_what_it_had_come_to(write):
    assert write(step(3, 0.9), step(7, 0.8), step(11, 0.7), step(5, 0.6), step(9, 0.5))["loss"] == (
        (3, 5, 9),
        (0.9, 0.6, 0.5),
    )


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "step", "step": 5, "loss": NaN}',
        '{"event": "step", "step": 5, "loss": Infinity}',
        '{"event": "step", "step": 5, "loss": "0.5"}',
        '{"event": "step", "step": "5", "loss": 0.5}',
        '{"event": "step", "step": true, "loss": 0.5}',
        '{"event": "step", "step": 5, "loss": 1' + "0" * 400 + "}",
        '{"event": "step", "step": 5, "lo',
        '["event": "step"]',
        '"event": "step"',
        "\x00\xff",
        "[" * 1500 + '"event": "step"',
    ],
)
def test_a_damaged_line_is_left_out(write, line):
    assert write(step(3, 0.75), line, step(7, 0.5))["loss"] == ((3, 7), (0.75, 0.5))


def test_of_many_events_evenly_spread_ones_are_read_and_the_last(write):
    found = write(*(step(number, number / 10) for number in range(5000)))["loss"]
    assert MOST_EVENTS // 2 < len(found.steps) <= MOST_EVENTS
    assert found.steps[-1] == 4999
    assert len({b - a for a, b in zip(found.steps, found.steps[1:], strict=False)}) == 1


def test_what_is_no_file_is_no_course(tmp_path):
    assert read_courses(tmp_path) == {}
    os.mkfifo(tmp_path / EVENTS)
    assert read_courses(tmp_path) == {}
