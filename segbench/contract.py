"""What segbench and its plugins agree on, beyond the four hooks.

The four hooks: a plugin implements those it needs, each yielding components.

What a plugin yields: one generator, discriminator, loss or dataset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


Kind = Literal["generator", "discriminator", "loss", "dataset"]


KINDS: tuple[Kind, ...] = ("generator", "discriminator", "loss", "dataset")


# What `build` may ask for by name; `noise_channels` is the former name of `latent_channels`.
VOCABULARY: dict[Kind, tuple[str, ...]] = {
    "generator": ("in_channels", "num_classes", "image_channels", "latent_channels", "noise_channels", "size"),
    "discriminator": ("in_channels", "num_classes", "size"),
    "loss": ("num_classes", "ignore_index"),
    "dataset": ("root",),
}


# What a generator may map.
MAPS: tuple[str, ...] = (
    "image -> labels",
    "image, labels -> labels",
    "image -> image",
    "labels -> image",
    "noise -> image",
    "noise -> image, labels",
)


# Of these, what makes label maps of images, and so is scored by mIoU; the others make images.
SEGMENTING_MAPS: tuple[str, ...] = ("image -> labels", "image, labels -> labels", "image -> image")


ROLES: tuple[str, ...] = ("supervised", "adversarial", "penalty", "unlabelled")


# Keys of a component's mapping in a benchmark file that are not options of the component.
RESERVED_OPTIONS: frozenset[str] = frozenset(
    {
        "use",
        "weight",
        "penalty",
        "every",
        "clip",
        "d_steps",
        "alternate",
        "optimizer",
        "warmup_steps",
        "encoding",
        "conditional",
        "placebo",
        "pseudo_labels_from",
    }
)


SPLITS: tuple[str, ...] = ("train", "val", "test")


class Sample(NamedTuple):
    """One image with its labels.

    `image` is (H, W) or (H, W, C), uint8 or uint16; `labels` is (H, W), uint8 or uint16, class ids or ignore_index.
    """

    image: NDArray[Any]
    labels: NDArray[Any]
    id: str


class Split(Protocol):
    """The samples of one split in a fixed order.

    A plain list of samples will do. A split read from files should also offer `ids`, the sample ids, and `files`, for
    each sample the files it is read from: then nothing need be decoded to know whether the data changed.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class FileSplit(Split, Protocol):
    """A split that names its files; its samples are decoded by several threads at once."""

    ids: Sequence[str]
    files: Sequence[tuple[Path, ...]]


@dataclass(frozen=True)
class Dataset:
    """What a dataset component's `build` returns.

    `classes` are the names by id, `palette` one RGB colour a class (0 to 255), `splits` maps "train", "val" and
    "test" (any of them) to their samples, `channels` is the number of image channels. `cluster` returns, for the id of
    a sample, the group within which images are alike, such as its video sequence: intervals then draw whole groups.
    """

    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    splits: Mapping[str, Split]
    ignore_index: int = 255
    channels: int = 3
    licence: str = "not stated"
    citation: str = "not stated"
    cluster: Callable[[str], str] | None = None


hookspec = pluggy.HookspecMarker("segbench")


hookimpl = pluggy.HookimplMarker("segbench")


@hookspec
def segbench_generators() -> Iterable[Component]:
    """Yield generators; called once when plugins are loaded, so it must not import torch."""
    raise NotImplementedError


@hookspec
def segbench_discriminators() -> Iterable[Component]:
    """Yield discriminators; called once when plugins are loaded, so it must not import torch."""
    raise NotImplementedError


@hookspec
def segbench_losses() -> Iterable[Component]:
    """Yield losses and penalties; called once when plugins are loaded, so it must not import torch."""
    raise NotImplementedError


@hookspec
def segbench_datasets() -> Iterable[Component]:
    """Yield datasets; called once when plugins are loaded; datasets never import torch at all."""
    raise NotImplementedError


@dataclass(frozen=True)
class Component:
    """One named thing that a benchmark file can use.

    `build` receives by name what its positional parameters ask for (`segbench.contract.VOCABULARY` lists what each
    kind may ask for); its keyword-only parameters are the component's options, so they need a type and a default.

    `maps` is one of `segbench.contract.MAPS`; a supervised loss states one that makes what it compares, by default
    labels. `role` is one of `segbench.contract.ROLES`. `requires` names the distributions whose versions belong
    to a result made with this component; `extra` names the extra that installs them, for the message when one is
    missing. `download` is for datasets: it puts the files into the empty folder it is given, so that `build` finds them
    there, or raises DataError saying where and how to get them by hand; what options it needs, it asks for as
    keyword-only parameters of their names.

    `example_options` are the options that `segbench check` builds it with: those without a default, and values that
    make a large network small. `known_failures` says by the name of a check why the component cannot pass it.

        def build(in_channels, num_classes, *, width: int = 32):
            from .network import Network
            return Network(in_channels, num_classes, width)

        Component("tiny", build, "Two convolutions, for tests")
    """

    name: str
    build: Callable[..., Any]
    summary: str
    maps: str = "image -> labels"
    role: str = "supervised"
    requires: tuple[str, ...] = ()
    extra: str | None = None
    download: Callable[..., None] | None = None
    example_options: Mapping[str, Any] = field(default_factory=dict)
    known_failures: Mapping[str, str] = field(default_factory=dict)
