from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.config.augment import Augment
from segbench.config.protocol import TrainingProtocol
from segbench.errors import SpecError

from .conftest import METHODS, START


def test_a_scale_range_goes_upwards():
    with pytest.raises(ValidationError, match="the smaller factor comes first"):
        Augment(scale=(1.5, 0.5))


def test_what_is_not_given_leaves_no_trace():
    assert Augment().model_dump() == {"scale": (1.0, 1.0), "flip": False, "jitter": 0.0}
    assert Augment(blur=1, flip="both").model_dump(mode="json") == {
        "scale": [1.0, 1.0],
        "flip": "both",
        "jitter": 0.0,
        "blur": 1.0,
    }


def test_cutmix_needs_pairs():
    with pytest.raises(ValidationError, match="set batch_size to 2 or more"):
        TrainingProtocol(budget={"steps": 1}, batch_size=1, augment={"cutmix": 0.5})
    assert TrainingProtocol(budget={"steps": 1}, batch_size=1, accumulate=2, augment={"cutmix": 0.5}).augment.cutmix


def test_cutmix_is_refused_for_painters_with_the_way_out(workshop):
    with pytest.raises(SpecError, match=r"augment.cutmix cuts images up .* set protocol: \{augment: \{cutmix: 0\}\}"):
        workshop.load(START + METHODS.replace("toy/net", "toy/colours"), sets=["protocol.augment.cutmix=0.5"])


def test_an_unknown_way_to_mirror_is_told_with_the_known_ones(workshop):
    told = r"protocol.augment.flip: must be horizontal \(or true\), vertical, both or false, not 'no'"
    with pytest.raises(SpecError, match=told):
        workshop.load(sets=["protocol.augment.flip='no'"])
