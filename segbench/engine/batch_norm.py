"""Batch normalisation by the statistics of the images of several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.distributed as dist
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    BatchNorm = Callable[[int, "Arguments"], Tensor]


class Arguments(NamedTuple):
    """What torch's `batch_norm` is called with, by its names; the input is (N, C, ...)."""

    input: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


class NormaliseTogether(TorchFunctionMode):
    """While it is entered, batch norm in training normalises by the images of `count` processes, as many of each.

    It takes the function that every layer of that kind calls. To exchange layers, as torch's own conversion does, would
    drop what libraries have added to theirs, such as timm its activations.
    """

    def __init__(self, count: int, batch_norm: BatchNorm) -> None:
        super().__init__()
        self._count, self._batch_norm = count, batch_norm

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is functional.batch_norm:
            return self._batch_norm(self._count, Arguments(*args, **given))
        return func(*args, **given)


def batch_norm_together(count: int, given: Arguments) -> Tensor:
    """Return what torch's `batch_norm` makes of this process's images among those of `count` processes.

    On CUDA devices it is torch's function of SyncBatchNorm, which is fast and differentiable once.
    """
    if not (given.training and given.input.is_cuda):
        return batch_norm_by_formula(count, given)
    layer = given.input, given.weight, given.bias, given.running_mean, given.running_var, given.eps, given.momentum
    normal: Tensor = _normalise_on_cuda(*layer, dist.group.WORLD, count)
    return normal


def batch_norm_by_formula(count: int, given: Arguments) -> Tensor:
    """Return the same as `batch_norm_together` on any device, differentiable as often as one likes."""
    if not given.training:
        return functional.batch_norm(*given)
    images = given.input
    axes, shape = [0, *range(2, images.ndim)], [1, -1, *[1] * (images.ndim - 2)]
    values = images.to(torch.promote_types(images.dtype, torch.float32))
    mean = _sum_over_processes(values.mean(axes)) / count
    centred = values - mean.view(shape)
    variance = _sum_over_processes(centred.square().mean(axes)) / count
    if given.running_mean is not None and given.running_var is not None:
        number = count * images.numel() // images.shape[1]
        with torch.no_grad():
            given.running_mean.lerp_(mean.to(given.running_mean.dtype), given.momentum)
            unbiased = variance * number / (number - 1)
            given.running_var.lerp_(unbiased.to(given.running_var.dtype), given.momentum)
    normal: Tensor = centred * (variance + given.eps).rsqrt().view(shape)
    scaled = normal if given.weight is None else normal * given.weight.view(shape)
    return (scaled if given.bias is None else scaled + given.bias.view(shape)).to(images.dtype)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over processes; on the way back, that of its gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _sum_over_processes(*gradients)


# torch types neither.
_sum_over_processes: Any = _Sum.apply
_normalise_on_cuda: Any = SyncBatchNorm.apply
