"""What segbench and its plugins agree on, beyond the four hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

Kind = Literal["generator", "discriminator", "loss", "dataset"]

KINDS: tuple[Kind, ...] = ("generator", "discriminator", "loss", "dataset")

# What `build` may ask for by name.
VOCABULARY: dict[Kind, tuple[str, ...]] = {
    "generator": ("in_channels", "num_classes", "image_channels", "noise_channels", "size"),
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
