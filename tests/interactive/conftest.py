"""Records as a run leaves them, in a results folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from segbench.store.folder import EVENTS
from segbench.store.record import Evaluated, HealthPoint

from ..report.conftest import adversarial, counted, failed, results, timing, trained  # noqa: F401, TID252 - fixtures

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ["sky", "<b>road"]


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """A method and its twin with three seeds each and their counts, a course of events, and a cell that failed."""
    make = request.getfixturevalue
    right = {"unet": (0.80, 0.82, 0.84), "unet+critic": (0.85, 0.88, 0.90)}
    named = {"evaluated": Evaluated(split="test", images=2, classes=CLASSES)}
    cells = []
    for method, maker in (("unet", make("trained")), ("unet+critic", make("adversarial"))):
        for seed, share in enumerate(right[method]):
            record, counts = make("counted")(maker(method, seed), [share, share - 0.1])
            health = record.health and record.health.model_copy(
                update={"curve": [HealthPoint(step=5, ratio=0.25, cosine=None)]}
            )
            cells.append((record.model_copy(update={**named, "health": health}), counts))
    path = make("results")(*cells, make("failed")("fpn"))
    for file in path.glob("*/*/"):
        events = [{"event": "step", "step": step, "loss": 1 / step} for step in (1, 2)]
        events.append({"event": "validation", "step": 2, "miou": 0.5})
        (file / EVENTS).write_text("".join(json.dumps(event) + "\n" for event in events))
    return path
