"""The protocol of a benchmark: what is the same for all its methods."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from segbench.registry.extras import install_command

from .augment import Augment
from .frozen import Frozen, Shorthand, added
from .optimizer import Optimizer, Schedule
from .resize import Resize, Resolution
from .timing import BUDGETS, BudgetName, Timing, find_budget
from .validation import validate
from .views import Views

if TYPE_CHECKING:
    from .resize import Size
    from .yaml import Node


# Far more than machines have, and few enough to be started.
MOST_THREADS = 4096
MOST_PROCESSES = 64


def _add_unit(schema: dict[str, Any]) -> None:
    schema["properties"]["in"] = {"const": "seconds", "description": "The unit of like."}


class Budget(Frozen):
    """How long to train: exactly one of `epochs`, optimiser `steps`, `seconds` of training, or `like` another method.

    `{like: METHOD, in: seconds}` trains for as many seconds as that method's cell of the same dataset, subset and seed
    was measured to train. There is no other unit, so `in` is not kept.
    """

    model_config = ConfigDict(json_schema_extra=_add_unit)

    epochs: PositiveFloat | None = None
    steps: PositiveInt | None = None
    seconds: PositiveFloat | None = None
    like: str | None = None

    @property
    def is_time(self) -> bool:
        """Whether it is one of seconds, stated or measured."""
        return self.seconds is not None or self.like is not None

    @model_validator(mode="before")
    @classmethod
    def check_unit(cls, value: Any) -> Any:
        """Refuse another unit than seconds, and one where there is nothing to measure."""
        if not isinstance(value, dict) or "in" not in value:
            return value
        if "like" not in value:
            raise ValueError("`in` is used only together with like: {like: METHOD, in: seconds}")
        if value["in"] in ("steps", "epochs"):
            raise ValueError(
                f"a method can train as long as another only in seconds; for as many {value['in']} give their number, "
                f"such as {{{value['in']}: 100}}, or leave the budget to the benchmark's protocol"
            )
        if value["in"] != "seconds":
            raise ValueError(f"write {{like: METHOD, in: seconds}}; {value['in']!r} is not a unit for it")
        return {key: entry for key, entry in value.items() if key != "in"}

    @model_validator(mode="after")
    def check_one_is_given(self) -> Self:
        """Refuse none and more than one."""
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            raise ValueError(f"give exactly one of epochs, steps, seconds, like; got {', '.join(given) or 'none'}")
        return self


class Window(Frozen):
    """Sliding-window evaluation, in pixels.

    - `size`: height and width of a window
    - `stride`: the step between windows, down and to the right
    """

    size: tuple[PositiveInt, PositiveInt]
    stride: tuple[PositiveInt, PositiveInt]

    @model_validator(mode="after")
    def check_no_gaps(self) -> Self:
        """Refuse a step that leaves pixels between two windows out."""
        if any(step > length for step, length in zip(self.stride, self.size, strict=True)):
            raise ValueError(
                f"stride {list(self.stride)} is larger than size {list(self.size)}: pixels would be left out"
            )
        return self


class Boundaries(Frozen):
    """How wide boundaries are, as shares of the image's diagonal; at least one pixel.

    `iou_width` is the depth of the bands that Boundary IoU compares (B. Cheng et al., CVPR 2021: 0.02 on COCO, 0.005 on
    Cityscapes), `f1_tolerance` the distance within which boundary F1 matches (G. Csurka et al., BMVC 2013: 0.0075).
    """

    iou_width: Annotated[float, Field(gt=0, le=0.5)] = 0.005
    f1_tolerance: Annotated[float, Field(gt=0, le=0.5)] = 0.0075


class SurfaceDistances(Frozen):
    """Per-image HD95 and normalised surface distance, the share of boundary pixels within `tolerance` pixels."""

    tolerance: PositiveFloat = 2.0


class Keep(Frozen):
    """What to keep beside a record: of the `model` its last weights, and pictures of so many images, `samples`."""

    model: Literal["none", "last"] = "last"
    samples: NonNegativeInt = 4


# Features of images that need no network.
PIXEL_STATISTICS = "pixel_statistics"


class Features(Shorthand):
    """By what generated images are compared with real ones.

    - `use`: pixel_statistics, or a model of timm
    - `weights`: the file of the model's weights
    """

    use: str = PIXEL_STATISTICS
    weights: str | None = None

    @model_validator(mode="after")
    def check_weights_fit(self) -> Self:
        """Refuse a model without weights, and weights without a model."""
        if self.use == PIXEL_STATISTICS and self.weights is not None:
            raise ValueError(f"{self.use} has no weights")
        if self.use != PIXEL_STATISTICS and self.weights is None:
            raise ValueError(f"{self.use} needs its weights file: {{use: {self.use}, weights: PATH}}")
        return self


class TrainingProtocol(Frozen):
    """What is the same for all methods; a method may override keys, and the report marks such rows.

    - `budget`: how long to train
    - `batch_size`: images of a step, or of a micro-batch
    - `accumulate`: micro-batches of a step
    - `processes`: processes that train together, each with a share of every batch and a GPU of its own
    - `resize`: the size of images and training labels, once and for all; as they are if not given
    - `score_at`: where predictions meet the truth, at its own resolution or at that of the resized images
    - `crop`: height and width of a training crop; whole images if not given
    - `augment`: random changes of training crops
    - `optimizer`: the optimiser and its settings
    - `schedule`: the learning rate over training
    - `auxiliary_weight`: trains every auxiliary output with the losses of the method, each at this weight
    - `clip_gradient`: the largest norm of a gradient
    - `ema`: the decay of averaged weights, which are scored in place of the last ones
    - `precision`: fp32, or autocast to bf16 or fp16
    - `channels_last`: the memory format of images and weights
    - `compile`: whether torch.compile takes the network
    - `capture`: whether a GPU replays the generator's passes as CUDA graphs, where that is possible
    - `tf32`: whether a GPU may multiply in TF32
    - `deterministic`: whether a GPU must give the same bits every time, which costs time
    - `threads`: CPU threads of a cell, all that there are if not given
    - `evaluate`: the split that is scored
    - `window`: evaluation by sliding windows
    - `tta`: test-time augmentation, the mean over views of each image
    - `boundaries`: how wide boundaries are for boundary scores
    - `surface_distances`: also computes HD95 and normalised surface distance
    - `validations`: how often val is scored during training
    - `select`: which weights are scored, the last ones or the best on val
    - `absent_classes`: what to do with classes that never occur in the training labels
    - `timing`: how long inference is measured
    - `keep`: what to keep beside a record
    - `features`: by what generated images are compared with real ones
    """

    budget: Budget
    batch_size: PositiveInt = 8
    accumulate: PositiveInt = added(1)
    processes: int = added(1, ge=1, le=MOST_PROCESSES)
    resize: Resize | None = added(None)
    score_at: Resolution = added("native")
    crop: tuple[PositiveInt, PositiveInt] | None = None
    augment: Augment = Augment()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    auxiliary_weight: Annotated[float, Field(ge=0)] | None = added(None)
    clip_gradient: PositiveFloat | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    capture: Literal["auto", "off"] = added("off")
    tf32: bool = False
    deterministic: bool = added(False)
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None
    evaluate: Literal["train", "val", "test"] = "test"
    window: Window | None = None
    tta: Views | None = added(None)
    boundaries: Boundaries = Boundaries()
    surface_distances: SurfaceDistances | None = None
    validations: NonNegativeInt = 0
    select: Literal["last", "best"] = "last"
    absent_classes: Literal["refuse", "allow"] = "refuse"
    timing: Annotated[
        Timing | None, BeforeValidator(find_budget, json_schema_input_type=BudgetName | Timing | None)
    ] = BUDGETS["adaptive"]
    keep: Keep = Keep()
    features: Features = Features()

    @property
    def images_per_step(self) -> int:
        """The images of an optimiser step: `accumulate` micro-batches of `batch_size`."""
        return self.batch_size * self.accumulate

    @model_validator(mode="after")
    def check_cutmix_has_pairs(self) -> Self:
        """Refuse cutmix where a batch has no other image to cut from."""
        if self.augment.cutmix and self.images_per_step == 1:
            raise ValueError("augment.cutmix takes patches of the other images of a batch; set batch_size to 2 or more")
        return self

    @model_validator(mode="after")
    def check_processes_share(self) -> Self:
        """Refuse a batch that processes cannot divide evenly, and compiling, which hides batch norm from them."""
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be divided into equal shares for processes: {self.processes}; "
                "set batch_size to a multiple of it"
            )
        if self.processes > 1 and self.compile:
            raise ValueError("compile: true works in one process only; remove it, or set processes to 1")
        return self

    @model_validator(mode="after")
    def check_crop_turns(self) -> Self:
        """Refuse quarter turns of a crop that is not square: they would reach beyond the images."""
        if self.crop and (refusal := self.augment.refuse_turns(self.crop)):
            raise ValueError(refusal)
        return self

    def seen_size(self, size: Size) -> Size:
        """Return the (height, width) at which a network is given images of a size."""
        return size if self.resize is None else self.resize.size_of(size)

    @property
    def averages(self) -> bool:
        """Whether scores come from averaged probabilities, of windows or views, instead of logits."""
        return self.window is not None or self.tta is not None

    def scored_size(self, size: Size) -> Size:
        """Return the (height, width) at which predictions for images of a size are compared with the truth."""
        return self.seen_size(size) if self.score_at == "resized" else size


def read_protocol(node: Node) -> TrainingProtocol:
    """Return the checked protocol; a relative path of weights is relative to the folder of the file it is written in.

    Raises SpecError, also if there is no such file, and if the best weights are selected on the split that is reported.
    """
    protocol = validate(TrainingProtocol, node)
    # Not a rule of the model: the trials of tuning select as their method does, and are scored on val.
    if protocol.select == "best" and (protocol.evaluate != "test" or protocol.validations == 0):
        raise node.error("select: best needs validations of at least 1 on val, and evaluate: test")
    if protocol.score_at == "resized" and protocol.resize is None:
        raise node.mapping()["score_at"].error("resized is the resolution of resized images; add resize:, or remove it")
    if protocol.surface_distances is not None and find_spec("monai") is None:
        written = node.mapping()["surface_distances"]
        raise written.error(f"needs the library monai, not installed here: {install_command('medical')}")
    return protocol if protocol.features.weights is None else _find_weights(protocol, node)


def _find_weights(protocol: TrainingProtocol, node: Node) -> TrainingProtocol:
    """Return the protocol with the absolute path of the weights of its features."""
    assert protocol.features.weights is not None
    written = node.mapping()["features"].mapping()["weights"]
    path = written.place.folder / Path(protocol.features.weights).expanduser()
    if not path.is_file():
        raise written.error(f"there is no file {path}")
    features = protocol.features.model_copy(update={"weights": str(path.resolve())})
    return protocol.model_copy(update={"features": features})
