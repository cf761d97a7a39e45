"""What two or more of the networks are made of, beside torchvision's Conv2dNormActivation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of globally pooled maps, which trains at batch 1 too.

    A single value a channel has no variance, and torch refuses to normalise it in training; here it is normalised with
    the running statistics instead, as in evaluation, and leaves them as they are. Otherwise it is BatchNorm2d.

    - features: (N, C, H, W), usually (N, C, 1, 1)
    - returns: the same shape
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features."""
        count, _, height, width = features.shape
        if self.training and count * height * width == 1:
            return functional.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(features)


def initialise(network: nn.Module) -> None:
    """Draw the weights of convolutions as He 2015 (arXiv 1502.01852) does, so that gradients keep their variance.

    Those that return logits, which alone have a bias, stay as torch draws them: of few classes they would be large.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resized_to(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Return features (N, C, h, w) resized to `size` (height, width): bilinear, align_corners=False."""
    if tuple(features.shape[-2:]) == tuple(size):
        return features
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
