"""The losses of gan/ with their options.

- adversarial: an object with `discriminator` and `generator`, each returning what that player minimises, as one value a
  score (N, 1, h, w) or as a scalar; their parameters are named real, fake (raw scores), real_features, fake_features,
  labels. `boundary` is the score at which the critic is undecided, None where scores mean nothing by themselves.
- penalty: `(critic, real, fake) -> scalar`
- unlabelled: called by name with logits and, where it asks for them, scores `-> scalar`
- supervised: `(output, target) -> scalar`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench import Component, SegbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("torch",)


def build_minimax() -> Any:
    """Build the minimax loss."""
    from .adversarial import Minimax

    return Minimax()


def build_non_saturating() -> Any:
    """Build the non-saturating loss."""
    from .adversarial import NonSaturating

    return NonSaturating()


def build_lsgan() -> Any:
    """Build the least squares loss."""
    from .adversarial import LeastSquares

    return LeastSquares()


def build_wgan() -> Any:
    """Build the Wasserstein loss; it needs a bounded critic: `clip` (0.01 in the paper) or a penalty."""
    from .adversarial import Wasserstein

    return Wasserstein()


def build_wgan_gp() -> Any:
    """Build the Wasserstein loss of a critic under gan/gradient_penalty, of weight 10 unless the recipe has a penalty.

    The critic must be without batch norm, which makes the gradients of one sample depend on the others.
    """
    from .adversarial import Wasserstein

    return Wasserstein(default_penalty=("gan/gradient_penalty", 10.0))


def build_hinge() -> Any:
    """Build the hinge loss."""
    from .adversarial import Hinge

    return Hinge()


def build_linear() -> Any:
    """Build the linear loss; nothing bounds it, so that the critic's scores grow for as long as it is trained."""
    from .adversarial import Linear

    return Linear()


def build_relativistic() -> Any:
    """Build the relativistic average loss."""
    from .adversarial import RelativisticAverage

    return RelativisticAverage()


def build_feature_matching(*, kind: Literal["batch_mean", "paired"] = "batch_mean", adversarial: float = 0.0) -> Any:
    """Build feature matching of batch means (s4GAN), or of each fake with its own real (pix2pixHD), as `kind` says.

    `adversarial` is the weight of a non-saturating term beside it; the discriminator must offer `features`.
    """
    _check("feature_matching", "adversarial", adversarial, adversarial >= 0, "0 or more")
    from .features import FeatureMatching, distance_of_means, distance_of_pairs

    return FeatureMatching(distance_of_means if kind == "batch_mean" else distance_of_pairs, adversarial)


def build_segan_l1(*, weights: list[float] | None = None) -> Any:
    """Build SegAN's L1 between features; `weights` has one number for each of the discriminator's features."""
    if weights is not None and (not weights or min(weights) < 0 or not sum(weights) > 0):
        raise SegbenchError(
            f"gan/segan_l1: weights is {weights}; give a number >= 0 for each feature, not all 0, or leave it out"
        )
    from .features import FeatureL1

    return FeatureL1(weights)


def build_per_pixel_classes(num_classes: int, ignore_index: int, *, balanced: bool = True) -> Any:
    """Build the cross-entropy of a critic that tells the true class of each pixel or that it is fake.

    `balanced` weighs classes inversely to their frequency in the batch.
    """
    from .per_pixel import PerPixelClasses

    return PerPixelClasses(num_classes, ignore_index, balanced)


def build_gradient_penalty() -> Any:
    """Build the gradient penalty."""
    from .penalties import gradient_penalty

    return gradient_penalty


def build_r1() -> Any:
    """Build the R1 penalty; taken lazily by the recipe's `every`."""
    from .penalties import r1

    return r1


def build_semi_adversarial(*, adversarial: float = 0.001, self_training: float = 0.1, threshold: float = 0.2) -> Any:
    """Build AdvSemiSeg's term: `adversarial` and `self_training` weigh its two parts.

    Pixels that the critic believes real with more than `threshold` probability are trained on their own prediction.
    """
    _check("semi_adversarial", "adversarial", adversarial, adversarial >= 0, "0 or more")
    _check("semi_adversarial", "self_training", self_training, self_training >= 0, "0 or more")
    _check("semi_adversarial", "threshold", threshold, 0 <= threshold < 1, "from 0 to below 1")
    from .unlabelled import SemiAdversarial

    return SemiAdversarial(adversarial, self_training, threshold)


def build_self_training(*, threshold: float = 0.6) -> Any:
    """Build s4GAN's term: images that the critic believes real with more than `threshold` probability count."""
    _check("self_training", "threshold", threshold, 0 <= threshold < 1, "from 0 to below 1")
    from .unlabelled import SelfTraining

    return SelfTraining(threshold)


def build_entropy() -> Any:
    """Build the entropy of predictions on unlabelled images, which needs no critic."""
    from .entropy import mean_entropy

    return mean_entropy


def build_confidence(ignore_index: int) -> Any:
    """Build the entropy of predictions on labelled pixels: what a critic that only asks for confidence amounts to."""
    from .entropy import LabelledEntropy

    return LabelledEntropy(ignore_index)


def build_l1() -> Any:
    """Build L1 between images."""
    from .images import l1

    return l1


def components() -> Iterable[Component]:
    """Yield the losses."""
    yield from _adversarial()
    yield from _penalties()
    yield from _unlabelled()
    yield Component(
        "l1",
        build_l1,
        "Mean absolute difference of images; NaN in the target is ignored",
        maps="image -> image",
        requires=REQUIRES,
    )
    yield Component(
        "confidence",
        build_confidence,
        "Entropy of predictions: sharpening without a critic",
        requires=REQUIRES,
        known_failures={"truth_costs_least": "it rewards confidence, right or wrong, to be held beside a critic"},
    )


def _adversarial() -> Iterable[Component]:
    for name, build, summary in (
        ("minimax", build_minimax, "Minimax GAN (Goodfellow 2014): the generator's gradient saturates"),
        ("non_saturating", build_non_saturating, "Non-saturating GAN (Goodfellow 2014): binary cross-entropy"),
        ("lsgan", build_lsgan, "Least squares GAN (Mao 2017)"),
        ("wgan", build_wgan, "Wasserstein GAN (Arjovsky 2017): needs clip or a penalty"),
        ("wgan_gp", build_wgan_gp, "Wasserstein GAN with gan/gradient_penalty (Gulrajani 2017)"),
        ("hinge", build_hinge, "Hinge GAN (Lim and Ye 2017)"),
        ("linear", build_linear, "Linear scores, unbounded: 1 - real + fake"),
        ("relativistic", build_relativistic, "Relativistic average GAN (Jolicoeur-Martineau 2019)"),
        ("feature_matching", build_feature_matching, "Feature matching (Salimans 2016), of means or of pairs"),
        ("segan_l1", build_segan_l1, "SegAN (Xue 2018): L1 between the critic's features"),
        ("per_pixel_classes", build_per_pixel_classes, "OASIS (Schönfeld 2021): K + 1 classes per pixel"),
    ):
        yield _loss(name, build, summary, "adversarial")


def _penalties() -> Iterable[Component]:
    yield _loss("gradient_penalty", build_gradient_penalty, "Gradient norm 1 (Gulrajani 2017)", "penalty")
    yield _loss("r1", build_r1, "Gradient norm 0 at reals (Mescheder 2018)", "penalty")


def _unlabelled() -> Iterable[Component]:
    yield _loss("semi_adversarial", build_semi_adversarial, "AdvSemiSeg's term (Hung 2018)", "unlabelled")
    yield _loss("self_training", build_self_training, "s4GAN's self-training (Mittal 2021)", "unlabelled")
    yield _loss("entropy", build_entropy, "Entropy minimisation (Grandvalet and Bengio 2005)", "unlabelled")


def _loss(name: str, build: Any, summary: str, role: str) -> Component:
    return Component(name, build, summary, role=role, requires=REQUIRES)


def _check(loss: str, option: str, value: float, fits: bool, allowed: str) -> None:
    if not fits:
        raise SegbenchError(f"gan/{loss}: {option} is {value}; give a number {allowed}")
