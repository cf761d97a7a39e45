"""Folders of records of every kind of row, and how the tests read what a report says of them."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from segbench.config.recipe import Adversarial, Refines
from segbench.report import render
from segbench.store.record import DeviceState, Energy, FromUpstream, Refinement, SweepPoint, Timing, Trial

FROZEN = {"placebo_of": "unet+critic", "adversarial": Adversarial(use="gan/hinge", placebo="frozen")}


def lines_of(text, method):
    """Return the lines of a text that begin with a method, those of tables in Markdown too."""
    return [line for line in text.splitlines() if line.lstrip("| ").startswith(method)]


def squeezed(text):
    """Return the text without rules and empty lines, one space for several: widths are tested in test_text_table.py."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if set(line) - set("- "))


def read_json(folder):
    """Return the JSON of a folder, which must hold no NaN and no infinity."""
    return json.loads(render([folder], format="json"), parse_constant=refuse_constant)


def refuse_constant(name):
    raise AssertionError(f"{name} in JSON")


def row_of(folder, method, subset=None):
    """Return the only row of a method in the JSON of a folder, with a subset of the labels where one is named."""
    rows = [row for row in read_json(folder)["rows"] if row["method"] == method]
    (row,) = [row for row in rows if subset in (None, row["subset"])]
    return row


def read_csv(folder):
    """Return the lines of the CSV of a folder, each as texts by column."""
    return list(csv.DictReader(io.StringIO(render([folder], format="csv"))))


@pytest.fixture
def folder(trained, scored, failed, results):
    """A ranking of two trained methods and scored label maps, and two cells without a result."""
    return results(
        *(trained("unet_r18", seed, miou) for seed, miou in enumerate([0.70, 0.72])),
        trained("fpn|r18", 0, 0.69, protocol={"optimizer": {"lr": 0.1}}, overrides=("optimizer.lr",)),
        scored("mmseg", 0.65),
        failed("deep&wide", 1),
        failed("next", 2, status="skipped"),
    )


@pytest.fixture
def two_rankings(trained, scored, failed, results):
    """Two methods under different protocols, with scored label maps that belong to both, and a failed cell."""
    return results(
        *(trained("unet", seed, miou) for seed, miou in enumerate([0.70, 0.72])),
        trained("fpn", 0, 0.69, protocol={"precision": "bf16", "batch_size": 4}, overrides=("precision", "batch_size")),
        scored("mmseg", 0.65),
        failed("deep", 1),
    )


@pytest.fixture
def critics(trained, adversarial, generating, results):
    """A supervised twin, a critic with its placebo, a refiner, a generator of images, and two auxiliary cells."""
    verdicts = ["healthy", "saturated", "healthy"]
    refining = {"twin": "unet", "refines": Refines(method="unet")}
    refinement = Refinement(changed=0.1, corrected=0.5, spoilt=0.25)
    return results(
        *(trained("unet", seed, 0.5 + 0.01 * seed) for seed in range(3)),
        *(adversarial("unet+critic", seed, 0.52 + 0.015 * seed, verdict) for seed, verdict in enumerate(verdicts)),
        adversarial("unet+critic~frozen", 0, 0.49, "saturated", recipe=FROZEN),
        trained("refined", 0, 0.48, recipe=refining, fields={"refinement": refinement}),
        generating(),
        trained("unet", 0, 0.4, subset="fold 1/5"),
        trained("unet", 0, 0.4, subset="labels 0.125"),
    )


@pytest.fixture
def measured(trained, adversarial, counted, timing, results):
    """A twin, a claim and its placebo of three seeds with counts, at two shares of the labels.

    All that can be measured is: every further score, stages of inference, a sweep, energy, a disturbed timing, and
    trials of tuning.
    """
    shares = np.random.default_rng(0).uniform(0.4, 0.8, size=15)
    trials = [Trial(key="a" * 16, settings={"lr": 0.1}, miou=0.5), Trial(key="b" * 16, settings={"lr": 1.0}, miou=0.25)]
    scores = {"per_image_miou": 0.5, "boundary_iou": 0.25, "boundary_f1": 0.75, "ece": 0.05, "nll": 0.4, "brier": 0.2}
    update = {
        "settled": FromUpstream(seconds=41.5, trials=trials, winner="a" * 16),
        "inference": [
            timing(8, 16.0).model_copy(update={"blocks": [500.0, 505.0, 495.0]}),
            timing(8, 20.0).model_copy(update={"stage": "argmax"}),
            timing(8, 40.0).model_copy(update={"stage": "loading"}),
        ],
        "timing": Timing(
            session="one",
            rivals=["unet", "unet+critic", "unet+critic~frozen"],
            threads=2,
            steady=False,
            sweep=[SweepPoint(batch=8, images_per_second=500.0), SweepPoint(batch=32, images_per_second=900.0)],
            energy=Energy(batch=32, joules_per_image=0.5, seconds=31.0),
            before=DeviceState(load=2.5, throttle_reasons=["sw power cap"], other_processes=1),
        ),
    }

    def cell(record, gain, seed):
        noise = np.random.default_rng(seed).normal(0, 0.005, 15)
        record, counts = counted(record, shares + gain + noise)
        evaluated = record.evaluated.model_copy(update={"classes": ["sky", "road"]})
        more = record.scores.model_copy(update=scores)
        return record.model_copy(update={**update, "evaluated": evaluated, "scores": more}), counts

    def cells(seed, fraction, gain):
        recipe = {"labels": (0.5, 1.0)}
        subset = "all" if fraction == 1 else f"labels {fraction}"
        return [
            cell(trained("unet", seed, subset=subset, recipe=recipe), gain, seed),
            cell(adversarial(seed=seed, subset=subset, recipe=recipe), gain + 0.03, seed + 10),
            cell(
                adversarial("unet+critic~frozen", seed, subset=subset, recipe={**FROZEN, **recipe}),
                gain + 0.01,
                seed + 20,
            ),
        ]

    return results(*(one for seed in range(3) for share in ((0.5, 0.0), (1.0, 0.06)) for one in cells(seed, *share)))
