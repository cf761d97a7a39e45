"""The loss: write yours in place of this one."""

import math

from torch.nn.functional import softplus


class SmoothedGame:
    """The non-saturating loss (Goodfellow 2014) with one-sided label smoothing (Salimans 2016).

    Each player has its method, which asks by name for what it needs of `real` and `fake` (raw scores), `real_features`
    and `fake_features` (lists), and `labels`. Both return what is minimised: a value a score, or a scalar.

    - real, fake: scores of the discriminator (N, 1, h, w), higher for what it takes for real
    - smoothing: from 0 to below 1
    """

    def __init__(self, smoothing: float):
        self.smoothing = smoothing
        # The score of a discriminator that cannot tell the two apart; None where scores mean nothing by themselves.
        self.boundary = math.log((1 - smoothing) / (1 + smoothing))

    def discriminator(self, real, fake):
        """Return the discriminator's loss: cross-entropy with the targets 1 - smoothing and 0."""
        return softplus(-real) + self.smoothing * real + softplus(fake)

    def generator(self, fake):
        """Return the generator's loss."""
        return softplus(-fake)
