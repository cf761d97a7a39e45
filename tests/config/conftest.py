"""A registry of toy components, and benchmark files made of text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal

import pytest

from segbench.config.benchmark import load_benchmark
from segbench.contract import Component
from segbench.errors import SpecError
from segbench.registry import Offer, PluginProblem, Registry

if TYPE_CHECKING:
    from pathlib import Path


def net(in_channels, num_classes, *, width: int = 16, encoder: Literal["none", "small", "large"] = "none"):
    """Only its signature counts here."""


def pretrained(in_channels, num_classes, *, weights: str = "none"):
    """A network with an option that may name a file."""


def pictures(root, *, size: tuple[int, int] = (8, 8)):
    """A dataset that lies in a folder."""


def shapes(*, images: int = 4):
    """A dataset that needs no folder."""


def loss(num_classes, ignore_index, *, smooth: float = 0.0):
    """A loss with an option."""


def weighed(*, class_weights: list[float] | None = None):
    """A loss with weights of classes."""


def balanced(*, class_weights: Literal["balanced", "none"] = "none"):
    """A loss that knows weights of classes by names of its own."""


def margin_loss(*, margin: float = 1.0, flip: bool = False):
    """An adversarial loss with options."""


def slope(*, target: float = 1.0):
    """A penalty with an option."""


def calm(num_classes, *, threshold: float = 0.5):
    """A loss of unlabelled images with an option that another key is named like."""


def critic(in_channels, *, width: int = 8):
    """A discriminator with an option."""


def tuned(*, rate: float):
    """A loss with an option that must be given."""


def offer(kind, component, plugin="toy"):
    return Offer(kind, plugin, f"{plugin}-plugin", "1.0", component)


@pytest.fixture
def registry():
    return Registry(
        (
            offer("generator", Component("net", net, "a network")),
            offer("generator", Component("other", net, "another network")),
            offer("generator", Component("pretrained", pretrained, "a network with weights")),
            offer("generator", Component("refiner", net, "a refiner", maps="image, labels -> labels")),
            offer("generator", Component("colours", net, "a painter of labels", maps="image -> image")),
            offer("generator", Component("synthesizer", net, "paints labels", maps="labels -> image")),
            offer("generator", Component("painter", net, "an image generator", maps="noise -> image")),
            offer("generator", Component("joint", net, "makes both", maps="noise -> image, labels")),
            offer("generator", Component("heavy", net, "needs much", requires=("no-such-library",), extra="heavy")),
            offer("loss", Component("entropy", loss, "a loss")),
            offer("loss", Component("dice", loss, "another loss")),
            offer("loss", Component("tuned", tuned, "a loss")),
            offer("loss", Component("weighed", weighed, "a loss with class weights")),
            offer("loss", Component("balanced", balanced, "a loss with class weights of its own")),
            offer("loss", Component("hinge", margin_loss, "an adversarial loss", role="adversarial")),
            offer("loss", Component("slope", slope, "a penalty", role="penalty")),
            offer("loss", Component("calm", calm, "for unlabelled images", role="unlabelled")),
            offer("discriminator", Component("critic", critic, "a critic")),
            offer("dataset", Component("pictures", pictures, "needs a root")),
            offer("dataset", Component("shapes", shapes, "needs no root")),
        ),
        (PluginProblem("ruined", "ruined-plugin 1.0", "boom"),),
    )


START = """\
name: test
datasets:
  shapes: toy/shapes
protocol:
  budget: {steps: 100}
  optimizer: {use: adamw, lr: 1e-3}
seeds: [0, 1]
"""

METHODS = """\
methods:
  net: {generator: toy/net, losses: [toy/entropy]}
"""


class Workshop:
    """Writes benchmark files and loads them."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.path = folder / "bench.yaml"
        self.registry = registry

    def load(self, text: str = START + METHODS, **choice):
        self.path.write_text(text)
        return load_benchmark(str(self.path), self.registry, **choice)

    def methods(self, text: str, start: str = START, **choice):
        """Load the usual start with these methods, whose first line is then line 9 of the file."""
        indented = textwrap.indent(textwrap.dedent(text).strip("\n"), "  ")
        return self.load(f"{start}methods:\n{indented}\n", **choice)

    def refusal(self, text: str = START + METHODS, **choice) -> str:
        with pytest.raises(SpecError) as caught:
            self.load(text, **choice)
        return self._without_folder(caught.value)

    def methods_refusal(self, text: str, **choice) -> str:
        with pytest.raises(SpecError) as caught:
            self.methods(text, **choice)
        return self._without_folder(caught.value)

    def _without_folder(self, error: SpecError) -> str:
        return str(error).replace(f"{self.path.parent}/", "")


@pytest.fixture
def workshop(tmp_path, registry):
    return Workshop(tmp_path, registry)
