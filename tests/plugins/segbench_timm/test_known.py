from __future__ import annotations

import pytest
import timm

from segbench import SegbenchError
from segbench_timm.known import _is_in_the_source, require_backbone


def test_every_model_of_timm_is_found_in_its_source():
    assert [name for name in timm.list_models() if not _is_in_the_source(name)] == []


def test_a_tag_of_pretrained_weights_may_follow():
    assert require_backbone("convnext_atto.d2_in1k") == "convnext_atto.d2_in1k"


@pytest.mark.parametrize("name", ["resnet19", "resnet18.a9", "create_model", ""])
def test_what_timm_does_not_have_is_refused_with_the_nearest(name):
    assert not _is_in_the_source(name)
    with pytest.raises(SegbenchError, match=f"the backbone '{name}' is unknown"):
        require_backbone(name)
