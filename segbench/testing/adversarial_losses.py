"""Checks of adversarial losses: an object with the methods `discriminator` and `generator`.

Each method asks by name for what it needs of {real, fake, real_features, fake_features, labels} and returns what its
player minimises; segbench/engine/adversarial/adversary.py is what calls them. Better told apart means, of scores,
that those of reals are higher, by the log odds of K + 1 classes, and of features, that they differ more.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from segbench.engine.adversarial.adversary import (
    FEATURES,
    SCORES,
    DiscriminatorOutput,
    log_odds,
    mean_loss,
    parameter_names,
)

from .check import CheckFailed, CheckSkipped, check
from .examples import (
    IGNORE_INDEX,
    LOSS_VOCABULARY,
    NUM_CLASSES,
    as_number,
    built,
    given,
    listed,
    normal,
    require_finite,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from segbench.registry import Offer

    from .check import Check

    Dealt = dict[str, Any]


PLAYERS = ("discriminator", "generator")


NAMES = SCORES | FEATURES | {"labels"}


SAMPLES = 2


MAP_SIZE = (3, 4)


FEATURE_SHAPES = ((8, 6, 5), (16, 3, 2), (32,))


# How far around the boundary the scores of an undecided critic lie: inside the margin of any hinge.
SPREAD = 0.3


HUGE = 1e4


# How far the value with the steepest gradient is moved to see what a step down a loss does.
STEP = 0.01


@check(
    "Offer the methods `discriminator` and `generator`, and let their parameters be named from real, fake, "
    "real_features, fake_features and labels; anything else needs a default."
)
def both_players_ask_for_what_there_is(offer: Offer) -> None:
    """There are the methods of both players, and they ask for nothing that the engine does not have."""
    fault = _fault(built(offer, LOSS_VOCABULARY))
    if fault is not None:
        raise CheckFailed(fault)


@check(
    "Return a value a score, (N, 1, h, w) or (N, h, w), or a scalar; the engine averages over the pixels that count."
)
def losses_are_values_of_scores_or_scalars(offer: Offer) -> None:
    """Both methods return a value a score or a scalar, of patches as of whole images."""
    loss = _loss(offer)
    for height, width in (MAP_SIZE, (1, 1)):
        dealt = _dealt(loss, size=(height, width))
        allowed = ((), (SAMPLES, 1, height, width), (SAMPLES, height, width))
        for player in PLAYERS:
            value = _play(loss, player, dealt)
            if not isinstance(value, torch.Tensor) or tuple(value.shape) not in allowed:
                found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                raise CheckFailed(f"{player} returned {found}; allowed are {', '.join(map(str, allowed))}")


@check("Look at its sign: what the discriminator minimises must fall as reals score higher and fakes lower.")
def discriminator_gets_better_as_its_loss_falls(offer: Offer) -> None:
    """A step down the discriminator's loss raises the scores of reals and lowers those of fakes."""
    loss = _loss(offer)
    dealt = _dealt(loss)
    after = _stepped(dealt, _gradients(loss, "discriminator", dealt))
    if not SCORES & parameter_names(loss.discriminator):
        _check_moved(dealt, after, _feature_distance, 1, "a step down the discriminator's loss: the features' distance")
        return
    for name, measure, sign in (("reals", _real_score, 1), ("fakes", _fake_score, -1)):
        _check_moved(dealt, after, measure, sign, f"a step down the discriminator's loss: the mean score of {name}")


@check("Look at its sign: what the generator minimises must fall as its fakes score higher, or resemble reals more.")
def generator_raises_scores_of_fakes_as_its_loss_falls(offer: Offer) -> None:
    """A step down the generator's loss raises the scores of fakes, and brings their features nearer to the reals'."""
    loss = _loss(offer)
    dealt = _dealt(loss)
    after = _stepped(dealt, _gradients(loss, "generator", dealt))
    for name, measure, sign, what in (
        ("fake", _fake_score, 1, "the mean score of fakes"),
        ("fake_features", _feature_distance, -1, "the features' distance"),
    ):
        if name in parameter_names(loss.generator):
            _check_moved(dealt, after, measure, sign, f"a step down the generator's loss: {what}")


@check(
    "Detach nothing in `discriminator`: the engine has detached the generator's output already, and the critic learns "
    "through its scores of reals and of fakes."
)
def discriminator_learns_from_reals_and_from_fakes(offer: Offer) -> None:
    """The discriminator's loss has a gradient through everything of the critic that it asks for."""
    loss = _loss(offer)
    gradients = _gradients(loss, "discriminator", _dealt(loss))
    silent = [name for name, gradient in gradients.items() if not _any(gradient)]
    if silent or not gradients:
        raise CheckFailed(f"the discriminator's loss has no gradient through {' and '.join(silent) or 'anything'}")


@check(
    "Let `generator` depend on fake or fake_features without detaching them, and expect no gradient through real or "
    "real_features: the engine reads reals without one."
)
def generator_learns_through_its_fakes(offer: Offer) -> None:
    """With reals that carry no gradient, as the engine gives them, the generator's loss has one through fakes."""
    loss = _loss(offer)
    gradients = _gradients(loss, "generator", _dealt(loss), without=("real", "real_features"))
    if not any(_any(gradient) for gradient in gradients.values()):
        raise CheckFailed("the generator's loss has no gradient through fake or fake_features")


@check("Work with softplus and logsumexp, never with the logarithm of a sigmoid or softmax.")
def huge_scores_give_finite_losses(offer: Offer) -> None:
    """Losses and gradients are finite where the critic is all too sure, right or wrong."""
    loss = _loss(offer)
    for sign in (1.0, -1.0):
        dealt = _dealt(loss)
        for name in SCORES & dealt.keys():
            dealt[name] = _sure_scores(dealt[name], (sign if name == "real" else -sign) * HUGE)
        for player in PLAYERS:
            what = f"{player}, reals scored {sign * HUGE:g} and fakes {-sign * HUGE:g}"
            with given(what):
                value, gradients = _play(loss, player, dealt), _gradients(loss, player, dealt)
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
        dealt = _dealt(loss)
        dealt["labels"] = dealt["labels"].masked_fill(ignored, IGNORE_INDEX)
        other = dict(dealt)
        for name in SCORES & dealt.keys():
            changed = dealt[name] + 3 * normal(*dealt[name].shape, seed=6)
            other[name] = torch.where(ignored[:, None], changed, dealt[name])
        values = [as_number(_as_the_engine_does(loss, player, cards)) for cards in (dealt, other)]
        if abs(values[0] - values[1]) > 1e-5 * (1 + abs(values[0])):
            raise CheckFailed(f"{player}: other scores at ignored places make {values[1]:.6g} of {values[0]:.6g}")
        nowhere = {**dealt, "labels": torch.full_like(dealt["labels"], IGNORE_INDEX)}
        require_finite({f"{player} of a batch without labels": _as_the_engine_does(loss, player, nowhere)})


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
    """Say what stands in the way of calling a loss as the engine does."""
    for player in PLAYERS:
        method = getattr(loss, player, None)
        if not callable(method):
            return f"it has no method {player}"
        needed = {one.name for one in inspect.signature(method).parameters.values() if one.default is one.empty}
        if needed - NAMES:
            return f"{player} asks for {', '.join(sorted(needed - NAMES))}; there is {', '.join(sorted(NAMES))}"
    return None


def _loss(offer: Offer) -> Any:
    """Build the loss; CheckSkipped if it cannot be called at all."""
    loss = built(offer, LOSS_VOCABULARY)
    if _fault(loss) is not None:
        raise CheckSkipped(f"it cannot be called, see {both_players_ask_for_what_there_is.name}")
    return loss


def _dealt(loss: Any, size: tuple[int, int] = MAP_SIZE) -> Dealt:
    """Return what the engine can give: scores of an undecided critic, features of which reals' are higher, labels."""
    for channels in (
        (NUM_CLASSES + 1, 1)
        if "labels" in parameter_names(loss.discriminator) | parameter_names(loss.generator)
        else (1,)
    ):
        dealt = _dealt_scores(loss, channels, size)
        if channels == 1 or _accepts(loss, dealt):
            break
    return dealt


def _dealt_scores(loss: Any, channels: int, size: tuple[int, int]) -> Dealt:
    boundary = getattr(loss, "boundary", 0.0) or 0.0
    scores = SPREAD * normal(2, SAMPLES, channels, *size)
    return {
        "real": scores[0] + boundary,
        "fake": scores[1] + boundary,
        "real_features": [1 + SPREAD * normal(SAMPLES, *shape, seed=1) for shape in FEATURE_SHAPES],
        "fake_features": [SPREAD * normal(SAMPLES, *shape, seed=2) for shape in FEATURE_SHAPES],
        "labels": torch.arange(SAMPLES * size[0] * size[1]).remainder(NUM_CLASSES).view(SAMPLES, *size),
    }


def _sure_scores(scores: Tensor, sure: float) -> Tensor:
    """Return so high a score everywhere; of K + 1 scores the last, that of being fake, is as low."""
    fake = torch.arange(scores.shape[1]).view(-1, 1, 1) == NUM_CLASSES
    return torch.full_like(scores, sure).where(~fake, -sure)


def _accepts(loss: Any, dealt: Dealt) -> bool:
    """Whether the loss is one of K + 1 scores a place."""
    try:
        for player in PLAYERS:
            _play(loss, player, dealt)
    except Exception:
        return False
    return True


def _play(loss: Any, player: str, dealt: Mapping[str, Any]) -> Any:
    method = getattr(loss, player)
    return method(**{name: value for name, value in dealt.items() if name in parameter_names(method)})


def _as_the_engine_does(loss: Any, player: str, dealt: Dealt) -> Tensor:
    """Return the mean loss over the places whose label counts."""
    real = DiscriminatorOutput([dealt["real"]], dealt["real_features"])
    fake = DiscriminatorOutput([dealt["fake"]], dealt["fake_features"])
    return mean_loss(getattr(loss, player), real, fake, dealt["labels"], (dealt["labels"] != IGNORE_INDEX)[:, None])


def _gradients(loss: Any, player: str, dealt: Dealt, without: tuple[str, ...] = ()) -> dict[str, list[Tensor]]:
    """Return the gradients of a player's loss in what it asks for of the critic, zeros where there are none."""
    names = [
        name for name in sorted((SCORES | FEATURES) & parameter_names(getattr(loss, player))) if name not in without
    ]
    cards = dict(dealt)
    for name in names:
        leaves = [one.detach().clone().requires_grad_() for one in listed(dealt[name])]
        cards[name] = leaves if name in FEATURES else leaves[0]
    value = torch.as_tensor(_play(loss, player, cards)).mean()
    return {name: [_gradient(value, leaf) for leaf in listed(cards[name])] for name in names}


def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True, retain_graph=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def _any(gradient: list[Tensor]) -> bool:
    return any(bool(one.any()) for one in gradient)


def _stepped(dealt: Dealt, gradients: Mapping[str, list[Tensor]]) -> Dealt:
    """Return what was dealt after a step down a loss, each name's by itself so large that it shows."""
    after = dict(dealt)
    for name, gradient in gradients.items():
        steepest = max(float(one.abs().max()) for one in gradient)
        if steepest > 0:
            moved = [one - STEP / steepest * down for one, down in zip(listed(dealt[name]), gradient, strict=True)]
            after[name] = moved if name in FEATURES else moved[0]
    return after


def _check_moved(before: Dealt, after: Dealt, measure: Callable[[Dealt], float], sign: int, what: str) -> None:
    """Raise CheckFailed if a measure moved against the sign; that it moves at all is another check's matter."""
    start, end = measure(before), measure(after)
    if sign * (end - start) < 0:
        raise CheckFailed(f"{what} {'falls' if sign > 0 else 'rises'}, from {start:.6g} to {end:.6g}")


def _real_score(dealt: Dealt) -> float:
    return float(log_odds(dealt["real"]).mean())


def _fake_score(dealt: Dealt) -> float:
    return float(log_odds(dealt["fake"]).mean())


def _feature_distance(dealt: Dealt) -> float:
    pairs = zip(dealt["real_features"], dealt["fake_features"], strict=True)
    return sum(float((real.double() - fake.double()).abs().mean()) for real, fake in pairs)
