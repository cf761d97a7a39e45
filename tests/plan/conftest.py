"""A plugin package on disk, and cells made by hand."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import ComponentUse, DatasetUse, Method, WeightedLoss
from segbench.contract import Component
from segbench.plan.cell import Cell
from segbench.registry import Offer, Registry

PACKAGE = "segbench_toy_of_tests"

SOURCE = '''
from segbench import Dataset, Sample
from .deep.inside import net


def entropy(num_classes, ignore_index, *, smooth: float = 0.0):
    """Only its place counts here."""


def critic(in_channels, *, width: int = 8):
    """Only its place counts here."""


def shapes(*, images: int = 2, splits: tuple[str, ...] = ("train",)):
    import numpy as np

    samples = [Sample(np.full((4, 4), i, np.uint8), np.zeros((4, 4), np.uint8), str(i)) for i in range(images)]
    return Dataset(["a", "b"], [(0, 0, 0), (9, 9, 9)], splits=dict.fromkeys(splits, samples), channels=1)


class Picture(list):
    ids = ["a"]


def pictures(root):
    """A dataset of one picture, which may not be there."""
    picture = Picture("a")
    picture.files = [(root / "picture.png",)]
    return Dataset(["a"], [(0, 0, 0)], splits={"train": picture})
'''


class Toy:
    """A plugin package whose files can be changed."""

    def __init__(self, folder):
        self.folder = folder / PACKAGE
        (self.folder / "deep").mkdir(parents=True)
        self.write("__init__.py", SOURCE)
        self.write("deep/__init__.py", "")
        self.write("deep/inside.py", "def net(in_channels, num_classes, *, width: int = 16):\n    pass\n")

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def offer(self, kind, name, **facts):
        build = getattr(import_module(PACKAGE), name)
        return Offer(kind, "toy", "toy-plugin", "1.0", Component(name, build, "a toy", **facts))

    def registry(self):
        return Registry(
            (
                self.offer("generator", "net", requires=("pydantic",)),
                self.offer("loss", "entropy"),
                self.offer("discriminator", "critic", requires=("rich",)),
                self.offer("dataset", "shapes", requires=("numpy",)),
                self.offer("dataset", "pictures"),
            )
        )


def forget(name):
    for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[module]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    forget(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield Toy(tmp_path / "site")
    forget(PACKAGE)


def method(name="net", **changes):
    facts = {
        "generator": ComponentUse(use="toy/net", options={"width": 16}),
        "losses": (WeightedLoss(use="toy/entropy", options={"smooth": 0.0}),),
        "protocol": TrainingProtocol(budget={"steps": 10}),
    }
    return Method(name=name, **{**facts, **changes})


def cell(**changes):
    facts = {
        "benchmark": "test",
        "dataset_name": "shapes",
        "dataset": DatasetUse(use="toy/shapes", options={"images": 2}),
        "method": method(protocol=TrainingProtocol(budget={"steps": 10}, threads=2)),
        "seed": 0,
        "fingerprint": "f" * 32,
        "sources": {"generator toy/net": "a" * 16},
        "versions": {"pydantic": "2.0"},
    }
    return Cell(**{**facts, **changes})
