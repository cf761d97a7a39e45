"""Results as pages show them: methods of every family, seeds, failures, pictures, curves, names from anybody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from segbench.config.recipe import Adversarial
from segbench.store.counts import write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import HealthPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from segbench.store.counts import Counts
    from segbench.store.record import Record

SEEDS = (0, 1, 2)
IMAGES = 8
PICTURED = ("image 000", "image 004")
CLASSES = ("background", "nucleus")
PALETTE = ((0, 0, 0), (255, 200, 0))
HEIGHT, WIDTH = 24, 32

# What was observed of a discriminator in its training.
GAME = [
    HealthPoint(step=step, real=0.5, fake=-0.5, ratio=0.1 + step / 100, critic_loss=1.0, generator_loss=2.0)
    for step in (0, 10, 20)
]

# Each name must come out as text, in a table, a chart, a tooltip, a picture's title and a file.
HOSTILE = (
    "<script>window.hacked=1</script>",
    "\"quotes\" & 'more'</td>",
    "=HYPERLINK('https://example.org')",
    "\u202eright to left \u05d0\u05d1\u05d2",
    "a" * 150,
    "{{ 7 * 7 }} ${7*7}",
    "constructor",
    "__proto__",
)


def write_shown(root: Path, cells: Iterable[tuple[Record, Counts] | Record]) -> Path:
    """Write records with counts, pictures and curves into a results folder, and return it."""
    for cell in cells:
        record, counts = cell if isinstance(cell, tuple) else (cell, None)
        folder = ResultsFolder(root, record.benchmark)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.record_path(record.key).write_text(record.model_dump_json())
        if counts is not None:
            own = folder.cell_folder(record.key)
            write_counts(own, counts)
            write_events(own, record)
            write_pictures(own, record)
    return root


def write_events(folder: Path, record: Record) -> None:
    """Write losses and validations of a training."""
    steps = [{"event": "step", "step": step, "steps": 50, "loss": 2 / (step + 1)} for step in range(0, 50, 5)]
    validations = [{"event": "validation", "step": step, "miou": 0.3 + step / 200} for step in (10, 30, 50)]
    lines = [json.dumps({"time": 1795992412.0 + place, **line}) for place, line in enumerate([*steps, *validations])]
    folder.joinpath("events.jsonl").write_text("\n".join(lines) + "\n")


def write_pictures(folder: Path, record: Record) -> None:
    """Write what a cell leaves of two of its images: label maps and panels of discs, with errors by seed."""
    from PIL import Image

    from segbench.engine.pictures.drawing import label_map, panel, save_picture

    description = {"classes": CLASSES, "palette": PALETTE, "ignore_index": 255, "channels": 3, "redistributable": True}
    folder.joinpath("dataset.json").write_text(json.dumps(description))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for place, name in enumerate(PICTURED):
        truth = (rows - 12) ** 2 + (columns - 16) ** 2 < 60 + 20 * place
        labels = (rows - 12) ** 2 + (columns - 16 + record.seed) ** 2 < 50 + len(record.method)
        image = np.stack([truth * 0.8 - 0.4, columns / WIDTH, rows / HEIGHT]).astype(np.float32)
        for kind, picture in {
            "": label_map(labels.astype(np.uint8), PALETTE, 255),
            ".truth": label_map(truth.astype(np.uint8), PALETTE, 255),
            ".panel": Image.fromarray(panel(image, truth.astype(np.uint8), labels.astype(np.uint8), PALETTE)),
        }.items():
            save_picture(picture, folder / "samples" / f"{name}{kind}.png")


def several_families(
    trained: Callable[..., Record],
    adversarial: Callable[..., Record],
    failed: Callable[..., Record],
    counted: Callable[..., tuple[Record, Counts]],
    timing: Callable[..., object],
) -> list[tuple[Record, Counts] | Record]:
    """Return the cells of a claim with twin and placebo, two more methods of other speeds, and one that failed."""
    noise = np.random.default_rng(0)
    found: list[tuple[Record, Counts] | Record] = []
    for seed in SEEDS:
        for make, method, level, milliseconds, placebo in (
            (trained, "unet", 0.80, 8.0, None),
            (adversarial, "unet+critic", 0.81, 8.0, None),
            (adversarial, "unet+critic~frozen", 0.81, 8.0, "frozen"),
            (trained, "fast", 0.77, 2.0, None),
            (trained, "poor", 0.55, 4.0, None),
        ):
            broken = Adversarial(use="gan/hinge", placebo="frozen")
            recipe = {"recipe": {"adversarial": broken, "placebo_of": "unet+critic"}} if placebo else {}
            speeds = [timing(1, milliseconds), timing(8, 6 * milliseconds)]
            record = make(method, seed, inference=speeds, generator=f"smp/{method[:4]}", **recipe)
            fields = {"evaluated": record.evaluated.model_copy(update={"classes": list(CLASSES)})}
            if record.health:
                fields["health"] = record.health.model_copy(update={"curve": GAME})
            record = record.model_copy(update=fields)
            found.append(counted(record, np.clip(level + noise.normal(0, 0.03, IMAGES), 0, 1)))
        found.append(failed("broken", seed))
    return found
