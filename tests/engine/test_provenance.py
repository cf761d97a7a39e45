from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench.engine.model.network import Segmenter, Synthesizer
from segbench.errors import PluginError


def network(**stated):
    made = nn.Conv2d(3, 2, 1)
    for name, value in stated.items():
        setattr(made, name, value)
    return made


def test_what_a_generator_states_of_its_weights_is_kept():
    stated = {"weights": "timm/resnet18.a1_in1k", "sha256": "ab"}
    assert Segmenter(network(provenance=stated), 2).provenance == stated
    assert Synthesizer(network(provenance=stated), 3, (8, 8)).provenance == stated


def test_a_generator_may_state_nothing():
    assert Segmenter(network(), 2).provenance == {}


@pytest.mark.parametrize("stated", [{"epoch": 3}, ["imagenet"], torch.zeros(1), None])
def test_anything_else_than_texts_is_the_plugins_fault(stated):
    with pytest.raises(PluginError, match=r"Conv2d\.provenance is .*; expected texts by name"):
        Segmenter(network(provenance=stated), 2)
