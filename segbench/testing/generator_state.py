"""Checks of what a generator may depend on besides its input: weights, mode, random numbers, process state."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from segbench.registry.process_state import restore_after_build, restore_random_numbers

from .check import CheckFailed, check
from .trial import build_trial, describe_difference, first_output, join_names, run_backward

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from segbench.registry import Offer

    from .check import Check
    from .trial import Trial


@check(
    "Leave alone what is set for the whole process, such as torch.set_default_dtype or torch.backends.cudnn: other "
    "networks are compared with yours under the same settings, which the protocol states."
)
def settings_of_the_process_are_left_alone(offer: Offer) -> None:
    """Building and running a generator changes nothing that is set for the whole process."""
    watched, by_build = _watched(offer)
    with restore_after_build() as by_forward:
        _use(build_trial(watched))
    for where, found in (("`build`", by_build), ("`forward`", by_forward)):
        if found:
            raise CheckFailed(f"{where} changes {', '.join(found)}")


@check("Draw random numbers with torch, which the cell's seed governs; not with `random` or `numpy.random`.")
def random_numbers_come_from_torch(offer: Offer) -> None:
    """Building and running a generator draws nothing from the random numbers of Python and numpy."""
    build_trial(offer)  # importing a library for the first time is nothing that a network does
    with restore_random_numbers() as found:
        _use(build_trial(offer))
    if found:
        raise CheckFailed(f"{' and '.join(found)} moved on while the generator was built and run")


@check("Do not call torch.manual_seed or torch.seed: the cell's seed decides, and all seeds would give one result.")
def torch_is_not_reseeded(offer: Offer) -> None:
    """Torch's random numbers depend on the seed after building and after running as they did before."""
    trials = [build_trial(offer, seed=seed) for seed in (1, 2)]
    states = []
    for seed in (1, 2):
        build_trial(offer, seed=seed)
        states.append(torch.get_rng_state())
    if states[0].equal(states[1]):
        raise CheckFailed("after `build` torch draws the same random numbers, whatever the seed was before")
    after = [_state_after_forward(trial, seed) for seed, trial in enumerate(trials)]
    if after[0].equal(after[1]):
        raise CheckFailed("after `forward` torch draws the same random numbers, whatever the seed was before")


@check(
    "Draw all weights with torch's own random numbers: no generator of your own, no time, no hash of objects, no "
    "order of a set."
)
def same_seed_gives_same_weights(offer: Offer) -> None:
    """Two builds after the same seed have the same parameters and buffers."""
    one, other = (build_trial(offer).network.state_dict() for _ in range(2))
    if list(one) != list(other):
        raise CheckFailed("two builds have parameters of different names or in a different order")
    unequal = [name for name, tensor in one.items() if not _equal(tensor, other[name])]
    if unequal:
        raise CheckFailed(f"two builds with the same seed differ in {join_names(unequal)}")


@check("Make every layer within `build`: one that lives in a module or class is trained by whoever uses it.")
def builds_share_no_weights(offer: Offer) -> None:
    """Two networks in one process have no parameter and no buffer in common."""
    one, other = (build_trial(offer).network.state_dict() for _ in range(2))
    owned = {tensor.data_ptr() for tensor in one.values() if tensor.numel()}
    shared = [name for name, tensor in other.items() if tensor.numel() and tensor.data_ptr() in owned]
    if shared:
        raise CheckFailed(f"two builds share {join_names(shared)}")


@check("Hold all that `forward` uses in parameters and in buffers (`self.register_buffer`), which a checkpoint keeps.")
def weights_carry_the_whole_function(offer: Offer) -> None:
    """A network of another seed that loads the weights of a trained one gives the same output."""
    trained, other = build_trial(offer, seed=0), build_trial(offer, seed=1)
    batch = trained.batch()
    trained.output(batch)  # in training it moves the statistics of normalisation
    weights = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    other.network.load_state_dict(weights)
    for trial in (trained, other):
        trial.network.eval()
    found = describe_difference(other.output(batch), trained.output(batch))
    if found:
        raise CheckFailed(f"with the same weights the output of a second network differs {found}")


@check(
    "Let nothing but dropout and normalisation change with `self.training`, as modules (nn.Dropout, nn.BatchNorm2d); "
    "return the same first output in both modes. If it is meant to differ, list it as a known failure."
)
def training_and_evaluation_differ_by_dropout_and_norms_only(offer: Offer) -> None:
    """With dropout and normalisation set to evaluation, the output in training is that in evaluation."""
    trial = build_trial(offer)
    batch = trial.batch()
    for module in trial.network.modules():
        if _may_differ(module):
            module.training = False
    training = trial.output(batch)
    trial.network.eval()
    found = describe_difference(training, trial.output(batch))
    if found:
        raise CheckFailed(f"with dropout and normalisation set to evaluation, training and evaluation differ {found}")


@check("In evaluation draw nothing at random: use nn.Dropout, which `eval()` turns off, or ask for `self.training`.")
def evaluation_is_deterministic(offer: Offer) -> None:
    """In evaluation the same input gives the same output, and no random number is drawn."""
    trial = build_trial(offer)
    trial.network.eval()
    batch = trial.batch()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.no_grad():
        one = trial.network(*trial.inputs(batch))
        drawn = not torch.get_rng_state().equal(before)
        other = trial.network(*trial.inputs(batch))
    if drawn:
        raise CheckFailed("random numbers are drawn in evaluation")
    if not one.equal(other):
        raise CheckFailed("the same input gives another output the second time")


@check("Change buffers and parameters in training only: ask for `self.training` before you write to them.")
def evaluation_changes_nothing(offer: Offer) -> None:
    """A run in evaluation leaves parameters, buffers and the mode of every module as they were."""
    trial = build_trial(offer)
    trial.network.eval()
    before = {name: tensor.clone() for name, tensor in trial.network.state_dict().items()}
    trial.output(trial.batch())
    after = trial.network.state_dict()
    written = [name for name in after if name not in before or not _equal(after[name], before[name])]
    if written:
        raise CheckFailed(f"a run in evaluation changes {join_names(written)}")
    training = [name for name, module in trial.network.named_modules() if module.training]
    if training:
        raise CheckFailed(f"after a run in evaluation these are in training mode: {join_names(training)}")


CHECKS: tuple[Check, ...] = (
    settings_of_the_process_are_left_alone,
    random_numbers_come_from_torch,
    torch_is_not_reseeded,
    same_seed_gives_same_weights,
    builds_share_no_weights,
    weights_carry_the_whole_function,
    training_and_evaluation_differ_by_dropout_and_norms_only,
    evaluation_is_deterministic,
    evaluation_changes_nothing,
)


def _watched(offer: Offer) -> tuple[Offer, list[str]]:
    """Return the same component, and a list that says after it is built what `build` has changed for the process."""
    changes: list[str] = []

    def watched(build: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(build, functools.partial):
            return functools.partial(watched(build.func), *build.args, **build.keywords)

        @functools.wraps(build)
        def built(*given: Any, **options: Any) -> Any:
            with restore_after_build() as found:
                made = build(*given, **options)
            changes.extend(found)
            return made

        return built

    return replace(offer, component=replace(offer.component, build=watched(offer.component.build))), changes


def _use(trial: Trial) -> None:
    """Run the network in training, backwards too, and in evaluation."""
    batch = trial.batch()
    loss = trial.loss(batch, trial.network(*trial.inputs(batch)))
    run_backward(loss)
    trial.network.eval()
    trial.output(batch)


def _state_after_forward(trial: Trial, seed: int) -> Tensor:
    inputs = trial.inputs(trial.batch())
    torch.manual_seed(seed)
    with torch.no_grad():
        first_output(trial.network(*inputs))
    return torch.get_rng_state()


def _may_differ(module: nn.Module) -> bool:
    """Tell whether a module may behave otherwise in evaluation: dropout of any kind, normalisation by statistics."""
    if isinstance(module, (_DropoutNd, _NormBase, nn.MultiheadAttention)):
        return True
    name = type(module).__name__.lower()
    return "drop" in name or "stochasticdepth" in name or "batchnorm" in name


def _equal(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors hold the same, NaN being equal to itself."""
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
