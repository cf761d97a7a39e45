"""Features by which generated images are compared with real ones: pixel statistics, or a pretrained network of timm."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from segbench.checksum import sha256_of_file
from segbench.errors import SpecError, WeightsError
from segbench.weights import read_weights

from .metrics import PixelStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from segbench.config import protocol


PIXEL_STATISTICS = "pixel statistics"

# Images that a network takes at a time.
_BATCH = 32


class Features:
    """A function from images to vectors, and the name under which scores made with it are reported.

    - images: (N, C, H, W), float in [-1, 1]
    - returns: (N, D), float32, on the device of the images

        features = Features.of(setting, device)
        vectors = features(images)
    """

    def __init__(self, name: str, extract: Callable[[Tensor], Tensor]) -> None:
        self.name = name
        self._extract = extract

    @classmethod
    def of(cls, setting: protocol.Features, device: torch.device) -> Features:
        """Return the features that a protocol asks for.

        Raises SpecError for an unknown model, WeightsError for weights that are missing or do not fit.
        """
        if setting.use == PIXEL_STATISTICS.replace(" ", "_"):
            return cls.of_pixels()
        name, network = network_features(setting.use, setting.weights)
        return cls(name, network.to(device))

    @classmethod
    def of_pixels(cls) -> Features:
        """Return statistics of the pixels, which need no network and are no FID or KID."""
        return cls(PIXEL_STATISTICS, PixelStatistics())

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features of each image."""
        with torch.inference_mode():
            return torch.cat([self._extract(part.float()).float() for part in torch.split(images, _BATCH)])


class NetworkFeatures(nn.Module):
    """The pooled last features of a classification network, which sees images as it did when it was trained.

    One channel is repeated, of two the second, of more than three the first three are taken. Images are resized to the
    network's own size (bilinear, antialiased, the whole image) and brought to its own mean and standard deviation.

    - images: (N, C, H, W), float in [-1, 1]
    - returns: (N, D)
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.size = size
        means, deviations = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        self.register_buffer("scale", 0.5 / deviations)
        self.register_buffer("shift", (0.5 - means) / deviations)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of each image."""
        last = images.shape[1] - 1
        colours = images[:, [0, min(1, last), min(2, last)]]
        resized = functional.interpolate(colours, self.size, mode="bilinear", align_corners=False, antialias=True)
        features: Tensor = self.network(resized * self.scale + self.shift)
        return features


def network_features(model: str, weights: str | None) -> tuple[str, NetworkFeatures]:
    """Return a timm model as a function from images to features, and its name, which also tells its weights.

    `weights` is the path of a .safetensors file, or of one that torch.load takes with weights_only=True, with the
    weights of the whole classification network.

    Raises SpecError for an unknown model, WeightsError for weights that are missing or do not fit.
    """
    import timm  # takes seconds, and most cells generate nothing

    if not timm.is_model(model):
        near = get_close_matches(model, timm.list_models(), n=3)
        raise SpecError(
            f"features: there is no timm model {model!r}; give one with its weights, or pixel_statistics"
            + (f"; nearest: {', '.join(near)}" if near else "")
        )
    if weights is None:
        raise WeightsError(f"features: {model} needs `weights`, the path of a file; pixel_statistics needs none")
    path = Path(weights).expanduser()
    published = timm.get_pretrained_cfg(model)
    assert published is not None, "timm knows how each of its models is trained"
    network = timm.create_model(model, num_classes=0)
    _load(network, path, model, published.classifier)
    height, width = published.input_size[1:]
    name = f"{model} (weights {sha256_of_file(path)[:8]}) at {height}x{width}"
    return name, NetworkFeatures(network, (height, width), published.mean, published.std)


def _load(network: nn.Module, path: Path, model: str, classifier: str | Sequence[str] | None) -> None:
    if not path.is_file():
        raise WeightsError(f"features: there is no file {path.absolute()}; give the weights of {model}")
    names = (classifier,) if isinstance(classifier, str) else classifier or ()
    heads = tuple(f"{name}." for name in names)
    state = read_weights(path, "features")
    try:
        network.load_state_dict({name: value for name, value in state.items() if not name.startswith(heads)})
    except RuntimeError as error:
        complaint = " ".join(str(error).split())[:300]
        raise WeightsError(f"features: {path} does not hold the weights of {model}: {complaint}") from error
