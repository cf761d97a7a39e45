"""Checks of what a generator takes and returns, how it is trained, and of number formats, devices and the compiler.

The engine's own wrapper stands between the network and its inputs (engine/model/network.py).
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch

from segbench.engine.model.network import Segmenter, auxiliary_target
from segbench.engine.numerics import autocast

from . import generator_state
from .check import CheckFailed, CheckSkipped, check
from .examples import prefix_errors, require_finite
from .trial import (
    TRIAL_IGNORE_INDEX,
    build_trial,
    class_colours,
    describe_difference,
    first_output,
    join_names,
    nearest_class,
    run_backward,
    skip_if_untrained,
)

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.engine.data.batches import Batch
    from segbench.registry import Offer

    from .check import Check
    from .trial import Size, Trial


CPU = torch.device("cpu")
META = torch.device("meta")  # has shapes and no values

ODD_SIZES: tuple[Size, ...] = ((65, 97), (33, 47))
CHANNEL_NUMBERS = (1, 3, 4, 6)
CLASS_NUMBERS = (2, 5, 19)

# Learning by heart: so many images, and steps of Adam until this share of their pixels is right.
MEMORISED_IMAGES = 4
MEMORISING_STEPS = 50
MEMORISED_SHARE = 0.9

# From a seed to that of the second start.
RESTART_SEED_OFFSET = 1000
# The first suits most networks, the second deep ones without normalisation, the third shallow ones.
LEARNING_RATES = (3e-3, 3e-4, 1e-2)


# What it takes and returns.


@check("Take the number of input channels from `in_channels` (that of images made: `image_channels`).")
def any_number_of_channels_will_do(offer: Offer) -> None:
    """Images may have 1, 3, 4 or more channels."""
    for channels in CHANNEL_NUMBERS:
        what = f"{channels} image channel{'s' if channels > 1 else ''}"
        with prefix_errors(f"building for {what}"):
            trial = build_trial(offer, channels=channels)
        trial.network.eval()
        _check_output(trial, trial.size, what)


@check("Take the number of classes from `num_classes`; neither a background nor an ignored class is to be added to it.")
def any_number_of_classes_will_do(offer: Offer) -> None:
    """There may be 2, 5 or 19 classes."""
    for classes in CLASS_NUMBERS:
        with prefix_errors(f"building for {classes} classes"):
            trial = build_trial(offer, num_classes=classes)
        trial.network.eval()
        _check_output(trial, trial.size, f"{classes} classes")


@check("End with `.tanh()`: images and colours lie in [-1, 1] everywhere in segbench.")
def colours_lie_between_minus_one_and_one(offer: Offer) -> None:
    """What a generator paints lies in [-1, 1]."""
    trial = build_trial(offer)
    if trial.mapping.maps.endswith("-> labels"):
        raise CheckSkipped("it makes labels, not images")
    painted = trial.output(trial.batch())
    if trial.mapping.maps == "noise -> image, labels":
        painted = painted[:, : trial.channels]
    if painted.abs().max().item() > 1:
        raise CheckFailed(f"values from {painted.min().item():.3g} to {painted.max().item():.3g} were found")


@check("In evaluation compute nothing across the batch dimension: a score must not depend on what lies in its batch.")
def images_of_a_batch_do_not_meet_in_evaluation(offer: Offer) -> None:
    """In evaluation the output for an image is the same whatever the other images of its batch are."""
    trial = build_trial(offer)
    trial.network.eval()
    batch, other = trial.batch(seed=0), trial.batch(seed=1)
    inputs = trial.inputs(batch)
    mixed = tuple(torch.cat([one[:1], two.flip(0)[:1]]) for one, two in zip(inputs, trial.inputs(other), strict=True))
    found = describe_difference(trial.output_for(inputs)[0], trial.output_for(mixed)[0])
    if found:
        raise CheckFailed(f"with another image beside it, the output for an image differs {found}")


@check(
    "Change no input in place: `x += 1`, `nn.ReLU(inplace=True)` and the like need a copy of what comes from outside."
)
def inputs_are_left_unchanged(offer: Offer) -> None:
    """The tensors that `forward` receives are the same afterwards: the engine goes on using them."""
    trial = build_trial(offer)
    for mode in (True, False):
        trial.network.train(mode)
        inputs = trial.inputs(trial.batch())
        before = [one.clone() for one in inputs]
        trial.output_for(inputs)
        if not all(map(torch.equal, inputs, before)):
            raise CheckFailed(f"in {'training' if mode else 'evaluation'} `forward` changes the values of its input")


@check("Keep the batch dimension: `x.squeeze()` and `x[0]` drop it where a batch holds one image; name a dimension.")
def one_image_is_a_batch(offer: Offer) -> None:
    """In evaluation a batch may hold a single image."""
    trial = build_trial(offer)
    trial.network.eval()
    _check_output(trial, trial.size, "a batch of one", number=1)


@check(
    "Return logits (N, num_classes, h, w), or images or colours, as float32, whatever H and W; logits of another size "
    "are resized for you. If your network needs multiples of some number of pixels or a least size, state them as the "
    "module's attributes `size_multiple` and `minimum_size`, and images are padded. Pad where feature maps of odd "
    "sizes meet, or resize one to the other's size."
)
def output_fits_images_of_odd_sizes(offer: Offer) -> None:
    """In training and in evaluation an output has the promised shape and type, also where height and width are odd."""
    trial = build_trial(offer)
    for size in ODD_SIZES:
        if not trial.makes_labels:
            trial = build_trial(offer, size=size)
        for mode in (True, False):
            trial.network.train(mode)
            where = f"{'training' if mode else 'evaluation'} with {'images' if trial.makes_labels else 'a size'} of "
            _check_output(trial, size, where + f"{size[0]}x{size[1]}")


def _check_output(trial: Trial, size: Size, where: str, number: int = 2) -> None:
    """Raise CheckFailed unless the output for a batch is float32 and of the shape that the engine expects."""
    batch = trial.batch(number, size)
    with prefix_errors(where):
        output = trial.output(batch)
    expected = (number, trial.mapping.output_channels(trial.channels), *size)
    if output.shape != expected:
        raise CheckFailed(f"{where}: the output has the shape {tuple(output.shape)}; expected {expected}")
    if output.dtype != torch.float32:
        raise CheckFailed(f"{where}: the output is {output.dtype}; expected torch.float32")


# Training.


@check(
    "Let `auxiliary_loss` leave out the pixels whose target is -100, and return 0 where there is no other: divide the "
    "sum of the loss by the number of the others, 1 at least."
)
def auxiliary_loss_bears_ignored_pixels(offer: Offer) -> None:
    """The auxiliary loss is finite where half of the pixels, or all of them, are ignored."""
    trial = build_trial(offer)
    batch = trial.batch()
    returned = trial.network(*trial.inputs(batch))
    if not isinstance(trial.network, Segmenter) or not isinstance(returned, tuple):
        raise CheckSkipped("it returns no auxiliary outputs")
    some = batch.labels.clone()
    some[:, : trial.size[0] // 2] = TRIAL_IGNORE_INDEX
    for name, labels in (
        ("half of the pixels are", some),
        ("all pixels are", torch.full_like(some, TRIAL_IGNORE_INDEX)),
    ):
        loss = trial.network.auxiliary_loss(returned[1:], auxiliary_target(labels, TRIAL_IGNORE_INDEX))
        if loss is not None and not loss.isfinite():
            raise CheckFailed(f"the auxiliary loss is {loss.item()} where {name} ignored")


@check(
    "Look for a last layer without gradient, a wrong axis of the softmax, features too coarse to tell quarters of an "
    "image apart, or normalisation that removes colour."
)
def colours_can_be_learned(offer: Offer) -> None:
    """Four images of 64x64 pixels, their classes decided by colour, are learned by heart in a few steps of Adam."""
    skip_if_untrained(build_trial(offer))
    share = best_share_learned(offer)
    if share < MEMORISED_SHARE:
        raise CheckFailed(
            f"after {MEMORISING_STEPS} steps of Adam, at the best of the learning rates "
            f"{', '.join(map(str, LEARNING_RATES))}, {share:.0%} of the pixels are right, in training, on "
            f"{MEMORISED_IMAGES} images of four quarters, each of the colour of its class; "
            f"{MEMORISED_SHARE:.0%} are required"
        )


def best_share_learned(offer: Offer, seed: int = 0) -> float:
    """Return the best share of pixels right over two starts and all learning rates, or the first that is enough."""
    best = 0.0
    # A small network may start with dead units, so it may start again from other first weights.
    for start, rate in product((seed, seed + RESTART_SEED_OFFSET), LEARNING_RATES):
        best = max(best, _train(build_trial(offer, seed=start), rate))
        if best >= MEMORISED_SHARE:
            break
    return best


@check(
    "Use every parameter in training, by the output or by `auxiliary_loss(auxiliary, target)` on what else is "
    "returned; remove what is not used, or set requires_grad to False where it is to stay as it is."
)
def training_reaches_every_parameter(offer: Offer) -> None:
    """The supervised and the auxiliary loss give every parameter that requires a gradient a finite one."""
    trial = build_trial(offer)
    skip_if_untrained(trial)
    batch = trial.batch()
    run_backward(trial.loss(batch, trial.network(*trial.inputs(batch))))
    unreached = [name for name, parameter in trial.parameters.items() if parameter.grad is None]
    if unreached:
        raise CheckFailed(f"no gradient reaches {join_names(unreached)}")
    infinite = [
        name for name, one in trial.parameters.items() if one.grad is not None and not one.grad.isfinite().all()
    ]
    if infinite:
        raise CheckFailed(f"the gradient is infinite or NaN for {join_names(infinite)}")


def _train(trial: Trial, rate: float) -> float:
    """Train the generator until it has learned enough or for all steps; return the best share of pixels right."""
    batch, best = trial.batch(MEMORISED_IMAGES), 0.0
    optimizer = torch.optim.Adam(trial.parameters.values(), lr=rate)
    for step in range(MEMORISING_STEPS):
        torch.manual_seed(step)
        returned = trial.network(*trial.inputs(batch))
        best = max(best, _share_right(trial, batch, first_output(returned).detach()))
        if best >= MEMORISED_SHARE:
            break
        optimizer.zero_grad()
        run_backward(trial.loss(batch, returned))
        optimizer.step()
    return best


def _share_right(trial: Trial, batch: Batch, output: Tensor) -> float:
    """Return the share of the pixels whose class is right: by logits, by palette colours or by the image made."""
    return (_classes(trial, output.float()) == batch.labels).float().mean().item()


def _classes(trial: Trial, output: Tensor) -> Tensor:
    number = trial.mapping.form.num_classes
    match trial.mapping.maps:
        case "image -> labels" | "image, labels -> labels":
            return output.argmax(dim=1)
        case "noise -> image, labels":
            return output[:, trial.channels :].argmax(dim=1)
        case _:
            return nearest_class(output, class_colours(number, output.shape[1]))


# Number formats, memory formats, devices, the compiler.


@check(
    "Under autocast results of convolutions are bfloat16 while parameters and inputs stay float32: before you write "
    "one into the other, or call what bfloat16 cannot do, convert with `.to(other.dtype)` or `.float()`."
)
def bfloat16_will_do(offer: Offer) -> None:
    """Under bfloat16 autocast a generator is trained and evaluated, and output and gradients are finite."""
    trial = build_trial(offer)
    batch = trial.batch()
    with prefix_errors("training under bfloat16 autocast"):
        with autocast(CPU, "bf16"):
            loss = trial.loss(batch, trial.network(*trial.inputs(batch)))
        run_backward(loss)
    gradients = {f"the gradient of {name}": one.grad for name, one in trial.parameters.items()}
    require_finite({"the loss under bfloat16 autocast": loss, **gradients})
    trial.network.eval()
    with prefix_errors("evaluation under bfloat16 autocast"), autocast(CPU, "bf16"):
        output = trial.output(batch)
    require_finite({"the output under bfloat16 autocast": output})


@check("Use `.reshape` or `.flatten` in place of `.view`, which needs its values in one order, and assume no strides.")
def channels_last_will_do(offer: Offer) -> None:
    """With weights and images in channels_last memory format the output is the same."""
    trial = build_trial(offer)
    trial.network.eval()
    batch = trial.batch()
    usual = trial.output(batch)
    trial.network.to(memory_format=torch.channels_last)
    inputs = [_channels_last(one) for one in trial.inputs(batch)]
    with prefix_errors("evaluation in channels_last memory format"):
        found = describe_difference(trial.output_for(inputs), usual)
    if found:
        raise CheckFailed(f"in channels_last memory format the output differs {found}")
    trial.network.train()
    with prefix_errors("training in channels_last memory format"):
        run_backward(trial.loss(batch, trial.network(*inputs)))


@check(
    "Look at the error, and at https://pytorch.org/docs/stable/torch.compiler_troubleshooting.html; what the compiler "
    "cannot do may stand in a function of its own, marked @torch.compiler.disable.",
    slow=True,
    required=False,
)
def compiled_network_gives_the_same(offer: Offer) -> None:
    """torch.compile takes the network, and its output in evaluation stays the same."""
    trial = build_trial(offer)
    trial.network.eval()
    batch = trial.batch()
    usual = trial.output(batch)
    torch.compiler.reset()
    compiled = torch.compile(trial.network)
    with prefix_errors("torch.compile"), torch.no_grad():
        found = describe_difference(compiled(*trial.inputs(batch)), usual)
    if found:
        raise CheckFailed(f"compiled, the output differs {found}")


@check(
    "Never say .cuda(), .cpu() or device='...' in the network: make tensors on the input's device, as in "
    "`torch.zeros(n, device=x.device)`, keep constants in buffers, and compute with tensors, not with numpy."
)
def network_stays_on_its_device(offer: Offer) -> None:
    """A network is built on the CPU, and once it is moved it computes where its input is."""
    trial = build_trial(offer)
    elsewhere = {str(one.device) for one in trial.network.state_dict().values() if one.device != CPU}
    if elsewhere:
        raise CheckFailed(f"`build` puts weights on {', '.join(elsewhere)}; the engine moves the network")
    inputs = [one.to(META) for one in trial.inputs(trial.batch())]
    trial.network.to(META)
    for mode in (True, False):
        trial.network.train(mode)
        what = f"moved to the device 'meta', which has shapes and no values, in {'training' if mode else 'evaluation'}"
        with prefix_errors(what), torch.no_grad():
            output = first_output(trial.network(*inputs))
        if output.device != META:
            raise CheckFailed(f"{what}: the output is on {output.device}")


def _channels_last(field: Tensor) -> Tensor:
    """Return a field in channels_last; noise (N, Z) knows no such format."""
    return field.to(memory_format=torch.channels_last) if field.ndim == 4 else field


# The state of the process comes first: what a module changes when it is imported shows only once.
CHECKS: tuple[Check, ...] = (
    *generator_state.CHECKS,
    output_fits_images_of_odd_sizes,
    any_number_of_channels_will_do,
    any_number_of_classes_will_do,
    one_image_is_a_batch,
    images_of_a_batch_do_not_meet_in_evaluation,
    inputs_are_left_unchanged,
    colours_lie_between_minus_one_and_one,
    training_reaches_every_parameter,
    auxiliary_loss_bears_ignored_pixels,
    colours_can_be_learned,
    bfloat16_will_do,
    channels_last_will_do,
    network_stays_on_its_device,
    compiled_network_gives_the_same,
)
