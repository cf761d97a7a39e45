from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.network import Refined
from segbench.engine.refinement import pixel_changes, refinement_on, shares
from segbench.spec.protocol import Budget, Protocol, Window

CPU = torch.device("cpu")
PROTOCOL = Protocol(budget=Budget(steps=1), batch_size=4)


def test_pixels_are_counted_by_what_became_of_them():
    truth = torch.tensor([[[0, 0, 1, 1, 2, 255]]])
    before = torch.tensor([[[0, 1, 0, 1, 0, 0]]])
    after = torch.tensor([[[0, 0, 1, 0, 1, 1]]])
    # kept, corrected, corrected, spoilt, changed from wrong to wrong, not labelled
    assert pixel_changes(before, after, truth, 255).tolist() == [5, 4, 2, 1]


def test_shares_of_changed_pixels_are_of_those_changed():
    refinement = shares(torch.tensor([8, 4, 3, 1]))
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == (0.5, 0.75, 0.25)


def test_of_pixels_that_none_changed_there_are_no_shares():
    refinement = shares(torch.tensor([8, 0, 0, 0]))
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == (0, None, None)


def test_without_a_labelled_pixel_nothing_is_changed():
    assert shares(torch.zeros(4, dtype=torch.int64)).changed == 0


class Bright(nn.Module):
    """Takes bright pixels for class 1, which is the truth in this dataset."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([-images[:, 0], images[:, 0]], 1)


class Dark(Bright):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -super().forward(images)


class Keeps(nn.Module):
    def forward(self, images: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        return probabilities.log()


class Turns(nn.Module):
    def forward(self, images: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        return -probabilities.log()


class TurnsTheLeft(nn.Module):
    """Turns every prediction in the left half of the image."""

    def forward(self, images: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        logits = probabilities.log()
        middle = logits.shape[-1] // 2
        return torch.cat([-logits[..., :middle], logits[..., middle:]], -1)


@pytest.mark.parametrize(
    ("base", "refiner", "expected"),
    [
        (Bright(), Keeps(), (0, None, None)),
        (Dark(), Turns(), (1, 1, 0)),
        (Bright(), Turns(), (1, 0, 1)),
    ],
)
@pytest.mark.parametrize("window", [None, Window(size=(8, 8), stride=(8, 8))], ids=["whole", "windows"])
def test_a_refiner_is_compared_with_its_base_and_the_truth(dataset, base, refiner, expected, window):
    split = ResidentSplit(pack(dataset, "test", "two colours"), CPU)
    protocol = PROTOCOL.model_copy(update={"window": window})
    refinement = refinement_on(split, Refined(base, refiner), protocol, 255)
    assert (refinement.changed, refinement.corrected, refinement.spoilt) == expected


def test_ignored_pixels_do_not_count(dataset):
    split = ResidentSplit(pack(dataset, "test", "two colours"), CPU)
    refinement = refinement_on(split, Refined(Dark(), TurnsTheLeft()), PROTOCOL, 255)
    # 16 x 20 pixels, of which the upper left one has no label
    assert refinement.changed == pytest.approx((160 - 1) / (320 - 1))
    assert (refinement.corrected, refinement.spoilt) == (1, 0)
