"""Pictures that explain a prediction: the Grad-CAM evidence for each class, and the discriminator's scores.

Grad-CAM shows where in an image a network finds the evidence for a class, as seen at one of its layers: R. R. Selvaraju
et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017; for segmentation,
where a class's score is the sum of its logits over the pixels that are taken for it, K. Vinogradova et al., "Towards
Interpretable Semantic Segmentation via Gradient-weighted Class Activation Mapping", AAAI 2020. With the feature maps
A_k of the layer, M_c the pixels of class c and y_c its logits:

    alpha_k = mean over positions of d(sum over M_c of y_c) / dA_k
    evidence = ReLU(sum over k of alpha_k A_k), divided by its maximum
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from segbench.engine.model.network import padded_length
from segbench.errors import OptionError

from .colour_maps import DIVERGING, SEQUENTIAL, diverging, sequential, span
from .drawing import add_title, arrange_tiles, as_rgb, colour_bar, outline, overlay, resample, stack, tile_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from segbench.engine.evaluation.inference import Prediction
    from segbench.engine.recorded import ScoreMap

    from .drawing import Labels, Palette, Picture

    Evidence = NDArray[np.float32]


_COLUMNS = 4
_OPACITY = 0.65  # of evidence over the image
_CONTRAST = 0.5  # of the image below: with more, its light and dark would be taken for evidence
_MID_GREY = 127.5
_MOST_NAMED = 5  # layers in the message about an unknown one


def evidence_picture(
    network: torch.nn.Module,
    prediction: Prediction,
    image: NDArray[Any],
    classes: Sequence[str],
    palette: Palette,
    layer: str | None = None,
) -> Picture | None:
    """Return the prediction over the image (C, H, W), and the evidence (Grad-CAM) for each class predicted there.

    Evidence is taken at `layer`, or at `default_layer`; without such a layer there is no picture. Raises OptionError
    for a layer that does not fit.
    """
    layer = layer or default_layer(network, prediction.images)
    if layer is None:
        return None
    evidence = class_evidence(network, prediction.images, prediction.seen_labels, layer)
    return draw_evidence(image, prediction.labels, evidence, classes, palette, layer)


def discriminator_picture(
    score_map: ScoreMap, boundary: float | None, prediction: Prediction, image: NDArray[Any], palette: Palette
) -> Picture:
    """Return the prediction over the image (C, H, W), and how real each of its pixels looks to the discriminator.

    `boundary` is the score between real and fake; None where the adversarial loss states none.
    """
    with torch.no_grad():
        scores = score_map(prediction.images, prediction.logits)
    return draw_scores(image, prediction.labels, scores[0, 0].float().cpu().numpy(), palette, boundary)


def draw_evidence(
    image: NDArray[Any],
    labels: Labels,
    evidence: Mapping[int, Evidence],
    classes: Sequence[str],
    palette: Palette,
    layer: str,
) -> Picture:
    """Return a tile a class: evidence (H, W) of 0 to 1 in colour over the grey image, the class's region outlined."""
    size = tile_size(*labels.shape)
    image, labels = resample(image, size), resample(labels, size)
    grey = _MID_GREY + _CONTRAST * (as_rgb(image).mean(axis=2, keepdims=True) - _MID_GREY)
    tiles = [add_title(overlay(image, labels, palette), "prediction")]
    for class_id, values in evidence.items():
        mixed = _OPACITY * sequential(resample(values, size)) + (1 - _OPACITY) * grey
        region = np.asarray(labels == class_id, dtype=np.uint8)
        tiles.append(add_title(outline(np.rint(mixed).astype(np.uint8), region), f"evidence for {classes[class_id]}"))
    picture = arrange_tiles(tiles, _COLUMNS)
    marks = ("0", f"Grad-CAM at {layer}", "1") if picture.shape[1] > 2 * tiles[0].shape[1] else ("0", "1")
    bar = colour_bar(_over_grey(SEQUENTIAL), marks, picture.shape[1])
    return stack([picture, bar])


def draw_scores(
    image: NDArray[Any], labels: Labels, scores: NDArray[np.floating[Any]], palette: Palette, boundary: float | None
) -> Picture:
    """Return the prediction, and the discriminator's scores (H, W) as colours with the predicted regions outlined.

    White stands for the boundary between real and fake, or for the median of the scores where there is none.
    """
    size = tile_size(*labels.shape)
    image, labels = resample(image, size), resample(labels, size)
    centre, name = (float(np.median(scores)), "median") if boundary is None else (boundary, "boundary")
    reach = span(scores, centre)
    coloured = outline(diverging(resample(scores, size), centre), labels)
    picture = arrange_tiles(
        [add_title(overlay(image, labels, palette), "prediction"), add_title(coloured, "critic's score")], _COLUMNS
    )
    low, high = ("less real", "more real") if boundary is None else ("fake", "real")
    marks = (f"{centre - reach:.3g} {low}", f"{centre:.3g} {name}", f"{high} {centre + reach:.3g}")
    return stack([picture, colour_bar(DIVERGING, marks, picture.shape[1])])


def _over_grey(table: Picture) -> Picture:
    """Return the colours of evidence as they look over mid grey."""
    mixed: Picture = np.rint(_OPACITY * table + (1 - _OPACITY) * _MID_GREY).astype(np.uint8)
    return mixed


def class_evidence(
    network: nn.Module, images: Tensor, labels: NDArray[np.integer[Any]], layer: str
) -> dict[int, Evidence]:
    """Return the evidence for each class that `labels` hold, (H, W) in [0, 1]; 0 where nothing speaks for it.

    The network is in evaluation mode and returns logits (1, K, H, W); its gradients and weights stay as they are.

    - images: (1, C, H, W), on the network's device
    - labels: (H, W), what was predicted; ids of K or more belong to no class
    - layer: a name of `network.named_modules()` whose output is (1, k, h, w)

    Raises OptionError for an unknown layer, one without such an output, and one that the logits do not depend on.
    """
    maps, logits = _feature_maps(network, images, layer)
    regions = torch.from_numpy(labels.astype(np.int64)).to(logits.device)
    size = padded_size(network, layer, images)
    evidence = {}
    for class_id in np.unique(labels[labels < logits.shape[1]]).tolist():
        score = logits[0, class_id][regions == class_id].sum()
        cam = grad_cam(maps.detach(), _gradient(score, maps, layer))
        whole = functional.interpolate(cam, size, mode="bilinear", align_corners=False)
        evidence[class_id] = _scale_to_1(whole[0, 0, : images.shape[2], : images.shape[3]])
    return evidence


def grad_cam(maps: Tensor, gradient: Tensor) -> Tensor:
    """Return ReLU(sum over k of alpha_k A_k), (N, 1, h, w), of maps A and the gradient at them, (N, k, h, w) both."""
    alpha = gradient.mean(dim=(2, 3), keepdim=True)
    return (alpha * maps).sum(dim=1, keepdim=True).relu()


def default_layer(network: nn.Module, images: Tensor) -> str | None:
    """Return the last convolution to run whose output has more channels than there are classes; None without one.

    The network is run once on images (N, C, H, W) to learn in which order its layers run.
    """
    ran: list[tuple[str, int]] = []

    def note(name: str) -> Any:
        return lambda module, inputs, output: ran.append((name, output.shape[1]))

    convolutions = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    handles = [module.register_forward_hook(note(name)) for name, module in convolutions]
    try:
        with torch.no_grad():
            classes = network(images).shape[1]
    finally:
        for handle in handles:
            handle.remove()
    return next((name for name, channels in reversed(ran) if channels > classes), None)


def padded_size(network: nn.Module, layer: str, images: Tensor) -> tuple[int, int]:
    """Return the height and width to which images are padded around a layer: modules that hold it may state sizes."""
    parts = layer.split(".")
    around = [network.get_submodule(".".join(parts[:depth])) for depth in range(len(parts))]
    multiple, minimum = (
        max(getattr(module, attribute, 1) for module in around) for attribute in ("size_multiple", "minimum_size")
    )
    height, width = (padded_length(length, minimum, multiple) for length in images.shape[-2:])
    return height, width


def _feature_maps(network: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Return a layer's output, (1, k, h, w), and the logits as a function of it."""
    module = _find_layer(network, layer)
    outputs: list[Tensor] = []

    def cut(module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, torch.Tensor) or output.ndim != 4:
            raise OptionError(f"layer {layer!r} gives no feature maps (N, channels, height, width); name a convolution")
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()  # later layers may work in place, which a leaf forbids

    handle = module.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            logits = network(images).float()
    finally:
        handle.remove()
    if not outputs:
        raise OptionError(f"layer {layer!r} is not run on these images; name another one")
    return outputs[-1], logits


def _gradient(score: Tensor, maps: Tensor, layer: str) -> Tensor:
    """Return d score / d maps, (1, k, h, w), and leave the graph for the next class."""
    gradient = None
    if score.requires_grad:
        [gradient] = torch.autograd.grad(score, maps, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise OptionError(
            f"the prediction does not depend on layer {layer!r}, or a later step has no gradient; name another layer"
        )
    return gradient


def _find_layer(network: nn.Module, layer: str) -> nn.Module:
    modules: dict[str, nn.Module] = {name: module for name, module in network.named_modules() if name}
    if layer not in modules:
        close = get_close_matches(layer, modules, n=_MOST_NAMED, cutoff=0.0)
        raise OptionError(f"the network has no layer {layer!r}; the nearest names are {', '.join(close)}")
    return modules[layer]


def _scale_to_1(evidence: Tensor) -> Evidence:
    top = evidence.max()
    array: Evidence = (evidence / top if top > 0 else torch.zeros_like(evidence)).cpu().numpy()
    return array
