"""A recorded cell, and trackers that write into a local folder, where they are installed."""

from __future__ import annotations

import json

import pytest

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.recipe import ComponentUse, DatasetUse, Method
from segbench.plan.cell import Cell
from segbench.report.cells import RecordedCell
from segbench.store.folder import EVENTS, ResultsFolder
from segbench.store.record import Evaluated, Failure, Health, HealthPoint, PerClass, Record, Scores, Train

KEY = "ab" * 8
BEGAN = 1795992374.0  # in seconds since 1970, which is 2026-11-29T22:46:14 UTC


METHOD = Method(
    name="a",
    generator=ComponentUse(use="basic/fcn"),
    losses=(),
    protocol=TrainingProtocol(budget=Budget(steps=9), threads=1),
)
# The recorded cell as it is planned.
CELL = Cell(
    benchmark="bench", dataset_name="shapes", dataset=DatasetUse(use="data/shapes"), method=METHOD, seed=3, key=KEY
)


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path / "results", "bench")


@pytest.fixture
def write_events(folder):
    """Append events of a cell as its worker does, of an attempt if one is given."""

    def write(*events, key=KEY, attempt=""):
        place = folder.cell_folder(key) / attempt
        place.mkdir(parents=True, exist_ok=True)
        with (place / EVENTS).open("a") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)

    return write


def step(number, loss):
    fields = {"steps": 9, "seconds": 1.0, "loss": loss, "images_per_second": 2.0}
    return {"time": BEGAN + number, "event": "step", "step": number, **fields}


def make_record(**changes):
    recipe = {"generator": {"use": "basic/fcn", "options": {"width": 2}}, "losses": [{"use": "losses/dice"}]}
    facts = {
        **{"key": KEY, "benchmark": "bench", "dataset": "shapes", "subset": "all", "method": "a", "seed": 3},
        "status": "ok",
        "scores": Scores(miou=0.5, pixel_accuracy=0.9, mean_accuracy=None, fwiou=None, dice=None),
        "per_class": PerClass(iou=[0.25, 0.75]),
        "evaluated": Evaluated(split="test", images=2, classes=["sky/sea", "road"]),
        "train": Train(steps=9, seconds=1.5, images_per_second=None, shares={"data": 0.5}),
        "health": Health(verdict="inert", reason="", numbers={}, curve=[HealthPoint(step=4, ratio=0.01)]),
        "spec": {"method": recipe, "sources": {"generator basic/fcn": "1"}},
        "environment": {"segbench": "0.1.0", "started": "2026-11-29T22:46:14+00:00"},
    }
    return Record(**{**facts, **changes})


FAILED = {
    **dict.fromkeys(("scores", "per_class", "train", "evaluated", "health")),
    **{"status": "failed", "error": Failure(cause="out of memory \x1b")},
}


@pytest.fixture
def recorded(folder, write_events):
    """A cell with a record, whose training went back from step 6 to step 3, as after a kill."""
    write_events({"time": BEGAN, "event": "stage", "name": "train"}, step(3, 0.9), step(6, 0.8))
    write_events({"time": BEGAN + 7, "event": "resumed", "step": 3}, step(5, 0.7), step(9, 0.6))
    write_events({"time": BEGAN + 10, "event": "validation", "step": 9, "miou": 0.25})
    folder.write(make_record())
    return RecordedCell(make_record(), folder)
