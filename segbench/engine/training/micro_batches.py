"""The generator's passes over the micro-batches of a batch, so that memory holds the activations of only one of them.

A step is cut at the generator's output, so its losses need no more of the generator than outputs. Those of all
micro-batches are computed first, without what a backward pass needs. Once the gradient of the whole batch's losses at
the outputs is known, each micro-batch passes again and carries its part of that gradient back (GradCache, L. Gao et al.
2021, arXiv:2101.06983). So every loss, that of a discriminator too, is one of the whole batch. A batch of a single
micro-batch passes once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segbench.engine.adversarial.monitor import keep_buffers
from segbench.engine.model.network import Segmenter
from segbench.engine.numerics import autocast, derive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from segbench.engine.data.batches import Batch

    from .loop import Training

    Forward = Callable[..., Any]


class GeneratorPass:
    """The pass of a batch through the generator, and the gradient at its output (N, K, H, W) once that is known.

    Deep supervision gives its gradient at the auxiliary outputs, which it sees of the whole batch too.

    - forward: the generator's forward pass, perhaps compiled
    - purpose: names the seed of what the generator draws itself; each micro-batch has one of its own
    - learns_auxiliary: whether there is a loss of auxiliary outputs
    """

    def __init__(
        self, training: Training, forward: Forward, batch: Batch, step: int, purpose: str, *, learns_auxiliary: bool
    ) -> None:
        self._training, self._forward, self._learns_auxiliary = training, forward, learns_auxiliary
        number = training.protocol.accumulate
        self._inputs = split_inputs(training.mapping.inputs(batch, training.seed, step), number)
        self._batch, self._labels = batch, [batch.labels] if number == 1 else batch.labels.chunk(number)
        self._seeds = [derive(training.seed, purpose, step * number + place) for place in range(number)]
        self._kept: tuple[tuple[Tensor, ...], Tensor | None] | None = None
        self._auxiliary_gradients: tuple[Tensor, ...] = ()
        self.gradient: Tensor | None = None

    def run(self) -> Tensor:
        """Return the generator's output for the whole batch."""
        if len(self._inputs) == 1:
            self._kept = self._run_one(0)
            outputs = self._kept[0]
        else:
            # The second pass moves running statistics.
            with torch.no_grad(), keep_buffers(self._training.network):
                parts = [self._run_one(place)[0] for place in range(len(self._inputs))]
            outputs = tuple(torch.cat(same) for same in zip(*parts, strict=True))
        supervise = self._training.deep_supervision
        if supervise is not None and len(outputs) > 1 and self._learns_auxiliary:
            auxiliary = [output.detach().float().requires_grad_() for output in outputs[1:]]
            self._auxiliary_gradients = torch.autograd.grad(supervise(auxiliary, self._batch.labels), auxiliary)
        return outputs[0]

    def roots(self, place: int, scaler: torch.amp.GradScaler) -> list[tuple[Tensor, Tensor]]:
        """Return what the backward pass of a micro-batch begins at, each with its gradient."""
        assert self.gradient is not None, "the losses come before the backward pass"
        outputs, auxiliary_loss = self._kept or self._run_one(place)
        whole = self.gradient, *(scaler.scale(gradient) for gradient in self._auxiliary_gradients)
        parts = [gradient if self._kept else gradient.chunk(len(self._inputs))[place] for gradient in whole]
        roots = [(output, part.to(output.dtype)) for output, part in zip(outputs, parts, strict=False)]
        if auxiliary_loss is not None and self._learns_auxiliary:
            scaled = scaler.scale(auxiliary_loss if self._kept else self._share_of_labels(place) * auxiliary_loss)
            roots.append((scaled, torch.full_like(scaled, 1 / self._training.ranks.count)))
        return roots

    def _run_one(self, place: int) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Return the outputs of a micro-batch at which losses are taken, and its own auxiliary loss.

        They are the same for each call.
        """
        training, labels = self._training, self._labels[place]
        torch.manual_seed(self._seeds[place])
        with autocast(training.device, training.protocol.precision):
            returned = self._forward(*self._inputs[place])
            if training.deep_supervision is not None and isinstance(training.network, Segmenter):
                return training.network.outputs_of_one_size(returned, self._inputs[place][0]), None
            if isinstance(returned, tuple):
                returned = returned[0], *map(training.ranks.repeated, returned[1:])
            output, auxiliary_loss = training.network.split(returned, labels, training.mapping.form.ignore_index)
            return (output,), auxiliary_loss

    def _share_of_labels(self, place: int) -> Tensor:
        """Return the micro-batch's share of the batch's labelled pixels, by which its mean counts in that of all."""
        counts = torch.stack([(one != self._training.mapping.form.ignore_index).sum() for one in self._labels])
        return counts[place].double() / counts.sum().clamp_min(1)


def carry_back(passes: Sequence[GeneratorPass], scaler: torch.amp.GradScaler, micro_batches: int) -> None:
    """Add the gradients of all passes to those of the parameters, one micro-batch after the other."""
    for place in range(micro_batches):
        roots, gradients = zip(*(root for one in passes for root in one.roots(place, scaler)), strict=True)
        torch.autograd.backward(roots, gradients)


def split_inputs(inputs: tuple[Tensor, ...], number: int) -> list[tuple[Tensor, ...]]:
    """Return the inputs of each of so many micro-batches."""
    return [inputs] if number == 1 else list(zip(*(one.chunk(number) for one in inputs), strict=True))
