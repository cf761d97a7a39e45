"""Adversarial losses of a critic's raw scores, real = D(x) and fake = D(G(z)), one value a score.

Each of the two methods returns what its player minimises; `boundary` is the score at which the critic is undecided, or
None where a score means nothing by itself. Scores are maps of one shape, (N, 1, h, w).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import relu, softplus

if TYPE_CHECKING:
    from torch import Tensor


def binary_cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """Return -log sigmoid(real) - log(1 - sigmoid(fake)), summed and not halved: 2 log 2 = 1.386 at chance."""
    return softplus(-real) + softplus(fake)


class Minimax:
    """Minimax loss (Goodfellow 2014, equation 1): the generator minimises log(1 - sigmoid(fake)).

    The generator's gradient is -sigmoid(fake), which vanishes where the critic is sure that the fake is one.
    """

    boundary: float | None = 0.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the binary cross-entropy."""
        return binary_cross_entropy(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        """Return log(1 - sigmoid(fake))."""
        return -softplus(fake)


class NonSaturating:
    """Non-saturating loss (Goodfellow 2014, section 3): the generator minimises -log sigmoid(fake)."""

    boundary: float | None = 0.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the binary cross-entropy."""
        return binary_cross_entropy(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        """Return -log sigmoid(fake)."""
        return softplus(-fake)


class LeastSquares:
    """Least squares loss (Mao 2017, equation 9): reals shall score 1, fakes 0, and the generator's fakes 1.

    At chance, where all score 1/2, the discriminator's is 1/4.
    """

    boundary: float | None = 0.5

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return ((real - 1)^2 + fake^2) / 2."""
        return ((real - 1) ** 2 + fake**2) / 2

    def generator(self, fake: Tensor) -> Tensor:
        """Return (fake - 1)^2 / 2."""
        return (fake - 1) ** 2 / 2


class Wasserstein:
    """Wasserstein loss (Arjovsky 2017): the mean score of reals less that of fakes.

    It estimates a distance, up to a factor, only while something bounds the critic's slope: the recipe's `clip`, or a
    penalty. `default_penalty`, a penalty's full name and weight, is the one to take where the recipe names none.
    """

    boundary: float | None = None

    def __init__(self, default_penalty: tuple[str, float] | None = None) -> None:
        self.default_penalty = default_penalty

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return fake - real."""
        return fake - real

    def generator(self, fake: Tensor) -> Tensor:
        """Return -fake."""
        return -fake


class Hinge:
    """Hinge loss (Lim and Ye 2017): reals shall score at least 1 and fakes at most -1; 2 at chance."""

    boundary: float | None = 0.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return max(0, 1 - real) + max(0, 1 + fake)."""
        return relu(1 - real) + relu(1 + fake)

    def generator(self, fake: Tensor) -> Tensor:
        """Return -fake."""
        return -fake


class Linear:
    """Linear scores, as found in tutorials: 1 - real + fake, unbounded below.

    The 1 is inert, it changes no gradient; only inside a hinge would it mean a margin. These are the gradients of the
    Wasserstein loss, but unless the recipe adds a bound the critic lowers its loss by scaling its scores up, without
    end and without telling reals from fakes any better.
    """

    boundary: float | None = None

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return 1 - real + fake."""
        return 1 - real + fake

    def generator(self, fake: Tensor) -> Tensor:
        """Return -fake."""
        return -fake


class RelativisticAverage:
    """Relativistic average loss (Jolicoeur-Martineau 2019): reals shall outscore the average fake, and conversely.

    The averages are over all scores of the batch. The generator's is the same with the parts exchanged, and so depends
    on the reals. Only differences of scores count: 2 log 2 where all scores are equal.
    """

    boundary: float | None = None

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the binary cross-entropy of real - mean(fake) and fake - mean(real)."""
        return binary_cross_entropy(real - fake.mean(), fake - real.mean())

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the binary cross-entropy with real and fake exchanged."""
        return self.discriminator(real=fake, fake=real)
