"""Wrappers around a plugin's network: padding and resizing, checked outputs, auxiliary losses, decoding, refining.

The contract is `segbench.contract.Generator`; these wrappers check that a network keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import nn
from torch.nn import functional

from segbench.contract import Generator
from segbench.errors import PluginError, SpecError

if TYPE_CHECKING:
    from torch import Tensor


# The label that torch's losses ignore by default.
IGNORED_LABEL = -100


class PluginNetwork(nn.Module):
    """A plugin's `network` in a wrapper; its modules `frozen` stay in evaluation mode while the others train."""

    network: nn.Module
    frozen: tuple[nn.Module, ...] = ()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules but the frozen ones."""
        super().train(mode)
        for module in self.frozen:
            module.training = False
        return self


class Segmenter(PluginNetwork):
    """A generator that takes images of any size and returns logits of the same size.

    Images are padded with mid grey (0) at the bottom and on the right to a size that the network takes; other fields
    among its inputs are padded likewise. Logits of another size than the network's input are resized to it (bilinear,
    align_corners=False); then the padding is cut off. Instead of logits the output may be colours or images.

    - images: (N, C, H, W), float in [-1, 1]
    - others: fields (N, channels, H, W), padded with 0, or noise (N, Z), passed on
    - returns: logits (N, channels, H, W); in training `(logits, *auxiliary)` if the network returns a tuple

    `component` is the full name of the component that the network was built from, where it is known. Raises PluginError
    if the network's output breaks the contract.

        segmenter = Segmenter(network, 11).train()
        logits, auxiliary_loss = segmenter.split(segmenter(images), labels, ignore_index=255)
    """

    def __init__(self, network: nn.Module, channels: int, component: str | None = None) -> None:
        super().__init__()
        self.component = component
        self.network = network
        self.channels = channels
        self.size_multiple = _read_pixels(network, "size_multiple")
        self.minimum_size = _read_pixels(network, "minimum_size")
        self.provenance = _provenance(network)

    def forward(self, images: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the logits, and in training the network's auxiliary outputs behind them."""
        output = self._apply_to(self._pad(images, value=0.0), others)
        if self.training and isinstance(output, tuple) and output:
            self._check(output[0], images)
            return self._fit(output[0], images), *output[1:]
        self._check(output, images)
        return self._fit(output, images)

    def forward_unresized(self, images: Tensor, *others: Tensor) -> Tensor:
        """Return the network's output for the padded images, neither resized nor cut, to measure inference alone."""
        output: Tensor = self._apply_to(self._pad(images, value=0.0), others)
        return output

    def split(
        self, output: Tensor | tuple[Tensor, ...], labels: Tensor, ignore_index: int
    ) -> tuple[Tensor, Tensor | None]:
        """Split what `forward` returned into the logits and the auxiliary loss, which is None where there is none.

        - labels: (N, H, W), int64, of the size of the images
        """
        if not isinstance(output, tuple):
            return output, None
        logits, *auxiliary = output
        return logits, self.auxiliary_loss(tuple(auxiliary), auxiliary_target(labels, ignore_index))

    def outputs_of_one_size(self, output: Tensor | tuple[Tensor, ...], images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of what `forward` returned, and every auxiliary output at the size of the images.

        Raises SpecError for an auxiliary output that is no other form of the logits.
        """
        if not isinstance(output, tuple):
            return (output,)
        logits, *auxiliary = output
        return logits, *(self._fit_auxiliary(one, images) for one in auxiliary)

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor | None:
        """Return the network's own loss on its auxiliary outputs, or None if it offers none.

        - target: (N, H, W), int64, ignored pixels being -100 (`auxiliary_target`); it is padded as the images were
        """
        offered = getattr(self.network, "auxiliary_loss", Generator.auxiliary_loss)
        if offered is None:
            return None
        loss = offered(auxiliary, self._pad(target, value=IGNORED_LABEL))
        if not isinstance(loss, torch.Tensor) or loss.ndim != 0:
            raise PluginError(
                f"{_name(self.network, self.component)}.auxiliary_loss returned {describe(loss)}; expected a scalar "
                "tensor",
                plugin=plugin_of(self.component),
            )
        return loss

    def _apply_to(self, padded: Tensor, others: tuple[Tensor, ...]) -> Any:
        return self.network(padded, *(self._pad(other, value=0.0) if other.ndim == 4 else other for other in others))

    def _pad(self, tensor: Tensor, value: float) -> Tensor:
        (height, width), (padded_height, padded_width) = tensor.shape[-2:], self._padded_size(tensor)
        if (height, width) == (padded_height, padded_width):
            return tensor
        return functional.pad(tensor, (0, padded_width - width, 0, padded_height - height), value=value)

    def _padded_size(self, images: Tensor) -> tuple[int, int]:
        height, width = (padded_length(one, self.minimum_size, self.size_multiple) for one in images.shape[-2:])
        return height, width

    def _fit(self, output: Tensor, images: Tensor) -> Tensor:
        """Return an output for padded images, of any size, at the size of the images."""
        padded, size = self._padded_size(images), tuple(images.shape[-2:])
        if tuple(output.shape[-2:]) != padded:
            output = functional.interpolate(output, size=padded, mode="bilinear", align_corners=False)
        return output if padded == size else output[..., : size[0], : size[1]]

    def _fit_auxiliary(self, output: Any, images: Tensor) -> Tensor:
        count = len(images)
        if not isinstance(output, torch.Tensor) or output.ndim != 4 or output.shape[:2] != (count, self.channels):
            raise SpecError(
                f"protocol.auxiliary_weight: an auxiliary output of {_name(self.network, self.component)} is "
                f"{describe(output)}; the losses of the method take ({count}, {self.channels}, height, width). Set "
                "protocol: {auxiliary_weight: null} for it, so that the network's own loss trains what it returns"
            )
        return self._fit(output, images)

    def _check(self, logits: Any, images: Tensor) -> None:
        count = images.shape[0]
        if not isinstance(logits, torch.Tensor) or logits.ndim != 4 or logits.shape[:2] != (count, self.channels):
            mode = "training" if self.training else "evaluation"
            raise PluginError(
                f"{_name(self.network, self.component)} returned {describe(logits)} in {mode} for images "
                f"{tuple(images.shape)}; expected a tensor ({count}, {self.channels}, height, width): "
                f"{count} images, {self.channels} channels (logits: one a class)"
                + (", or in training a tuple that begins with it" if isinstance(logits, (tuple, list)) else ""),
                plugin=plugin_of(self.component),
            )


class Synthesizer(PluginNetwork):
    """A generator that makes images of one size from noise, and logits with them if it returns both.

    - noise: (N, Z), standard normal
    - returns: (N, channels, H, W); images and logits side by side if the network returns both

    `component` is the full name of the component that the network was built from, where it is known. Raises PluginError
    if the network's output breaks the contract.
    """

    def __init__(self, network: nn.Module, channels: int, size: tuple[int, int], component: str | None = None) -> None:
        super().__init__()
        self.component = component
        self.network = network
        self.channels = channels
        self.size = size
        self.provenance = _provenance(network)

    def forward(self, noise: Tensor) -> Tensor:
        """Return the images, with the logits as further channels."""
        output = self.network(noise)
        made = torch.cat(output, dim=1) if isinstance(output, tuple) else output
        expected = (len(noise), self.channels, *self.size)
        if not isinstance(made, torch.Tensor) or made.shape != expected:
            raise PluginError(
                f"{_name(self.network, self.component)} returned {describe(output)} for noise {tuple(noise.shape)}; "
                f"expected {expected}: images in [-1, 1], or a tuple of images and logits with so many channels in all",
                plugin=plugin_of(self.component),
            )
        return made

    def split(self, output: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, None]:
        """Return the output; a generator of images has no auxiliary loss."""
        return output, None


class Decoded(nn.Module):
    """A generator of palette colours as a segmenter: the nearer a class's colour, the larger its logit.

    The logit is minus the squared distance to the palette colour (K, 3), all in [-1, 1].
    """

    def __init__(self, generator: nn.Module, colours: Tensor) -> None:
        super().__init__()
        self.generator = generator
        self.component: str | None = getattr(generator, "component", None)
        self.colours: Tensor
        self.register_buffer("colours", colours, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W) for images."""
        made = self.generator(images)
        return torch.stack([-(made - colour.view(3, 1, 1)).square().sum(dim=1) for colour in self.colours], dim=1)


class Refined(nn.Module):
    """A refiner and its frozen base as one segmenter."""

    def __init__(self, base: nn.Module, refiner: nn.Module) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.refiner = refiner
        self.component: str | None = getattr(refiner, "component", None)

    def forward(self, images: Tensor) -> Tensor:
        """Return the refined logits (N, K, H, W) for images."""
        probabilities = self.base(images).float().softmax(dim=1)
        refined: Tensor = self.refiner(images, probabilities)
        return refined


def padded_length(length: int, minimum: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is at least `length` and `minimum`.

    >>> padded_length(30, 32, 16), padded_length(33, 32, 16)
    (32, 48)
    """
    longest = cast("int", torch.sym_max(length, minimum))  # `max` would ask for the length that a trace leaves open
    return (longest + multiple - 1) // multiple * multiple  # nothing below 0, which ONNX divides otherwise


def plugin_of(component: str | None) -> str | None:
    """Return the plugin of a component's full name.

    >>> plugin_of("smp/unet")
    'smp'
    """
    return None if component is None else component.partition("/")[0]


def _name(network: nn.Module, component: str | None = None) -> str:
    name = f"{type(network).__module__}.{type(network).__qualname__}"
    return name if component is None else f"generator {component} ({name})"


def auxiliary_target(labels: Tensor, ignore_index: int) -> Tensor:
    """Return labels whose ignored pixels are -100, torch's default, so that a network need not know the dataset's own.

    - labels: (N, H, W), int64
    """
    return labels.masked_fill(labels == ignore_index, IGNORED_LABEL)


def _provenance(network: nn.Module) -> dict[str, str]:
    """Return what a generator states about the pretrained weights it started from; empty if it states nothing.

    Raises PluginError for anything but texts by name.
    """
    stated = getattr(network, "provenance", Generator.provenance)
    if not isinstance(stated, dict) or not all(isinstance(text, str) for pair in stated.items() for text in pair):
        raise PluginError(f"{_name(network)}.provenance is {stated!r}; expected texts by name, such as weights, sha256")
    return dict(stated)


def _read_pixels(network: nn.Module, attribute: str) -> int:
    value = getattr(network, attribute, getattr(Generator, attribute))
    if not isinstance(value, int) or value < 1:
        raise PluginError(
            f"{type(network).__qualname__}.{attribute} is {value!r}; expected a whole number of pixels > 0"
        )
    return value


def describe(output: Any) -> str:
    """Return the type of an output, and its shape or length, as error messages name it."""
    if isinstance(output, torch.Tensor):
        return f"a tensor {tuple(output.shape)}"
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {len(output)}"
    return f"a {type(output).__name__}"
