"""All scores of generated images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from segbench.store.record import Generation

from .distances import diversity, nearest
from .features import PIXEL_STATISTICS, Features
from .kernel_distance import kernel_distance
from .manifolds import precision_and_recall
from .pixel_statistics import pixel_statistics_distance

if TYPE_CHECKING:
    from torch import Tensor


def generation_scores(real: Tensor, fake: Tensor, features: Features, training: Tensor | None = None) -> Generation:
    """Return how well generated images match real ones.

    KID, precision and recall are those of `features`, except that pixel statistics have no KID. A score that is
    undefined, for want of images or because images are not finite, is None; so is `nearest` without training images.
    Compare only scores of the same features and about the same numbers of images.

    - real, fake, training: (N, C, H, W), float in [-1, 1], each with N of its own
    """
    pixels = Features.of_pixels()
    real_statistics, fake_statistics = pixels(real), pixels(fake)
    real_features, fake_features = real_statistics, fake_statistics
    kid = None
    if features.name != PIXEL_STATISTICS:
        real_features, fake_features = features(real), features(fake)
        kid = kernel_distance(real_features, fake_features)
    manifolds = precision_and_recall(real_features, fake_features)
    return Generation(
        features=features.name,
        images=len(fake),
        kid=_finite(kid and kid[0]),
        kid_sd=_finite(kid and kid[1]),
        pixel_statistics=_finite(pixel_statistics_distance(real_statistics, fake_statistics)),
        precision=manifolds and manifolds[0],
        recall=manifolds and manifolds[1],
        diversity=_finite(float(diversity(fake))),
        nearest=None if training is None else _finite(float(nearest(fake, training))),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
