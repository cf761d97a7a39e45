from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from segbench import WeightsError
from segbench_timm import segbench_generators

[BUILD] = [component.build for component in segbench_generators() if component.name == "fpn"]
TAGGED = "test_resnet.r160_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def build(weights, backbone="test_resnet"):
    return BUILD(3, 2, backbone=backbone, weights=str(weights), width=8)


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return timm.create_model("test_resnet")


@pytest.fixture
def changed(classifier, tmp_path):
    """Write a changed copy of the classifier's weights."""

    def write(change):
        state = classifier.state_dict()
        change(state)
        torch.save(state, tmp_path / "changed.pth")
        return tmp_path / "changed.pth"

    return write


@pytest.fixture
def cached(hub_cache, classifier):
    """The classifier's weights, as the hub's cache keeps them once they are fetched."""
    repository = hub_cache / f"models--timm--{TAGGED}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    path = repository / "snapshots" / COMMIT / "model.safetensors"
    save_file(classifier.state_dict(), path)
    return path


@pytest.mark.parametrize("change", [lambda state: None, lambda state: (state.pop("fc.weight"), state.pop("fc.bias"))])
def test_a_classifier_may_be_missing(classifier, changed, change):
    assert build(changed(change)).backbone.conv1[0].weight.equal(classifier.conv1[0].weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "missing: layer1.0.conv1.weight"),
        (lambda state: state.update({"layer9.weight": torch.zeros(1)}), "unexpected: layer9.weight"),
        (lambda state: state.update({"bn1.weight": torch.zeros(7)}), r"of another shape: bn1.weight \(7,\) instead of"),
    ],
)
def test_weights_that_do_not_fit_are_named(changed, change, message):
    with pytest.raises(WeightsError, match=f"changed.pth does not fit the backbone test_resnet; {message}"):
        build(changed(change))


def test_a_tag_that_timm_does_not_have_is_an_error():
    with pytest.raises(WeightsError, match=r"'imagnet' is no tag that timm has for test_resnet; .*imagenet, r160_in1k"):
        build("imagnet")


def test_two_tags_are_an_error():
    with pytest.raises(WeightsError, match=r"'a1_in1k', but the backbone is resnet18\.a3_in1k; name one tag"):
        build("a1_in1k", backbone="resnet18.a3_in1k")


@pytest.mark.parametrize("weights", ["imagenet", "r160_in1k"])
def test_a_hub_out_of_reach_is_an_error_that_offers_a_path(hub_cache, weights):
    with pytest.raises(WeightsError, match=f"those of {TAGGED} could not be fetched .*; give the path of a .safetens"):
        build(weights)


@pytest.mark.parametrize(
    ("backbone", "weights"), [("test_resnet", "imagenet"), ("test_resnet", "r160_in1k"), (TAGGED, "imagenet")]
)
def test_weights_of_the_hub_are_loaded_and_told(cached, classifier, digest, backbone, weights):
    network = build(weights, backbone=backbone)
    assert network.backbone.conv1[0].weight.equal(classifier.conv1[0].weight)
    assert network.provenance == {"weights": f"timm/{TAGGED}", "commit": COMMIT, "sha256": digest(cached)}
    # This one was trained on images of mean 1/2 and standard deviation 1/2.
    images = torch.rand(1, 3, 2, 2)
    torch.testing.assert_close(network.normalise(images), images)
