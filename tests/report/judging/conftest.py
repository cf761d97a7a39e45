"""Results with pictures of several methods, and votes of people who know what they prefer."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench.engine.pictures.drawing import label_map, panel
from segbench.report.judging.dealing import make_plan
from segbench.report.judging.material import choose_views, find_material, read_labels
from segbench.store.description import DATASET, DatasetDescription
from segbench.store.folder import ResultsFolder
from segbench.store.json_file import sealed_json
from segbench.store.judgements import SPOILT, Answer, Ballot
from segbench.store.pictures import SAMPLES, picture_path

PALETTE = ((0, 0, 0), (255, 200, 0))
SIDE = 24


def draw_labels(image, wrong):
    """Return a square of class 1 that a method moves by some pixels."""
    labels = np.zeros((SIDE, SIDE), dtype=np.uint8)
    labels[4 + image % 5 : 14, 4 + wrong : 14 + wrong] = 1
    return labels


@pytest.fixture
def kept(trained, counted, results):
    """Write methods with their label maps of some images, and return the results folder.

    `wrong` are the pixels by which each method's label maps are wrong, `right` the share of pixels that its counts say
    are right.
    """

    def write(
        wrong=(("good", 0), ("fair", 2), ("poor", 5)),
        images=6,
        seeds=(0, 1),
        right=0.9,
        redistributable=True,
        classes=("ground", "cell"),
    ):
        generator = np.random.default_rng(0)
        description = DatasetDescription(
            classes=classes, palette=PALETTE, ignore_index=255, channels=3, redistributable=redistributable
        )
        cells = [
            counted(trained(method, seed), [right - 0.02 * moved] * images) for method, moved in wrong for seed in seeds
        ]
        root = results(*cells)
        pictures = [generator.integers(0, 255, (3, SIDE, SIDE), dtype=np.uint8) for _ in range(images)]
        for record, counts in cells:
            folder = ResultsFolder(root, record.benchmark).cell_folder(record.key)
            (folder / DATASET).write_bytes(sealed_json(description.model_dump(mode="json")))
            (folder / SAMPLES).mkdir()
            for number, image in enumerate(counts.ids):
                labels = draw_labels(number, dict(wrong)[record.method])
                label_map(labels, PALETTE, 255).save(picture_path(folder / SAMPLES, image))
                shown = panel(pictures[number], draw_labels(number, 0), labels, PALETTE)
                Image.fromarray(shown).save(picture_path(folder / SAMPLES, image, ".panel"))
        return root

    return write


def plan_of(root, methods=("good", "fair", "poor"), images=6, seed=0, **choices):
    """Return the plan of a page of some methods."""
    material = find_material([root], list(methods))
    views = choose_views(material, images, seed, **choices)
    return make_plan(material, views, [read_labels(view) for view in views], seed)


def vote(plan, prefer, voter="00000000000000a0", answers=None, name=""):
    """Return the votes of a person who prefers the method for whose name `prefer` returns the higher value.

    A spoilt label map has the name "spoilt"; equal values are a tie.
    """
    ballot = Ballot(plan=plan.hash, voter=voter, name=name, answers=[])
    found = []
    for number in range(len(plan.deals) if answers is None else answers):
        place = (ballot.start(len(plan.deals)) + number) % len(plan.deals)
        deal = plan.deals[place]
        left, right = (prefer("spoilt" if side == SPOILT else plan.methods[side]) for side in (deal.left, deal.right))
        left, right = (right, left) if ballot.mirrored else (left, right)
        choice = "tie" if left == right else "left" if left > right else "right"
        found.append(Answer(deal=place, choice=choice, milliseconds=1500))
    return ballot.model_copy(update={"answers": found})


def by_order(*names):
    """Return what prefers methods in this order, and everything to what is spoilt."""
    return lambda name: -1 if name == "spoilt" else len(names) - names.index(name)
