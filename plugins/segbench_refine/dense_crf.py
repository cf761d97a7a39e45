"""The fully connected conditional random field, by pydensecrf."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from pydensecrf import densecrf
from pydensecrf.utils import create_pairwise_bilateral, create_pairwise_gaussian
from torch import nn

from .probabilities import log_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

# Grey levels from black (-1) to white (1).
_LEVELS = 255.0


class DenseCRF(nn.Module):
    """Mean-field inference in the fully connected CRF of P. Krahenbuhl and V. Koltun, NIPS 2011; nothing is trained.

    The energy of labels l, with P the base's probabilities, p pixel positions and I colours in grey levels (0 to 255):

        E(l) = sum_i -log P(l_i) + sum_{i<j} [l_i != l_j] k(i, j)
        k(i, j) = w1 exp(-|p_i - p_j|^2 / 2 sa^2 - |I_i - I_j|^2 / 2 sb^2) + w2 exp(-|p_i - p_j|^2 / 2 sg^2)

    Each of the two kernels is divided by the square roots of its sums over i and over j, so that the weights do not
    depend on the size of the image. pydensecrf filters on a permutohedral lattice, which approximates the kernels; a
    pixel is its own neighbour there, as in the authors' code. Runs on the CPU, image by image, and has no gradient.

    - images: (N, C, H, W), float in [-1, 1], any number of channels, all of which count as colour
    - probabilities: (N, K, H, W), float in [0, 1]
    - returns: logits (N, K, H, W), float32: the logarithms of the marginals after `iterations` steps
    """

    def __init__(
        self,
        iterations: int,
        appearance_weight: float,
        appearance_pixels: float,
        appearance_levels: float,
        smoothness_weight: float,
        smoothness_pixels: float,
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.appearance_weight = appearance_weight
        self.appearance_pixels = appearance_pixels
        self.appearance_levels = appearance_levels
        self.smoothness_weight = smoothness_weight
        self.smoothness_pixels = smoothness_pixels

    @torch.compiler.disable  # pydensecrf and numpy are beyond the compiler
    def forward(self, images: Tensor, probabilities: Tensor) -> Tensor:
        """Return the logarithms of the marginals."""
        unary = -log_probabilities(probabilities.detach()).cpu().numpy()
        levels = ((images.detach().float() + 1) * (_LEVELS / 2)).cpu().numpy()
        marginals = [self._marginals(*pair) for pair in zip(levels, unary, strict=True)]
        return log_probabilities(torch.from_numpy(np.stack(marginals)).to(probabilities.device))

    def _marginals(self, image: NDArray[np.float32], unary: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the marginals (K, H, W) of one image (C, H, W) with the energies (K, H, W) of each pixel alone."""
        num_classes, height, width = unary.shape
        field = densecrf.DenseCRF(height * width, num_classes)
        field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(num_classes, -1)))
        appearance = create_pairwise_bilateral((self.appearance_pixels,) * 2, self.appearance_levels, image, chdim=0)
        smoothness = create_pairwise_gaussian((self.smoothness_pixels,) * 2, (height, width))
        field.addPairwiseEnergy(appearance, compat=self.appearance_weight)
        field.addPairwiseEnergy(smoothness, compat=self.smoothness_weight)
        return np.array(field.inference(self.iterations)).reshape(unary.shape)
