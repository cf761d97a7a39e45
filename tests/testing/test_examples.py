from __future__ import annotations

import pytest
import torch

from segbench.testing.check import CheckFailed, CheckSkipped
from segbench.testing.examples import (
    CONFIDENCES,
    IGNORE_INDEX,
    NUM_CLASSES,
    Images,
    LogitsAndLabels,
    as_list,
    as_number,
    build_example,
    describe_unavailable,
    make_comparison,
    normal,
    prefix_errors,
    require_finite,
    require_scalar,
)

from .conftest import make_offer


def test_logits_predict_the_truth_but_where_they_are_mistaken():
    compared = LogitsAndLabels(2, 9, 7, ignored_share=0.25)
    mistaken = torch.zeros(2, 1, 9, 7, dtype=torch.bool)
    mistaken[0, 0, 0] = True
    counts = compared.target != IGNORE_INDEX
    outputs = compared.outputs_predicting(mistaken)
    assert len(outputs) == len(CONFIDENCES)
    for output in outputs:
        right = output.argmax(dim=1) == compared.target
        assert torch.equal(right[counts], ~mistaken[:, 0][counts])
    assert set(compared.target[counts].tolist()) == set(range(NUM_CLASSES))


def test_the_ignored_pixels_of_a_target_are_those_named():
    for kind in (LogitsAndLabels, Images):
        compared = kind(2, 9, 7, ignored_share=0.25)
        ignored = compared.target.isnan() if kind is Images else compared.target[:, None] == IGNORE_INDEX
        assert torch.equal(ignored, compared.ignored.expand_as(ignored))
        assert 0 < compared.ignored.float().mean() < 0.5


def test_a_target_is_new_at_every_call():
    compared = LogitsAndLabels(1, 2, 2, ignored_share=0.0)
    compared.target.fill_(3)
    assert compared.target.flatten().tolist() == [0, 3, 2, 1]


@pytest.mark.parametrize(("maps", "kind"), [("image -> labels", LogitsAndLabels), ("image -> image", Images)])
def test_what_a_loss_compares_is_given_by_what_its_generators_map(maps, kind):
    assert isinstance(make_comparison(make_offer("loss", lambda: None, maps=maps)), kind)


def test_example_options_and_the_seed_are_used():
    def build(num_classes, *, bias: bool = True):
        return torch.nn.Linear(num_classes, 1, bias=bias)

    offer = make_offer("loss", build, example_options={"bias": False})
    one, same, other = (build_example(offer, {"num_classes": 2}, seed) for seed in (1, 1, 2))
    assert one.bias is None
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)


def test_errors_say_what_was_given():
    with pytest.raises(CheckFailed, match=r"^an empty batch: ValueError: too few$"), prefix_errors("an empty batch"):
        raise ValueError("too few")
    with pytest.raises(CheckSkipped, match=r"^no parameters$"), prefix_errors("an empty batch"):
        raise CheckSkipped("no parameters")


def test_what_is_not_finite_or_no_scalar_is_named():
    require_finite({"the loss": torch.tensor(1.0), "the gradient": None})
    with pytest.raises(CheckFailed, match="the gradient holds NaN or infinity"):
        require_finite({"the loss": torch.tensor(1.0), "the gradient": torch.tensor([0.0, float("nan")])})
    require_scalar(torch.tensor(1.0))
    for value, found in ((torch.zeros(2, 3), r"a tensor \(2, 3\)"), (1.0, "float")):
        with pytest.raises(CheckFailed, match=f"returned {found}; expected a scalar tensor"):
            require_scalar(value)


def test_only_parameters_without_a_default_are_unavailable():
    assert describe_unavailable(lambda real, extra=1: None, {"real", "fake"}) is None
    said = describe_unavailable(lambda real, depth, colour: None, {"real", "fake"})
    assert said == "asks for colour, depth; available are fake, real"


def test_outputs_are_read_whatever_their_shape():
    assert as_number(torch.tensor([1.0, 2.0])) == 3.0
    assert as_number(2) == 2.0
    tensor = normal(2, 3, seed=1)
    assert as_list(tensor) == [tensor]
    assert as_list((tensor,)) == [tensor]
    assert torch.equal(tensor, normal(2, 3, seed=1))
