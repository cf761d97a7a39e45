"""The adversarial weight that keeps the generator's two gradients in a ratio, and its course over training.

At each step the weight is

    w = ratio * S / A

with S and A running means of the norms of the supervised and of the adversarial gradient at the generator's output z,
this step's among them; each step DECAY of a mean is kept, so that it is over about the last 20 steps. Both begin at 0,
which cancels in their ratio. As A holds 1 - DECAY of this step's norm, one step's weighted gradient is at most
1 / (1 - DECAY) times what the ratio asks for, so no bound on the weight is needed.

The idea is the adaptive weight of VQGAN (P. Esser, R. Rombach and B. Ommer, "Taming transformers for high-resolution
image synthesis", CVPR 2021, eq. 7), the ratio of the gradients of the reconstruction and of the adversarial loss at the
last layer of the decoder. Here the ratio is taken at z, where the step is cut, so that it costs no further backward
pass and does not depend on what the last layer of a network is; norms are running means, since those of single batches
make the weight follow the batch that it weighs; and the share that is asked for is stated, where VQGAN has 1 or 0.8.
Supervised are the losses of labelled images: neither the term on unlabelled ones nor that of auxiliary outputs counts,
which meet the network at other outputs.

Nothing here waits for the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


DECAY = 0.95

# Norms below this count as this, which keeps ratios finite where a gradient vanishes.
SMALLEST_NORM = 1e-12

_FIRST_LENGTH = 1024  # of the memory for a course, which doubles when it is full


class Balance:
    """The weight of the adversarial gradient, set at each step by a ratio, and the weights of all steps so far.

    balance = Balance(0.1, device)
    weight = balance.weigh(supervised, adversarial, scale)
    """

    def __init__(self, ratio: float, device: torch.device) -> None:
        self.ratio = ratio
        self._means = torch.zeros(2, device=device)  # of the supervised and of the adversarial norm
        self._memory = torch.zeros(_FIRST_LENGTH, device=device)
        self._steps = 0

    @property
    def course(self) -> Tensor:
        """The weights of all steps so far, (steps,), float32."""
        return self._memory[: self._steps]

    def weigh(self, supervised: Tensor, adversarial: Tensor, scale: Tensor, factor: float = 1.0) -> Tensor:
        """Return the weight of the next step, 0-dim.

        - supervised, adversarial: gradients at the generator's output, both multiplied by `scale`
        - factor: what the weight is multiplied by, as in a warm-up
        """
        self._follow(torch.stack([norm(supervised), norm(adversarial)]) / scale)
        weight = factor * self.ratio * self._means[0] / self._means[1].clamp_min(SMALLEST_NORM)
        self._keep(weight)
        return weight

    def _follow(self, norms: Tensor) -> None:
        """Take the norms of a step into the means, unless one overflowed, as in half precision now and then."""
        followed = DECAY * self._means + (1 - DECAY) * norms
        self._means = torch.where(norms.isfinite().all(), followed, self._means)

    def _keep(self, weight: Tensor) -> None:
        if self._steps == len(self._memory):
            self._memory = torch.cat([self._memory, torch.zeros_like(self._memory)])
        self._memory[self._steps] = weight
        self._steps += 1

    def tensors(self, steps: int | None = None) -> dict[str, Tensor]:
        """Return all tensors of the state; those after so many steps have the same names, types and shapes."""
        return {"means": self._means, "course": self.course if steps is None else self._memory[:1].expand(steps)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` returned."""
        self._means = tensors["means"].to(self._means.device)
        self._memory = torch.cat([tensors["course"].to(self._memory.device), torch.zeros_like(self._memory)])
        self._steps = len(tensors["course"])


def norm(gradient: Tensor) -> Tensor:
    """Return the norm in float32; on a CPU linalg.vector_norm sums one by one and loses digits on large tensors."""
    return gradient.detach().float().square().sum().sqrt()
