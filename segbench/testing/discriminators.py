"""Checks of discriminators; `segbench.contract.Discriminator` says what they take and return."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from segbench.engine.adversarial.adversary import check_score_maps
from segbench.engine.model.checkpoint import load_tensors, save_tensors
from segbench.errors import PluginError

from .check import CheckFailed, CheckSkipped, check
from .examples import IMAGE_CHANNELS, NUM_CLASSES, as_list, build_example, normal, prefix_errors, require_finite

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.registry import Offer

    from .check import Check

    Size = tuple[int, int]


CHANNELS = IMAGE_CHANNELS + NUM_CLASSES

SIZE = (64, 64)

ODD_SIZE = (37, 53)

# Raw scores have no bounds, so training pushes them as far as wanted; no sigmoid, tanh or softmax reaches this.
OUT_OF_BOUNDS = 2.0

MOST_STEPS = 100

LEARNING_RATE = 0.3

# Moves parameters off special initial values such as 0, where gradients vanish though nothing is wrong.
JITTER = 0.02

SQUASHING = (nn.Sigmoid, nn.LogSigmoid, nn.Hardsigmoid, nn.Tanh, nn.Hardtanh, nn.Softmax, nn.LogSoftmax, nn.Softplus)


@check(
    "Return scores (N, 1, h, w), or (N, num_classes + 1, h, w), or a list of such maps; a score of the whole image has "
    "h = w = 1: scores[:, :, None, None]."
)
def scores_are_maps(offer: Offer) -> None:
    """Scores are maps of one channel, or of one a class and one for fake."""
    _check_scores(_discriminator(offer), _fields())


@check("Let sizes be what they come as: pad inside the network, or pool to a fixed size before a linear layer.")
def odd_sizes_are_scored(offer: Offer) -> None:
    """Fields of a height and a width that are multiples of nothing are scored."""
    _require_maps(offer)
    with prefix_errors(f"fields of {ODD_SIZE[0]} x {ODD_SIZE[1]} pixels"):
        _check_scores(_discriminator(offer, ODD_SIZE), _fields(size=ODD_SIZE))


@check("Keep the batch's dimension where it is 1, too: squeeze no dimension without naming it.")
def one_sample_is_scored(offer: Offer) -> None:
    """A batch of one sample is scored in training."""
    _require_maps(offer)
    with prefix_errors("a batch of one sample"):
        _check_scores(_discriminator(offer), _fields(1))


@check("Return the last layer's output as it is: adversarial losses take raw scores and apply sigmoid themselves.")
def scores_are_unbounded(offer: Offer) -> None:
    """Training can push every score map above and below any bound."""
    for sign, beyond in ((1.0, "above"), (-1.0, "below -")):
        reached = _push_scores(_discriminator(offer), sign)
        if reached < OUT_OF_BOUNDS:
            raise CheckFailed(
                f"{MOST_STEPS} steps that push its scores {'up' if sign > 0 else 'down'} end at {sign * reached:.3g}, "
                f"never {beyond}{OUT_OF_BOUNDS:g}{_squashing(_discriminator(offer))}"
            )


@check(
    "Let no layer mix samples: batch statistics, reshapes across the batch. Where it is meant, use torch's batch norm, "
    "which gradient penalties look for and refuse."
)
def samples_are_scored_each_by_itself(offer: Offer) -> None:
    """Unless it has batch norm, the score of a sample depends on this sample alone."""
    discriminator = _discriminator(offer)
    if any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        raise CheckSkipped("it has batch norm, and so declares that samples depend on each other")
    fields = _fields(3).requires_grad_()
    first = torch.stack([scores[0].sum() for scores in as_list(discriminator(fields))]).sum()
    gradient = _gradients(first, [fields])[0]
    others = 0.0 if gradient is None else float(gradient[1:].abs().max())
    if others > 0:
        raise CheckFailed(f"the first sample's scores change with the other samples: gradient up to {others:.3g}")


@check("Let the scores be a differentiable function of all of the input: no detach, no argmax, no rounding.")
def gradients_reach_every_channel_of_the_input(offer: Offer) -> None:
    """The gradient of the scores reaches every channel of every sample, which is what teaches a generator."""
    discriminator, fields = _add_jitter(_discriminator(offer)), _fields().requires_grad_()
    gradient = _gradients(_random_sum(as_list(discriminator(fields))), [fields])[0]
    if gradient is None:
        raise CheckFailed("the scores have no gradient with respect to the input")
    require_finite({"the gradient with respect to the input": gradient})
    silent = (gradient.abs().amax(dim=(0, 2, 3)) == 0).nonzero().flatten().tolist()
    if silent:
        raise CheckFailed(f"no gradient reaches the channels {silent} of {CHANNELS}")


@check("Remove what is not used, freeze what shall not learn (requires_grad_(False)), or let the scores depend on it.")
def training_reaches_every_parameter(offer: Offer) -> None:
    """Scores and features together depend on every parameter that is not frozen."""
    discriminator = _add_jitter(_discriminator(offer))
    named = {name: parameter for name, parameter in discriminator.named_parameters() if parameter.requires_grad}
    fields = _fields(4)
    features = getattr(discriminator, "features", None)
    outputs = as_list(discriminator(fields)) + (as_list(features(fields)) if features is not None else [])
    gradients = dict(zip(named, _gradients(_random_sum(outputs), list(named.values())), strict=True))
    require_finite({f"the gradient of {name}": gradient for name, gradient in gradients.items()})
    untaught = [name for name, gradient in gradients.items() if gradient is None or not gradient.any()]
    if untaught:
        raise CheckFailed(f"no gradient reaches {', '.join(untaught)}")


@check(
    "Let `features(x)` return a list of tensors (N, ...), hidden layers of the same x, with their gradients; losses "
    "such as gan/feature_matching compare them."
)
def features_are_a_list_of_tensors_of_each_sample(offer: Offer) -> None:
    """What `features` returns is a list of tensors (N, ...) with a gradient to the input."""
    discriminator, fields = _discriminator(offer), _fields(3).requires_grad_()
    offered = getattr(discriminator, "features", None)
    if offered is None:
        raise CheckSkipped("it offers no features")
    features = offered(fields)
    if not isinstance(features, (list, tuple)) or not features:
        raise CheckFailed(f"features returned {type(features).__name__}, not a list of tensors")
    for place, feature in enumerate(features):
        if not isinstance(feature, torch.Tensor) or not feature.is_floating_point() or feature.shape[:1] != (3,):
            found = tuple(feature.shape) if isinstance(feature, torch.Tensor) else type(feature).__name__
            raise CheckFailed(f"feature {place} is {found}; expected a tensor (3, ...) for 3 samples")
        if not feature.requires_grad:
            raise CheckFailed(f"feature {place} is detached from the input")


@check("Draw all initial weights from torch's global random numbers, which the benchmark's seed sets.")
def same_seed_gives_same_weights(offer: Offer) -> None:
    """Built twice after one seed it has the same weights."""
    first, second = _discriminator(offer, seed=3).state_dict(), _discriminator(offer, seed=3).state_dict()
    different = [name for name in first if name not in second or not torch.equal(first[name], second[name])]
    if different or first.keys() != second.keys():
        raise CheckFailed(f"built twice after one seed, it differs in {', '.join(different) or 'its parts'}")


@check("Keep whatever the scores depend on as parameters or buffers (register_buffer), not as plain attributes.")
def weights_carry_the_whole_function(offer: Offer) -> None:
    """Its state, saved and loaded into another one, gives the same scores."""
    saved, restored = _discriminator(offer, seed=1).eval(), _discriminator(offer, seed=2).eval()
    with TemporaryDirectory() as folder:
        save_tensors(Path(folder) / "discriminator", saved.state_dict(), {})
        tensors, _ = load_tensors(Path(folder) / "discriminator")
    restored.load_state_dict(tensors)
    _check_same(_scores(saved), _scores(restored), "saved and loaded into another one")


@check("Use reshape or flatten, not view, and make no assumption on strides.")
def channels_last_will_do(offer: Offer) -> None:
    """With channels_last it gives the same scores."""
    discriminator = _discriminator(offer).eval()
    expected = _scores(discriminator)
    discriminator.to(memory_format=torch.channels_last)
    with prefix_errors("channels_last"):
        _check_same(
            expected, _scores(discriminator, _fields().contiguous(memory_format=torch.channels_last)), "channels_last"
        )


@check("Leave casts to autocast; where an operation needs one type, cast both of its inputs to it.")
def bfloat16_will_do(offer: Offer) -> None:
    """Under bfloat16 autocast scores and gradients are finite."""
    discriminator = _discriminator(offer)
    named = {name: parameter for name, parameter in discriminator.named_parameters() if parameter.requires_grad}
    with prefix_errors("bfloat16 autocast"):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = [one.float() for one in as_list(discriminator(_fields()))]
        gradients = _gradients(_random_sum(scores), list(named.values()))
    require_finite({f"score map {place} in bfloat16": one for place, one in enumerate(scores)})
    require_finite({f"the bfloat16 gradient of {name}": one for name, one in zip(named, gradients, strict=True)})


@check(
    "Build on the CPU, move nothing in `build` or `forward`, and make new tensors where the input is "
    "(device=x.device, torch.zeros_like(x), buffers)."
)
def network_stays_on_its_device(offer: Offer) -> None:
    """It is built on the CPU and computes on whatever device it is put."""
    discriminator = _discriminator(offer)
    built_on = {tensor.device.type for tensor in discriminator.state_dict().values()} - {"cpu"}
    if built_on:
        raise CheckFailed(f"build put it on {', '.join(sorted(built_on))}")
    # A device without memory: whatever stays behind on the CPU, or goes there, is an error.
    with prefix_errors("moved to another device with its input"):
        scores = as_list(discriminator.to("meta")(_fields().to("meta")))
    if any(one.device.type != "meta" for one in scores):
        raise CheckFailed("moved to another device with its input, it returns scores on the CPU")


CHECKS: tuple[Check, ...] = (
    scores_are_maps,
    odd_sizes_are_scored,
    one_sample_is_scored,
    scores_are_unbounded,
    samples_are_scored_each_by_itself,
    gradients_reach_every_channel_of_the_input,
    training_reaches_every_parameter,
    features_are_a_list_of_tensors_of_each_sample,
    same_seed_gives_same_weights,
    weights_carry_the_whole_function,
    channels_last_will_do,
    bfloat16_will_do,
    network_stays_on_its_device,
)


def _discriminator(offer: Offer, size: Size = SIZE, seed: int = 0) -> nn.Module:
    """Build the discriminator, in training."""
    discriminator = build_example(offer, {"in_channels": CHANNELS, "num_classes": NUM_CLASSES, "size": size}, seed)
    if not isinstance(discriminator, nn.Module):
        raise CheckFailed(f"build returned {type(discriminator).__name__}, not a torch.nn.Module")
    return discriminator.train()


def _fields(number: int = 2, size: Size = SIZE) -> Tensor:
    """Return fields (N, C, H, W) in [-1, 1]."""
    return normal(number, CHANNELS, *size).clamp(-1, 1)


def _check_scores(discriminator: nn.Module, fields: Tensor) -> None:
    _check_maps(discriminator, discriminator(fields), len(fields))


def _check_maps(discriminator: nn.Module, scores: object, number: int) -> None:
    """Raise PluginError or CheckFailed unless a discriminator's output is finite score maps of so many samples."""
    for one in check_score_maps(scores, number, discriminator):
        if one.shape[1] not in (1, NUM_CLASSES + 1):
            raise CheckFailed(
                f"returned {tuple(one.shape)} for {number} samples and {NUM_CLASSES} classes; expected 1 or "
                f"{NUM_CLASSES + 1} channels"
            )
        require_finite({f"score map {tuple(one.shape)}": one})


def _require_maps(offer: Offer) -> None:
    """Skip a check of special fields where even usual ones are scored wrongly."""
    discriminator, fields = _discriminator(offer), _fields()
    scores = discriminator(fields)
    try:
        _check_maps(discriminator, scores, len(fields))
    except (CheckFailed, PluginError) as error:
        raise CheckSkipped(f"its scores are no maps, see {scores_are_maps.name}") from error


def _push_scores(discriminator: nn.Module, sign: float) -> float:
    """Return how far the mean of the lowest score map gets when all are pushed in one direction."""
    parameters = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
    if not parameters:
        raise CheckSkipped("it has no parameters to train")
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    fields, farthest = _fields(), -torch.inf
    for _ in range(MOST_STEPS):
        means = torch.stack([sign * scores.mean() for scores in as_list(discriminator(fields))])
        farthest = max(farthest, float(means.detach().min()))
        if farthest > OUT_OF_BOUNDS:
            break
        optimizer.zero_grad()
        (-means.sum()).backward()  # type: ignore[no-untyped-call]  # torch does not type it
        optimizer.step()
    return farthest


def _squashing(discriminator: nn.Module) -> str:
    """Say which modules could be to blame for bounded scores."""
    found = [name for name, module in discriminator.named_modules() if isinstance(module, SQUASHING)]
    return f"; look at {', '.join(found)}" if found else ""


def _add_jitter(discriminator: nn.Module) -> nn.Module:
    """Add a little noise to all parameters."""
    with torch.no_grad():
        for place, parameter in enumerate(discriminator.parameters()):
            parameter.add_(JITTER * normal(*parameter.shape, seed=place))
    return discriminator


def _random_sum(outputs: list[Tensor]) -> Tensor:
    """Return a sum of all values with random weights, so that no gradient cancels by symmetry."""
    return torch.stack([(one * normal(*one.shape, seed=place)).sum() for place, one in enumerate(outputs)]).sum()


def _gradients(value: Tensor, leaves: list[Tensor]) -> list[Tensor | None]:
    """Return the gradients of a value, None where it does not depend on a leaf."""
    if not value.requires_grad or not leaves:
        return [None] * len(leaves)
    return list(torch.autograd.grad(value, leaves, allow_unused=True))


def _scores(discriminator: nn.Module, fields: Tensor | None = None) -> list[Tensor]:
    """Return a discriminator's scores, with the same random numbers every time."""
    torch.manual_seed(0)
    with torch.no_grad():
        return as_list(copy.deepcopy(discriminator)(_fields() if fields is None else fields))


def _check_same(expected: list[Tensor], found: list[Tensor], when: str) -> None:
    for one, other in zip(expected, found, strict=True):
        if not torch.allclose(one, other, rtol=1e-3, atol=1e-4):
            raise CheckFailed(f"{when} it scores {float((one - other).abs().max()):.3g} off")
