"""First-party components: realtime/, networks made for speed, each written from its paper, without pretrained weights.

Every component that has auxiliary heads in its paper takes this option beside its own:

- `auxiliary`: train them with the paper's weights; inference drops them in any case
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRES = ("torch", "torchvision")


def build_bisenetv2(
    in_channels: int,
    num_classes: int,
    *,
    head_channels: int = 1024,
    booster_channels: int = 128,
    auxiliary: bool = True,
) -> Any:
    """Build BiSeNetV2; its heads have `head_channels`, the auxiliary ones `booster_channels` in their first layer."""
    from .bisenetv2 import BiSeNetV2

    return BiSeNetV2(
        in_channels,
        num_classes,
        head_channels=head_channels,
        booster_channels=booster_channels,
        auxiliary=auxiliary,
    )


def build_dabnet(in_channels: int, num_classes: int) -> Any:
    """Build DABNet."""
    from .dabnet import DABNet

    return DABNet(in_channels, num_classes)


def build_ddrnet_23_slim(in_channels: int, num_classes: int, *, auxiliary: bool = True) -> Any:
    """Build DDRNet-23-slim."""
    from .ddrnet import DDRNet23Slim

    return DDRNet23Slim(in_channels, num_classes, auxiliary=auxiliary)


def build_enet(in_channels: int, num_classes: int) -> Any:
    """Build ENet."""
    from .enet import ENet

    return ENet(in_channels, num_classes)


def build_fast_scnn(in_channels: int, num_classes: int, *, dropout: float = 0.1, auxiliary: bool = True) -> Any:
    """Build Fast-SCNN; `dropout` is the rate before the logits, which the paper leaves open."""
    from .fast_scnn import FastSCNN

    return FastSCNN(in_channels, num_classes, dropout=dropout, auxiliary=auxiliary)


def build_pidnet_s(in_channels: int, num_classes: int, *, auxiliary: bool = True) -> Any:
    """Build PIDNet-S."""
    from .pidnet import PIDNetS

    return PIDNetS(in_channels, num_classes, auxiliary=auxiliary)


def build_stdc1(in_channels: int, num_classes: int, *, auxiliary: bool = True) -> Any:
    """Build STDC1-Seg."""
    from .stdc import STDC1

    return STDC1(in_channels, num_classes, auxiliary=auxiliary)


# Name, build function and summary; one line a network.
COMPONENTS = (
    ("bisenetv2", build_bisenetv2, "BiSeNetV2 (Yu 2020): a wide shallow and a narrow deep branch"),
    ("dabnet", build_dabnet, "DABNet (Li 2019): depthwise asymmetric bottlenecks at stride 8"),
    ("ddrnet23_slim", build_ddrnet_23_slim, "DDRNet-23-slim (Hong 2021): branches at strides 8 and 64, fused twice"),
    ("enet", build_enet, "ENet (Paszke 2016): early downsampling, 0.4 M parameters"),
    ("fast_scnn", build_fast_scnn, "Fast-SCNN (Poudel 2019): two branches share the first layers"),
    ("pidnet_s", build_pidnet_s, "PIDNet-S (Xu 2022): branches for detail, context and boundaries"),
    ("stdc1", build_stdc1, "STDC1-Seg (Fan 2021): one backbone that learns details under guidance"),
)


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield the networks."""
    for name, build, summary in COMPONENTS:
        yield Component(name, build, summary, requires=REQUIRES)
