"""Checks of number formats, memory formats, devices and the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.engine.precision import autocast

from .check import CheckFailed, check
from .example_inputs import given, require_finite
from .generator_trial import backward, build_trial, differ, first

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.registry import Offer

    from .check import Check

CPU = torch.device("cpu")
META = torch.device("meta")


@check(
    "Under autocast results of convolutions are bfloat16 while parameters and inputs stay float32: before you write "
    "one into the other, or call what bfloat16 cannot do, convert with `.to(other.dtype)` or `.float()`."
)
def bfloat16_will_do(offer: Offer) -> None:
    """Under bfloat16 autocast a generator is trained and evaluated, and output and gradients are finite."""
    trial = build_trial(offer)
    batch = trial.batch()
    with given("training under bfloat16 autocast"):
        with autocast(CPU, "bf16"):
            loss = trial.loss(batch, trial.network(*trial.inputs(batch)))
        backward(loss)
    gradients = {f"the gradient of {name}": one.grad for name, one in trial.parameters.items()}
    require_finite({"the loss under bfloat16 autocast": loss, **gradients})
    trial.network.eval()
    with given("evaluation under bfloat16 autocast"), autocast(CPU, "bf16"):
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
    with given("evaluation in channels_last memory format"):
        found = differ(trial.output_for(inputs), usual)
    if found:
        raise CheckFailed(f"in channels_last memory format the output differs {found}")
    trial.network.train()
    with given("training in channels_last memory format"):
        backward(trial.loss(batch, trial.network(*inputs)))


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
        with given(what), torch.no_grad():
            output = first(trial.network(*inputs))
        if output.device != META:
            raise CheckFailed(f"{what}: the output is on {output.device}")


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
    with given("torch.compile"), torch.no_grad():
        found = differ(compiled(*trial.inputs(batch)), usual)
    if found:
        raise CheckFailed(f"compiled, the output differs {found}")


CHECKS: tuple[Check, ...] = (
    bfloat16_will_do,
    channels_last_will_do,
    network_stays_on_its_device,
    compiled_network_gives_the_same,
)


def _channels_last(field: Tensor) -> Tensor:
    """Return a field in channels_last; noise (N, Z) knows no such format."""
    return field.to(memory_format=torch.channels_last) if field.ndim == 4 else field
