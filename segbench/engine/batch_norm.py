"""Batch normalisation by the statistics of the images of several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class NormaliseTogether(TorchFunctionMode):
    """While it is entered, batch norm in training normalises by the images of `count` processes, as many of each.

    It takes the function that every layer of that kind calls. To exchange layers, as torch's own conversion does, would
    drop what libraries have added to theirs, such as timm its activations.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is functional.batch_norm:
            return batch_norm_together(self._count, *args, **given)
        return func(*args, **given)


def batch_norm_together(
    count: int,
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what torch's `batch_norm` makes of this process's images (N, C, ...) among those of `count` processes."""
    if not training:
        return functional.batch_norm(images, running_mean, running_var, weight, bias, eps=eps)
    if images.is_cuda:
        together = momentum, eps, dist.group.WORLD, count
        on_cuda: Tensor = _normalise_on_cuda(images, weight, bias, running_mean, running_var, *together)
        return on_cuda
    axes, shape = _layout(images)
    values = images.detach().to(torch.promote_types(images.dtype, torch.float32))
    mean = _sum_over_processes(values.mean(axes)) / count
    variance = _sum_over_processes((values - mean.view(shape)).square().mean(axes)) / count
    number = count * images.numel() // images.shape[1]
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((variance * number / (number - 1)).to(running_var.dtype), momentum)
    normalised: Tensor = _normalise(images, weight, bias, mean, variance, eps, number)
    return normalised


class _Normalised(torch.autograd.Function):
    """Images (N, C, ...) normalised by the mean and variance (C,) of the `number` values a channel of all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        number: int,
    ) -> Tensor:
        ctx.save_for_backward(images, weight, mean, (variance + eps).rsqrt())
        ctx.number = number
        return functional.batch_norm(images, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of this process's images by the outputs of all, of weight and bias by its own."""
        (gradient,), (images, weight, mean, scale) = gradients, ctx.saved_tensors
        axes, shape = _layout(images)
        normal = (images - mean.view(shape)) * scale.view(shape)
        gradient = gradient.to(normal.dtype)
        own = torch.stack([gradient.sum(axes), (gradient * normal).sum(axes)])
        along_mean, along_scale = _sum_over_processes(own) / ctx.number
        inner = gradient - along_mean.view(shape) - normal * along_scale.view(shape)
        factor = scale if weight is None else scale * weight
        of_weight = own[1] if ctx.needs_input_grad[1] else None
        of_bias = own[0] if ctx.needs_input_grad[2] else None
        return (inner * factor.view(shape)).to(images.dtype), of_weight, of_bias, None, None, None, None


# torch types neither. That of torch.nn.SyncBatchNorm is fast, and knows CUDA devices only.
_normalise: Any = _Normalised.apply
_normalise_on_cuda: Any = SyncBatchNorm.apply


def _layout(images: Tensor) -> tuple[list[int], list[int]]:
    """Return the axes of images (N, C, ...) beside the channels, and the shape in which (C,) meets them."""
    others = images.ndim - 2
    return [0, *range(2, images.ndim)], [1, -1, *[1] * others]


def _sum_over_processes(tensor: Tensor) -> Tensor:
    total = tensor.clone()
    dist.all_reduce(total)
    return total
