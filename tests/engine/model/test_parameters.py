from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

from segbench.config.optimizer import Optimizer
from segbench.engine.model.parameters import freeze, group_parameters
from segbench.errors import SpecError


def network() -> torch.nn.Module:
    """An encoder with a normalisation layer, a spectral norm and dropout, and a head."""
    encoder = OrderedDict(
        conv=torch.nn.Conv2d(3, 4, 3),
        norm=torch.nn.BatchNorm2d(4),
        drop=torch.nn.Dropout(),
        spectral=torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(4, 4, 1, bias=False)),
    )
    parts = OrderedDict(encoder=torch.nn.Sequential(encoder), head=torch.nn.Conv2d(4, 2, 1))
    return torch.nn.Sequential(parts)


def found(module: torch.nn.Module, **settings) -> dict[str, tuple[float, float | None]]:
    """Return multiplier and weight decay of each parameter."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = group_parameters(Optimizer(**settings), module)
    return {
        names[id(one)]: (group["multiplier"], group.get("weight_decay")) for group in groups for one in group["params"]
    }


def test_without_settings_there_are_no_groups_and_the_order_is_that_of_the_network():
    module = network()
    assert all(
        one is other for one, other in zip(group_parameters(Optimizer(), module), module.parameters(), strict=True)
    )


def test_the_longest_pattern_that_matches_decides():
    multipliers = {"encoder.*": 0.1, "encoder.conv.*": 0.5, "*.bias": 3.0}
    assert {name: multiplier for name, (multiplier, _) in found(network(), multipliers=multipliers).items()} == {
        "encoder.conv.weight": 0.5,
        "encoder.conv.bias": 0.5,
        "encoder.norm.weight": 0.1,
        "encoder.norm.bias": 0.1,
        "encoder.spectral.parametrizations.weight.original": 0.1,
        "head.weight": 1.0,
        "head.bias": 3.0,
    }


def test_of_patterns_of_one_length_the_order_in_the_file_decides_nothing():
    one, other = {"encoder.c*": 2.0, "*.conv.wei*": 1.0, "encoder.con*": 3.0}, {"encoder.con*": 3.0, "*nv.weight*": 5.0}
    assert found(network(), multipliers=one)["encoder.conv.weight"][0] == 3.0
    assert found(network(), multipliers=other) == found(network(), multipliers=dict(reversed(other.items())))


def test_biases_and_vectors_are_exempt_from_weight_decay():
    exempt = {name for name, (_, decay) in found(network(), no_decay="norms_and_biases").items() if decay == 0}
    assert exempt == {"encoder.conv.bias", "encoder.norm.weight", "encoder.norm.bias", "head.bias"}


def test_what_is_frozen_has_no_gradient_and_its_statistics_stay():
    module = network().train()
    kept = freeze(["encoder.*"], module)
    assert [name for name, one in module.named_parameters() if one.requires_grad] == ["head.weight", "head.bias"]
    assert {type(one).__name__ for one in kept} == {"BatchNorm2d", "_SpectralNorm"}
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module(torch.randn(2, 3, 8, 8))
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert module.encoder.drop.training


def test_a_pattern_that_no_running_statistic_matches_leaves_normalisation_layers_in_training():
    module = network().train()
    assert freeze(["encoder.norm.weight"], module) == ()
    assert module.encoder.norm.training


@pytest.mark.parametrize(
    ("pattern", "cure"),
    [
        ("encodr.*", r"Did you mean 'encoder\.\*'\? Its parts are encoder\.\*, head\.\*"),
        ("head.weigth", r"Did you mean 'head\.weight'"),
        ("backbone.*", r"network\. Its parts are encoder\.\*, head\.\*"),
        ("encoder", r"Did you mean 'encoder\.\*'"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest(pattern, cure):
    with pytest.raises(SpecError, match=f"freeze: the pattern '{pattern[:4]}.*matches no parameter .*{cure}"):
        freeze([pattern], network())
    with pytest.raises(SpecError, match=f"multipliers: the pattern .*{cure}"):
        group_parameters(Optimizer(multipliers={pattern: 0.1}), network())


def test_names_leave_out_the_modules_in_which_all_parameters_lie():
    wrapped = torch.nn.Sequential(OrderedDict(net=torch.nn.Sequential(OrderedDict(model=network()))))
    assert [type(one).__name__ for one in freeze(["encoder.norm.*"], wrapped)] == ["BatchNorm2d"]
    assert found(wrapped, multipliers={"head.*": 0.5})["net.model.head.bias"] == (0.5, None)
    with pytest.raises(SpecError, match=r"Its parts are encoder\.\*, head\.\*"):
        freeze(["net.model.head.*"], wrapped)
    with pytest.raises(SpecError, match=r"Its parts are weight, bias"):
        freeze(["x"], torch.nn.Conv2d(1, 1, 1))


def test_freezing_everything_is_refused():
    with pytest.raises(SpecError, match="freeze: the patterns match every parameter"):
        freeze(["encoder.*", "head.*"], network())
