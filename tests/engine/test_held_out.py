from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from segbench.engine.data.probabilities import ProbabilityFields
from segbench.engine.data.subset import split_places
from segbench.engine.held_out import leave_predictions
from segbench.plan.subset import Subset

FILE = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 3}}
protocol: {budget: {steps: 1}, batch_size: 2, crop: [16, 16]}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  refiner: {extends: base, generator: {use: refine/unet}, refines: {method: base, folds: 3}}
"""


class Sees(nn.Module):
    """Logits that are the image's colours, times a factor."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return 4 * images


@pytest.mark.parametrize("window", ["", "protocol.window={size: [16, 16], stride: [16, 16]}"])
def test_a_fold_leaves_the_probabilities_of_the_images_it_has_not_seen(planned, tmp_path, window):
    benchmark = planned(FILE, *[window][: bool(window)])
    name = "base fold 2/3"
    cell, data = benchmark.cells[name], benchmark.data(name)
    leave_predictions(tmp_path / "left", Sees(), cell, data)
    left = load_file(tmp_path / "left")
    packed = data.packed("train")
    places = split_places(packed, Subset.parse("fold 2/3"))
    assert set(left) == {packed.ids[place] for place in places.held_out}
    assert not set(left) & {packed.ids[place] for place in places.labelled}
    samples = {sample.id: sample for sample in data.dataset.splits["train"]}
    for sample_id, field in left.items():
        image = torch.from_numpy(np.asarray(samples[sample_id].image)).movedim(-1, 0)
        expected = (4 * (image / 127.5 - 1)).softmax(0)
        # A pixel that two windows see is the mean of the same probabilities.
        torch.testing.assert_close(field / 255, expected, rtol=0, atol=0.5 / 255 + 1e-4)


def test_the_folds_together_hold_every_image_once(planned, tmp_path):
    benchmark = planned(FILE)
    paths = []
    for fold in (1, 2, 3):
        cell = benchmark.cells[f"base fold {fold}/3"]
        paths.append(tmp_path / str(fold))
        leave_predictions(paths[-1], Sees(), cell, benchmark.data("base"))
    packed = benchmark.data("base").packed("train")
    fields = ProbabilityFields.open(paths, packed.ids)  # refuses what is missing or held twice
    windows = fields.windows(range(6), [(0, 24)] * 6, [(0, 32)] * 6)
    assert windows.shape == (6, 3, 24, 32)
