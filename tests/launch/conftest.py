from __future__ import annotations

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.recipe import ComponentUse, DatasetUse, Method
from segbench.plan.cell import Cell
from segbench.plan.repeat import with_key


def make_cell(threads=1):
    protocol = TrainingProtocol(budget=Budget(steps=1), threads=threads)
    return with_key(
        Cell(
            benchmark="bench",
            dataset_name="data",
            dataset=DatasetUse(use="data/shapes"),
            method=Method(name="plain", generator=ComponentUse(use="basic/fcn"), losses=(), protocol=protocol),
            seed=0,
            fingerprint="f" * 32,
        )
    )
