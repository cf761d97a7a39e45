"""First-party components: refine/, generators that improve the predictions of another one.

Each maps an image and the class probabilities that a base predicts for it to logits. A base is named under `refines` of
the method; the refiner never changes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench import Component, SegbenchError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

MAPS = "image, labels -> labels"


def build_unet(
    in_channels: int,
    num_classes: int,
    *,
    width: int = 16,
    depth: int = 3,
    norm: Literal["batch", "instance", "none"] = "batch",
) -> Any:
    """Build the residual refiner.

    `width` is the number of channels at full resolution, doubled at each of the `depth` halvings of the resolution;
    `norm` normalises over the batch, over each instance, or not at all.
    """
    for option, value in (("width", width), ("depth", depth)):
        if value < 1:
            raise SegbenchError(f"refine/unet: {option} is {value}; give at least 1")
    from .unet import ResidualRefiner

    return ResidualRefiner(in_channels, num_classes, width, depth, norm)


def build_dense_crf(
    *,
    iterations: int = 10,
    appearance_weight: float = 4.0,
    appearance_pixels: float = 67.0,
    appearance_levels: float = 3.0,
    smoothness_weight: float = 3.0,
    smoothness_pixels: float = 1.0,
) -> Any:
    """Build the fully connected CRF, run for so many `iterations` of mean-field inference.

    The defaults are what DeepLab v2 (ResNet-101) is commonly run with on VOC 2012.

    In the energy that `dense_crf.DenseCRF` states, w1 is `appearance_weight`, sa `appearance_pixels`, sb
    `appearance_levels` (grey levels, of which white has 255), w2 `smoothness_weight` and sg `smoothness_pixels`.
    """
    weights = {"appearance_weight": appearance_weight, "smoothness_weight": smoothness_weight}
    for option, value in (("iterations", iterations), *weights.items()):
        if value < 0:
            raise SegbenchError(f"refine/dense_crf: {option} is {value}; give 0 or more")
    widths = {
        "appearance_pixels": appearance_pixels,
        "appearance_levels": appearance_levels,
        "smoothness_pixels": smoothness_pixels,
    }
    for option, value in widths.items():
        if value <= 0:
            raise SegbenchError(f"refine/dense_crf: {option} is {value}; give a width above 0")
    from .dense_crf import DenseCRF

    return DenseCRF(iterations, **weights, **widths)


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield refine/unet and refine/dense_crf."""
    yield Component(
        "unet",
        build_unet,
        "Residual on the base's logits by a small U-Net",
        MAPS,
        requires=("torch",),
        example_options={"width": 8, "depth": 2},
    )
    yield Component(
        "dense_crf",
        build_dense_crf,
        "Fully connected CRF (Krahenbuhl 2011): untrained mean-field inference",
        MAPS,
        requires=("torch", "pydensecrf2"),
        extra="crf",
        known_failures={
            "network_stays_on_its_device": "pydensecrf computes on the CPU, whatever device the images are on"
        },
    )
