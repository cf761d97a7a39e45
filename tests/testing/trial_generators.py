"""A right generator for tests to make wrong ones of, and the checks that find fault with them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from torch import nn

from segbench.testing.check import run_check
from segbench.testing.generators import CHECKS

from .conftest import make_offer

if TYPE_CHECKING:
    from torch import Tensor


WIDTH = 16


QUICK = tuple(check for check in CHECKS if not check.slow)


class Plain(nn.Module):
    """Convolution, batch normalisation, ReLU, dropout, and a convolution to logits."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(in_channels, WIDTH, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.dropout = nn.Dropout2d(0.1)
        self.head = nn.Conv2d(WIDTH, num_classes, 1)

    def hidden(self, images: Tensor) -> Tensor:
        return self.dropout(self.norm(self.features(images)).relu())

    def forward(self, images: Tensor) -> Any:
        return self.head(self.hidden(images))


def offer(build, maps: str = "image -> labels"):
    if isinstance(build, type):
        build = functools.partial(lambda network, in_channels, num_classes: network(in_channels, num_classes), build)
    return make_offer("generator", build, maps=maps)


def failed(build, maps: str = "image -> labels", checks=QUICK) -> dict[str, str]:
    results = [run_check(check, offer(build, maps)) for check in checks]
    return {result.check: result.message for result in results if result.outcome == "failed"}
