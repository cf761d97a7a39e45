"""Checks of adversarial losses: an object with the methods `discriminator` and `generator`.

`segbench.contract.AdversarialLoss` says what the methods take and return; engine/adversarial/adversary.py calls them. A
discriminator separates reals from fakes better where reals score higher (of K + 1 classes: by their log odds) or where
the features of the two differ more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segbench.contract import ADVERSARIAL_ARGUMENTS
from segbench.engine.adversarial.adversary import (
    FEATURE_ARGUMENTS,
    SCORE_ARGUMENTS,
    DiscriminatorOutput,
    log_odds,
    mean_loss,
    parameter_names,
)

from .check import CheckFailed, CheckSkipped, check
from .examples import (
    HUGE_SCORE,
    IGNORE_INDEX,
    NUM_CLASSES,
    as_list,
    as_number,
    describe_unavailable,
    normal,
    prefix_errors,
    require_finite,
)
from .roles import PLAYERS, build_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from segbench.registry import Offer

    from .check import Check

    Arguments = dict[str, Any]


SAMPLES = 2

MAP_SIZE = (3, 4)

FEATURE_SHAPES = ((8, 6, 5), (16, 3, 2), (32,))

# How far around the boundary the scores of an undecided discriminator lie: inside the margin of any hinge.
UNDECIDED_SPREAD = 0.3

# How far the value with the steepest gradient is moved to see what a step down a loss does.
STEP_DOWN = 0.01


@check(
    "Offer the methods `discriminator` and `generator`, and let their parameters be named from real, fake, "
    "real_features, fake_features and labels; anything else needs a default."
)
def both_players_ask_for_what_there_is(offer: Offer) -> None:
    """There are the methods of both players, and they ask for nothing that the engine does not have."""
    fault = _fault(build_loss(offer))
    if fault is not None:
        raise CheckFailed(fault)


@check(
    "Return a value a score, (N, 1, h, w) or (N, h, w), or a scalar; the engine averages over the pixels that count."
)
def losses_are_values_of_scores_or_scalars(offer: Offer) -> None:
    """Both methods return a value a score or a scalar, of patches as of whole images."""
    loss = _loss(offer)
    for height, width in (MAP_SIZE, (1, 1)):
        arguments = _make_arguments(loss, size=(height, width))
        allowed = ((), (SAMPLES, 1, height, width), (SAMPLES, height, width))
        for player in PLAYERS:
            value = _call(loss, player, arguments)
            if not isinstance(value, torch.Tensor) or tuple(value.shape) not in allowed:
                found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                raise CheckFailed(f"{player} returned {found}; allowed are {', '.join(map(str, allowed))}")


@check("Look at its sign: what the discriminator minimises must fall as reals score higher and fakes lower.")
def discriminator_gets_better_as_its_loss_falls(offer: Offer) -> None:
    """A step down the discriminator's loss raises the scores of reals and lowers those of fakes."""
    loss = _loss(offer)
    arguments = _make_arguments(loss)
    after = _step_down(arguments, _gradients(loss, "discriminator", arguments))
    if not SCORE_ARGUMENTS & parameter_names(loss.discriminator):
        _check_moved(
            arguments, after, _feature_distance, 1, "a step down the discriminator's loss: the features' distance"
        )
        return
    for name, measure, sign in (("reals", _real_score, 1), ("fakes", _fake_score, -1)):
        _check_moved(arguments, after, measure, sign, f"a step down the discriminator's loss: the mean score of {name}")


@check("Look at its sign: what the generator minimises must fall as its fakes score higher, or resemble reals more.")
def generator_raises_scores_of_fakes_as_its_loss_falls(offer: Offer) -> None:
    """A step down the generator's loss raises the scores of fakes, and brings their features nearer to the reals'."""
    loss = _loss(offer)
    arguments = _make_arguments(loss)
    after = _step_down(arguments, _gradients(loss, "generator", arguments))
    for name, measure, sign, what in (
        ("fake", _fake_score, 1, "the mean score of fakes"),
        ("fake_features", _feature_distance, -1, "the features' distance"),
    ):
        if name in parameter_names(loss.generator):
            _check_moved(arguments, after, measure, sign, f"a step down the generator's loss: {what}")


@check(
    "Detach nothing in `discriminator`: the engine has detached the generator's output already, and the network learns "
    "through its scores of reals and of fakes."
)
def discriminator_learns_from_reals_and_from_fakes(offer: Offer) -> None:
    """The discriminator's loss has a gradient through all scores and features that it asks for."""
    loss = _loss(offer)
    gradients = _gradients(loss, "discriminator", _make_arguments(loss))
    silent = [name for name, gradient in gradients.items() if not _is_nonzero(gradient)]
    if silent or not gradients:
        raise CheckFailed(f"the discriminator's loss has no gradient through {' and '.join(silent) or 'anything'}")


@check(
    "Let `generator` depend on fake or fake_features without detaching them, and expect no gradient through real or "
    "real_features: the engine reads reals without one."
)
def generator_learns_through_its_fakes(offer: Offer) -> None:
    """With reals that carry no gradient, as the engine gives them, the generator's loss has one through fakes."""
    loss = _loss(offer)
    gradients = _gradients(loss, "generator", _make_arguments(loss), without=("real", "real_features"))
    if not any(_is_nonzero(gradient) for gradient in gradients.values()):
        raise CheckFailed("the generator's loss has no gradient through fake or fake_features")


@check("Work with softplus and logsumexp, never with the logarithm of a sigmoid or softmax.")
def huge_scores_give_finite_losses(offer: Offer) -> None:
    """Losses and gradients are finite where the discriminator is very sure, right or wrong."""
    loss = _loss(offer)
    for sign in (1.0, -1.0):
        arguments = _make_arguments(loss)
        for name in SCORE_ARGUMENTS & arguments.keys():
            arguments[name] = _sure_scores(arguments[name], (sign if name == "real" else -sign) * HUGE_SCORE)
        for player in PLAYERS:
            what = f"{player}, reals scored {sign * HUGE_SCORE:g} and fakes {-sign * HUGE_SCORE:g}"
            with prefix_errors(what):
                value, gradients = _call(loss, player, arguments), _gradients(loss, player, arguments)
            require_finite({what: value})
            for name, gradient in gradients.items():
                require_finite({f"{what}: the gradient of {name}": one for one in gradient})


@check("Leave places whose label is ignore_index out of every sum and count, and divide by at least 1.")
def ignored_labels_change_nothing(offer: Offer) -> None:
    """Scores where the label is ignored change no loss, and a batch without labels gives finite ones."""
    loss = _loss(offer)
    if not any("labels" in parameter_names(getattr(loss, player)) for player in PLAYERS):
        raise CheckSkipped("it asks for no labels; the engine leaves ignored places out")
    ignored = torch.arange(SAMPLES * MAP_SIZE[0] * MAP_SIZE[1]).view(SAMPLES, *MAP_SIZE) % 3 == 0
    for player in PLAYERS:
        arguments = _make_arguments(loss)
        arguments["labels"] = arguments["labels"].masked_fill(ignored, IGNORE_INDEX)
        other = dict(arguments)
        for name in SCORE_ARGUMENTS & arguments.keys():
            moved = arguments[name] + 3 * normal(*arguments[name].shape, seed=6)
            other[name] = torch.where(ignored[:, None], moved, arguments[name])
        values = [as_number(_engine_loss(loss, player, one)) for one in (arguments, other)]
        if abs(values[0] - values[1]) > 1e-5 * (1 + abs(values[0])):
            raise CheckFailed(
                f"{player}: other scores at ignored places change the loss from {values[0]:.6g} to {values[1]:.6g}"
            )
        nowhere = {**arguments, "labels": torch.full_like(arguments["labels"], IGNORE_INDEX)}
        require_finite({f"{player} of a batch without labels": _engine_loss(loss, player, nowhere)})


CHECKS: tuple[Check, ...] = (
    both_players_ask_for_what_there_is,
    losses_are_values_of_scores_or_scalars,
    discriminator_gets_better_as_its_loss_falls,
    generator_raises_scores_of_fakes_as_its_loss_falls,
    discriminator_learns_from_reals_and_from_fakes,
    generator_learns_through_its_fakes,
    huge_scores_give_finite_losses,
    ignored_labels_change_nothing,
)


def _fault(loss: Any) -> str | None:
    """Say why the engine cannot call a loss."""
    for player in PLAYERS:
        method = getattr(loss, player, None)
        if not callable(method):
            return f"it has no method {player}"
        if unavailable := describe_unavailable(method, ADVERSARIAL_ARGUMENTS):
            return f"{player} {unavailable}"
    return None


def _loss(offer: Offer) -> Any:
    """Build the loss; CheckSkipped if it cannot be called at all."""
    loss = build_loss(offer)
    if _fault(loss) is not None:
        raise CheckSkipped(f"it cannot be called, see {both_players_ask_for_what_there_is.name}")
    return loss


def _make_arguments(loss: Any, size: tuple[int, int] = MAP_SIZE) -> Arguments:
    """Return what the engine can give: undecided scores, features (those of reals are higher), labels."""
    for channels in (
        (NUM_CLASSES + 1, 1)
        if "labels" in parameter_names(loss.discriminator) | parameter_names(loss.generator)
        else (1,)
    ):
        arguments = _make_scores(loss, channels, size)
        if channels == 1 or _accepts(loss, arguments):
            break
    return arguments


def _make_scores(loss: Any, channels: int, size: tuple[int, int]) -> Arguments:
    boundary = getattr(loss, "boundary", 0.0) or 0.0
    scores = UNDECIDED_SPREAD * normal(2, SAMPLES, channels, *size)
    return {
        "real": scores[0] + boundary,
        "fake": scores[1] + boundary,
        "real_features": [1 + UNDECIDED_SPREAD * normal(SAMPLES, *shape, seed=1) for shape in FEATURE_SHAPES],
        "fake_features": [UNDECIDED_SPREAD * normal(SAMPLES, *shape, seed=2) for shape in FEATURE_SHAPES],
        "labels": torch.arange(SAMPLES * size[0] * size[1]).remainder(NUM_CLASSES).view(SAMPLES, *size),
    }


def _sure_scores(scores: Tensor, sure: float) -> Tensor:
    """Return the score `sure` everywhere; of K + 1 scores the last, that of being fake, is `-sure`."""
    fake = torch.arange(scores.shape[1]).view(-1, 1, 1) == NUM_CLASSES
    return torch.full_like(scores, sure).where(~fake, -sure)


def _accepts(loss: Any, arguments: Arguments) -> bool:
    """Whether the loss is one of K + 1 scores a place."""
    try:
        for player in PLAYERS:
            _call(loss, player, arguments)
    except Exception:
        return False
    return True


def _call(loss: Any, player: str, arguments: Mapping[str, Any]) -> Any:
    method = getattr(loss, player)
    return method(**{name: value for name, value in arguments.items() if name in parameter_names(method)})


def _engine_loss(loss: Any, player: str, arguments: Arguments) -> Tensor:
    """Return the mean loss over the places whose label counts."""
    real = DiscriminatorOutput([arguments["real"]], arguments["real_features"])
    fake = DiscriminatorOutput([arguments["fake"]], arguments["fake_features"])
    return mean_loss(
        getattr(loss, player), real, fake, arguments["labels"], (arguments["labels"] != IGNORE_INDEX)[:, None]
    )


def _gradients(loss: Any, player: str, arguments: Arguments, without: tuple[str, ...] = ()) -> dict[str, list[Tensor]]:
    """Return the gradients of a player's loss with respect to the scores and features it asks for, zeros if none."""
    names = [
        name
        for name in sorted((SCORE_ARGUMENTS | FEATURE_ARGUMENTS) & parameter_names(getattr(loss, player)))
        if name not in without
    ]
    changed = dict(arguments)
    for name in names:
        leaves = [one.detach().clone().requires_grad_() for one in as_list(arguments[name])]
        changed[name] = leaves if name in FEATURE_ARGUMENTS else leaves[0]
    value = torch.as_tensor(_call(loss, player, changed)).mean()
    return {name: [_gradient(value, leaf) for leaf in as_list(changed[name])] for name in names}


def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True, retain_graph=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def _is_nonzero(gradient: list[Tensor]) -> bool:
    return any(bool(one.any()) for one in gradient)


def _step_down(arguments: Arguments, gradients: Mapping[str, list[Tensor]]) -> Arguments:
    """Return the arguments after a step down a loss; the largest change of each is STEP_DOWN."""
    after = dict(arguments)
    for name, gradient in gradients.items():
        steepest = max(float(one.abs().max()) for one in gradient)
        if steepest > 0:
            moved = [
                one - STEP_DOWN / steepest * down for one, down in zip(as_list(arguments[name]), gradient, strict=True)
            ]
            after[name] = moved if name in FEATURE_ARGUMENTS else moved[0]
    return after


def _check_moved(
    before: Arguments, after: Arguments, measure: Callable[[Arguments], float], sign: int, what: str
) -> None:
    """Raise CheckFailed if a measure moved against the sign; that it moves at all is another check's matter."""
    start, end = measure(before), measure(after)
    if sign * (end - start) < 0:
        raise CheckFailed(f"{what} {'falls' if sign > 0 else 'rises'}, from {start:.6g} to {end:.6g}")


def _real_score(arguments: Arguments) -> float:
    return float(log_odds(arguments["real"]).mean())


def _fake_score(arguments: Arguments) -> float:
    return float(log_odds(arguments["fake"]).mean())


def _feature_distance(arguments: Arguments) -> float:
    pairs = zip(arguments["real_features"], arguments["fake_features"], strict=True)
    return sum(float((real.double() - fake.double()).abs().mean()) for real, fake in pairs)
