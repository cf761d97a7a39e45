from __future__ import annotations

import pytest

import segbench_refine
from segbench import SegbenchError
from segbench.registry.options import read_signature

COMPONENTS = {component.name: component for component in segbench_refine.segbench_generators()}


def test_the_refiners_map_an_image_and_labels_to_labels():
    assert list(COMPONENTS) == ["unet", "dense_crf"]
    assert {component.maps for component in COMPONENTS.values()} == {"image, labels -> labels"}


def test_the_crf_needs_its_extra():
    assert COMPONENTS["dense_crf"].requires == ("torch", "pydensecrf2")
    assert COMPONENTS["dense_crf"].extra == "crf"


@pytest.mark.parametrize(("name", "asked"), [("unet", ("in_channels", "num_classes")), ("dense_crf", ())])
def test_what_build_asks_for_is_known(name, asked):
    assert read_signature("generator", COMPONENTS[name].build).asked == asked


@pytest.mark.parametrize("option", ["width", "depth"])
def test_a_unet_of_nothing_is_an_error(option):
    with pytest.raises(SegbenchError, match=f"refine/unet: {option} is 0; give at least 1"):
        segbench_refine.build_unet(3, 2, **{option: 0})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("iterations", -1, "iterations is -1; give 0 or more"),
        ("appearance_weight", -1.0, r"appearance_weight is -1\.0; give 0 or more"),
        ("smoothness_weight", -0.5, r"smoothness_weight is -0\.5; give 0 or more"),
        ("appearance_pixels", 0.0, r"appearance_pixels is 0\.0; give a width above 0"),
        ("appearance_levels", 0.0, r"appearance_levels is 0\.0; give a width above 0"),
        ("smoothness_pixels", -1.0, r"smoothness_pixels is -1\.0; give a width above 0"),
    ],
)
def test_an_option_of_the_crf_that_makes_no_sense_is_an_error(option, value, message):
    with pytest.raises(SegbenchError, match=f"refine/dense_crf: {message}"):
        segbench_refine.build_dense_crf(**{option: value})
