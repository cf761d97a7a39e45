"""Each check of generators catches a wrong generator that no other check catches, and a right one passes all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from segbench.contract import MAPS
from segbench.testing import generator_state
from segbench.testing.check import run_check
from segbench.testing.generators import CHECKS

from .trial_generators import QUICK, WIDTH, Plain, failed, offer

if TYPE_CHECKING:
    from torch import Tensor


class WithAuxiliary(Plain):
    """Also trains a head on its features at half the size, as networks with deep supervision do."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.auxiliary = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, images: Tensor) -> Any:
        hidden = self.hidden(images)
        logits = self.head(hidden)
        return (logits, self.auxiliary(functional.avg_pool2d(hidden, 2))) if self.training else logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        logits = functional.interpolate(auxiliary[0].float(), size=target.shape[-2:], mode="bilinear")
        total = functional.cross_entropy(logits, target, reduction="sum")
        return total / (target >= 0).sum().clamp_min(1)


class Strided(Plain):
    """Works at half the size and states that it needs even sizes."""

    size_multiple = 2

    def forward(self, images: Tensor) -> Any:
        return self.head(self.hidden(functional.avg_pool2d(images, 2)))


class Refiner(Plain):
    def forward(self, images: Tensor, probabilities: Tensor) -> Any:
        return self.head(self.hidden(images)) + probabilities.clamp_min(1e-4).log()


class Painter(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images).tanh()


class Synthesis(Painter):
    def forward(self, labels: Tensor, noise: Tensor) -> Any:
        return self.head(self.hidden(labels) + 0.01 * noise[:, :1, None, None]).tanh()


class FromNoise(nn.Module):
    def __init__(self, latent_channels: int, image_channels: int, size: tuple[int, int], num_classes: int = 0) -> None:
        super().__init__()
        self.image_channels, self.size = image_channels, size
        self.out = nn.Linear(latent_channels, (image_channels + num_classes) * 8 * 8)

    def forward(self, noise: Tensor) -> Any:
        made = functional.interpolate(self.out(noise).view(len(noise), -1, 8, 8), size=self.size)
        image, logits = made[:, : self.image_channels].tanh(), made[:, self.image_channels :]
        return (image, logits) if logits.shape[1] else image


def build_synthesis(in_channels, image_channels):
    return Synthesis(in_channels, image_channels)


def build_painter(in_channels, image_channels):
    return Painter(in_channels, image_channels)


def build_from_noise(latent_channels, image_channels, size):
    return FromNoise(latent_channels, image_channels, size)


def build_joint(latent_channels, image_channels, size, num_classes):
    return FromNoise(latent_channels, image_channels, size, num_classes)


RIGHT = {
    "image -> labels": Plain,
    "image, labels -> labels": Refiner,
    "image -> image": build_painter,
    "labels -> image": build_synthesis,
    "noise -> image": build_from_noise,
    "noise -> image, labels": build_joint,
}


# Wrong generators, each under the name of the one check that catches it.


class Even(Plain):
    """Joins features of half the size to those of full size, which fit for even sizes only."""

    def forward(self, images: Tensor) -> Any:
        hidden = self.hidden(images)
        return self.head(hidden + functional.interpolate(functional.avg_pool2d(hidden, 2), scale_factor=2))


class Double(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images).double()


def build_for_colour_images(num_classes):
    return Plain(3, num_classes)


def build_for_four_classes(in_channels):
    return Plain(in_channels, 4)


class Squeezing(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images).squeeze()


class Centred(Plain):
    """Takes the batch's mean off each image."""

    def forward(self, images: Tensor) -> Any:
        return super().forward(images - 0.2 * images.mean(dim=0, keepdim=True))


class InPlace(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images.mul_(0.5))


def build_unsquashed(in_channels, image_channels):
    network = Plain(in_channels, image_channels)
    nn.init.constant_(network.head.bias, 2.0)
    return network


class Unused(Plain):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.forgotten = nn.Linear(2, 2)


class Unheard(WithAuxiliary):
    """Returns an auxiliary output that no loss is taken of."""

    auxiliary_loss = None


class Undivided(WithAuxiliary):
    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        logits = functional.interpolate(auxiliary[0].float(), size=target.shape[-2:], mode="bilinear")
        return functional.cross_entropy(logits, target)


class Blind(Plain):
    """Sees the mean of an image and no pixel."""

    def forward(self, images: Tensor) -> Any:
        return self.head(self.hidden(images.mean(dim=(2, 3), keepdim=True).expand_as(images)))


class Scattering(Plain):
    """Writes features into a float32 tensor, whatever their type."""

    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        kept = torch.zeros(logits.shape, device=images.device)
        kept[:, torch.arange(logits.shape[1], device=images.device)] = logits
        return kept


class Viewing(Plain):
    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        return logits.view(len(logits), -1).view(logits.shape)


class Earthbound(Plain):
    """Makes a tensor on the CPU wherever it runs."""

    def forward(self, images: Tensor) -> Any:
        rows = torch.linspace(-0.1, 0.1, images.shape[-2])
        return super().forward(images + rows[:, None])


class OtherwiseWhenCompiled(Plain):
    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        return 2 * logits if torch.compiler.is_compiling() else logits


WRONG: list[tuple[str, Any]] = [
    ("output_fits_images_of_odd_sizes", Even),
    ("any_number_of_channels_will_do", build_for_colour_images),
    ("any_number_of_classes_will_do", build_for_four_classes),
    ("one_image_is_a_batch", Squeezing),
    ("images_of_a_batch_do_not_meet_in_evaluation", Centred),
    ("inputs_are_left_unchanged", InPlace),
    ("colours_lie_between_minus_one_and_one", build_unsquashed),
    ("training_reaches_every_parameter", Unused),
    ("training_reaches_every_parameter", Unheard),
    ("auxiliary_loss_bears_ignored_pixels", Undivided),
    ("colours_can_be_learned", Blind),
    ("bfloat16_will_do", Scattering),
    ("channels_last_will_do", Viewing),
    ("network_stays_on_its_device", Earthbound),
]


@pytest.mark.parametrize("maps", MAPS)
def test_a_right_generator_passes_all_checks_whatever_it_maps(maps):
    assert failed(RIGHT[maps], maps) == {}


@pytest.mark.parametrize("network", [WithAuxiliary, Strided])
def test_auxiliary_outputs_and_a_needed_multiple_are_right(network):
    assert failed(network) == {}


@pytest.mark.parametrize(("check", "build"), WRONG, ids=lambda value: getattr(value, "__name__", value))
def test_one_check_alone_catches_a_wrong_generator(check, build):
    maps = "image -> image" if check == "colours_lie_between_minus_one_and_one" else "image -> labels"
    assert list(failed(build, maps)) == [check]


def test_every_check_has_a_wrong_generator():
    assert {check.name for check in QUICK} - {check.name for check in generator_state.CHECKS} == {
        name for name, _ in WRONG
    }


def test_an_output_of_another_type_is_caught():
    assert "expected torch.float32" in failed(Double)["output_fits_images_of_odd_sizes"]


def test_nothing_need_be_learned_where_nothing_is_trained():
    def build(in_channels, num_classes):
        return Plain(in_channels, num_classes).requires_grad_(False)

    results = {check.name: run_check(check, offer(build)) for check in QUICK}
    assert [name for name, result in results.items() if result.outcome == "failed"] == []
    assert results["colours_can_be_learned"].outcome == "skipped"


@pytest.mark.slow
def test_a_network_that_differs_when_compiled_is_reported():
    [compiles] = [check for check in CHECKS if check.slow]
    assert run_check(compiles, offer(Plain)).outcome == "passed"
    result = run_check(compiles, offer(OtherwiseWhenCompiled))
    assert result.outcome == "reported"
    assert "compiled, the output differs by up to" in result.message
