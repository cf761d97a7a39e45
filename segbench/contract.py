"""The contract with plugins: what a component is, what its `build` receives, and what it must return.

A plugin implements some of four hooks (at the end of this file), each of which yields components. A component's `build`
returns a Dataset, or an object as one of the protocols below describes. An attribute that has a default in a protocol
is optional: the engine takes the default where an object lacks it. No object need inherit from a protocol.

Shapes: N samples, C channels, K classes, H x W pixels; h x w may be smaller. Images and colours lie in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from segbench.images import Reading


Kind = Literal["generator", "discriminator", "loss", "dataset"]

KINDS: tuple[Kind, ...] = ("generator", "discriminator", "loss", "dataset")

# What `build` may ask for by name; `noise_channels` is the former name of `latent_channels`.
VOCABULARY: dict[Kind, tuple[str, ...]] = {
    "generator": ("in_channels", "num_classes", "image_channels", "latent_channels", "noise_channels", "size"),
    "discriminator": ("in_channels", "num_classes", "size"),
    "loss": ("num_classes", "ignore_index"),
    "dataset": ("root",),
}

# What a generator may map: what `forward` takes and returns.
MAPS: tuple[str, ...] = (
    "image -> labels",  # images (N, C, H, W) -> logits (N, K, h, w)
    "image, labels -> labels",  # images, class probabilities (N, K, H, W) of another method -> logits (N, K, h, w)
    "image -> image",  # images -> colours (N, 3, h, w), decoded to the class of the nearest palette colour
    "labels -> image",  # one-hot labels (N, K, H, W), noise (N, Z) -> images (N, C, H, W)
    "noise -> image",  # noise (N, Z) -> images (N, C, H, W)
    "noise -> image, labels",  # noise (N, Z) -> (images (N, C, H, W), logits (N, K, H, W))
)

# Those that make label maps of images, and so are scored by mIoU; the others make images.
SEGMENTING_MAPS: tuple[str, ...] = ("image -> labels", "image, labels -> labels", "image -> image")

# What a loss is for; each role has its protocol below.
ROLES: tuple[str, ...] = ("supervised", "adversarial", "penalty", "unlabelled")

# What the methods of an adversarial loss, and a term on unlabelled images, may ask for by parameter name.
ADVERSARIAL_ARGUMENTS: frozenset[str] = frozenset({"real", "fake", "real_features", "fake_features", "labels"})
UNLABELLED_ARGUMENTS: frozenset[str] = frozenset({"logits", "scores"})

# Keys beside a component's options in a benchmark file; no option may have such a name.
RESERVED_OPTIONS: frozenset[str] = frozenset(
    {
        *("use", "weight", "optimizer", "penalty", "every", "clip", "d_steps", "alternate", "warmup_steps", "encoding"),
        *("conditional", "placebo", "pseudo_labels_from"),
    }
)

SPLITS: tuple[str, ...] = ("train", "val", "test")


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


# Datasets.


class Sample(NamedTuple):
    """One image with its labels.

    `image` is (H, W) or (H, W, C), uint8 or uint16; `labels` is (H, W), uint8 or uint16, class ids or ignore_index.
    """

    image: NDArray[Any]
    labels: NDArray[Any]
    id: str


class Split(Protocol):
    """The samples of one split in a fixed order; a plain list of samples is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class FileSplit(Split, Protocol):
    """A split that names its files: the data can be identified unread, and several threads decode samples at once."""

    ids: Sequence[str]  # of every sample
    files: Sequence[tuple[Path, ...]]  # that each sample is read from


@dataclass(frozen=True)
class Dataset:
    """What a dataset component's `build` returns.

    `classes` are the names by id, `palette` one RGB colour a class (0 to 255), `splits` maps "train", "val" and
    "test" (any of them) to their samples, `channels` is the number of image channels. `cluster` returns, for the id of
    a sample, the group within which images are alike, such as its video sequence: intervals then draw whole groups.
    `reading` is how its image files are read; `segbench predict` reads others in the same way. `redistributable` is
    whether its images may be passed on: the pages of reports leave out those that may not.
    """

    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    splits: Mapping[str, Split]
    ignore_index: int = 255
    channels: int = 3
    licence: str = "not stated"
    citation: str = "not stated"
    cluster: Callable[[str], str] | None = None
    reading: Reading | None = None
    redistributable: bool = True


# Networks, which are torch.nn.Modules.


class Generator(Protocol):
    """A network that makes the output; called with what its `maps` names.

    Of images of any size it returns logits or colours as float, which the engine resizes to the image. In training it
    may return (output, *auxiliary); in evaluation it returns the output alone.
    """

    size_multiple: int = 1  # images are padded until H and W are multiples of so many pixels
    minimum_size: int = 1  # images are padded until H and W are at least so many pixels
    # Of its pretrained weights: texts by name, such as their tag or file and its SHA-256; the record keeps them.
    provenance: Mapping[str, str] = {}
    # (auxiliary outputs, target (N, H, W) int64 of the padded size, -100 where ignored) -> scalar loss.
    auxiliary_loss: Callable[[tuple[Tensor, ...], Tensor], Tensor] | None = None

    def forward(self, *inputs: Any) -> Any:
        """Return the output for a batch."""


class Discriminator(Protocol):
    """A network that scores fields (N, in_channels, H, W): condition and labels or images, side by side, of any size.

    The scores are raw, the greater the more real: (N, 1, h, w), or (N, K + 1, h, w) with the class "fake" last, or a
    list of such maps.
    """

    # (fields) -> tensors (N, ...) of hidden layers, with their gradients; losses that compare features need it.
    features: Callable[[Tensor], Sequence[Tensor]] | None = None

    def forward(self, fields: Tensor, /) -> Any:
        """Return the scores of a batch."""


# Losses, by role. Modules among them are moved to the device.


class SupervisedLoss(Protocol):
    """Compares an output with its target.

    Logits (N, K, H, W) with labels (N, H, W), int64; where `maps` makes images, images (N, C, H, W) with images that
    are NaN where the target is unknown.
    """

    def __call__(self, output: Tensor, target: Tensor, /) -> Tensor:
        """Return a scalar."""


class AdversarialLoss(Protocol):
    """The two losses of an adversarial game; each method asks by name for what it needs of ADVERSARIAL_ARGUMENTS.

    `real` and `fake` are one score map each, (N, 1, h, w) or (N, K + 1, h, w); `real_features` and `fake_features` are
    lists of tensors (N, ...); `labels` are (N, h, w), int64, at the size of the scores. Both methods return what is to
    be minimised: a value per score, (N, 1, h, w) or (N, h, w), or a scalar.
    """

    boundary: float | None = 0.0  # the score of an undecided discriminator; None: scores mean nothing
    default_penalty: tuple[str, float] | None = None  # name and weight, if the recipe names no penalty

    def discriminator(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the discriminator's loss."""

    def generator(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the generator's loss; `real` and `real_features` carry no gradient here."""


class Penalty(Protocol):
    """A penalty on a discriminator, such as that on its gradient; called in float32 without autocast."""

    def __call__(self, discriminator: Callable[[Tensor], Any], real: Tensor, fake: Tensor, /) -> Tensor:
        """Return a scalar; `discriminator` scores fields (N, F, H, W) like `real` and `fake`, its condition bound."""


class UnlabelledTerm(Protocol):
    """A loss on images without labels; it asks by name for what it needs of UNLABELLED_ARGUMENTS.

    `logits` are (N, K, H, W); `scores` (N, 1, H, W) are the discriminator's of the predictions, a function of them.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return a scalar."""


# The hooks. They are marked with pluggy, whose markers plugin authors know and which cost nothing, but loaded by
# segbench's own loader (registry/plugins.py): with pluggy's, one plugin that fails to import stops every command, the
# second of two plugins of one name is dropped without a word, and a misspelt hook is never called.

hookspec = pluggy.HookspecMarker("segbench")
hookimpl = pluggy.HookimplMarker("segbench")

HOOKS: dict[str, Kind] = {
    "segbench_generators": "generator",
    "segbench_discriminators": "discriminator",
    "segbench_losses": "loss",
    "segbench_datasets": "dataset",
}


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
    """Yield losses of any role; called once when plugins are loaded, so it must not import torch."""
    raise NotImplementedError


@hookspec
def segbench_datasets() -> Iterable[Component]:
    """Yield datasets; called once when plugins are loaded; datasets never import torch at all."""
    raise NotImplementedError
