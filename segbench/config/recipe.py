"""Recipes of methods with full component names and all options, ready to be hashed, stored and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    model_validator,
)

from segbench.contract import SEGMENTING_MAPS

from .attribution import Attribution
from .folds import Folds
from .frozen import Frozen, Share, Shorthand, added, may_be_bare
from .optimizer import Optimizer
from .protocol import TrainingProtocol
from .yaml import LARGEST_INTEGER

if TYPE_CHECKING:
    from segbench.contract import Kind

    from .resize import Size


# Seeds enter records and random generators as 63-bit numbers.
LARGEST_SEED = LARGEST_INTEGER

# Keys of a method that had another name, which benchmark files and records may still use.
FORMER_KEYS = {"latent_channels": "noise_channels"}

# What a generator maps (`segbench.contract.MAPS`) decides what its method may have.
REFINING = "image, labels -> labels"
# What gives a probability to every class at every pixel of an image.
CLASSIFYING_MAPS = ("image -> labels", REFINING)
# What makes labels that reach a discriminator as an encoded field.
ENCODED_MAPS = (*CLASSIFYING_MAPS, "noise -> image, labels")
# What makes images whose labels are known, for others to train on.
SYNTHESIZING_MAPS = ("labels -> image", "noise -> image, labels")
# What takes noise.
NOISY_MAPS = ("labels -> image", "noise -> image", "noise -> image, labels")
# What takes nothing else, so that no output is the right one.
UNCONDITIONAL_MAPS = ("noise -> image", "noise -> image, labels")

# The fields of a method, beside its protocol, that a trial may have otherwise.
TUNED_PARTS = (
    *("generator", "maps", "losses", "discriminator", "adversarial", "latent_channels"),
    *("refines", "trains_on", "unlabelled"),
)

# Adversarial training with one link broken on purpose, at the same cost.
Placebo = Literal[
    "frozen",  # the discriminator is never trained
    "shuffled",  # the discriminator is trained with real and fake exchanged in a random half of the samples
    "noise",  # the generator gets noise of the same norm in place of the adversarial gradient
    "detached",  # the generator gets no adversarial gradient
]

# How class weights are made from the training labels (segbench/engine/data/class_weights.py).
ClassWeights = Literal["median_frequency", "inverse_square_root"]


class ComponentUse(Frozen):
    """A component by its full name, with every option filled in."""

    use: str
    options: dict[str, Any] = Field(default_factory=dict)


class WeightedLoss(ComponentUse):
    """A loss and its `weight` in the sum.

    `class_weights` is how the loss's option of that name is made from the labels that a cell is trained with.
    """

    weight: PositiveFloat = 1.0
    class_weights: ClassWeights | None = added(None)


class DatasetUse(ComponentUse):
    """A dataset; `root` is where its files lie on this machine.

    `redistributable` is whether its images may be passed on, None for what the dataset itself says. With `folds` it is
    cross-validated.
    """

    root: str | None = None
    redistributable: bool | None = None
    folds: Folds | None = added(None)

    def scored(self) -> dict[str, Any]:
        """Return what counts for scores, and so for keys, as JSON-able values."""
        return self.model_dump(mode="json", exclude={"root", "redistributable"})


class Encoding(Shorthand):
    """How label fields reach the discriminator (segbench/engine/adversarial/pairing.py).

    `use` is the encoding; `smoothing` and `tau` belong to one encoding each.
    """

    use: Literal["one_hot", "smoothed", "product", "scaled", "confidence_matched", "straight_through"] = (
        "straight_through"
    )
    smoothing: Annotated[float, Field(gt=0, lt=1)] = 0.1
    tau: Annotated[float, Field(gt=0, lt=1)] = 0.9

    @model_validator(mode="after")
    def check_settings_fit(self) -> Self:
        """Refuse a setting of another encoding."""
        self.refuse_settings_of_others(self.use, smoothing="smoothed", tau="scaled")
        return self


class Penalty(ComponentUse):
    """A penalty on the discriminator.

    It is computed in every `every`-th discriminator step, where its `weight` counts `every` times.
    """

    weight: PositiveFloat = 10.0
    every: PositiveInt = 1


class MovingWeight(Frozen):
    """A weight of the adversarial gradient that is another one at each step: exactly one of two ways to set it.

    `ratio` is the norm of the adversarial gradient at the generator's output over that of the supervised one, to which
    the weight brings it (segbench/engine/adversarial/balance.py). `like` is the method of the same dataset, subset and
    seed whose weights, which a ratio has set, are taken over step by step.
    """

    ratio: PositiveFloat | None = added(None)
    like: str | None = added(None)

    @model_validator(mode="after")
    def check_one_is_given(self) -> Self:
        """Refuse none and both."""
        if (self.ratio is None) == (self.like is None):
            raise ValueError("write a number, {ratio: NUMBER} or {like: METHOD}")
        return self


_NUMBER = TypeAdapter(NonNegativeFloat)


def _read_weight(value: Any) -> Any:
    """Return a number or what a mapping states, so that a mistake is told of the one that was written."""
    if isinstance(value, dict):
        return MovingWeight.model_validate(value, strict=True)
    return value if isinstance(value, MovingWeight) else _NUMBER.validate_python(value, strict=True)


class Adversarial(ComponentUse):
    """The adversarial loss and how the discriminator is trained.

    - `weight`: multiplies the generator's term; a number, or set anew at each step
    - `penalty`: a penalty on the discriminator
    - `clip`: bounds the discriminator's weights (WGAN)
    - `d_steps`: so many discriminator steps come before a generator step
    - `alternate`: so many discriminator steps come before as many generator steps (Luc 2016)
    - `optimizer`: that of the discriminator
    - `warmup_steps`: over so many steps the weight rises linearly
    - `encoding`: how label fields reach the discriminator
    - `conditional`: whether the discriminator also sees what the generator saw
    - `placebo`: breaks one link of adversarial training on purpose
    """

    weight: Annotated[
        float | MovingWeight, BeforeValidator(_read_weight, json_schema_input_type=NonNegativeFloat | MovingWeight)
    ] = 1.0
    penalty: Penalty | None = None
    clip: PositiveFloat | None = None
    d_steps: PositiveInt = 1
    alternate: PositiveInt | None = None
    optimizer: Optimizer = Optimizer(use="adam", lr=2e-4, betas=(0.5, 0.999))
    warmup_steps: NonNegativeInt = 0
    encoding: Encoding = Encoding()
    conditional: bool = True
    placebo: Placebo | None = None

    @property
    def ratio(self) -> float | None:
        """The ratio of gradients that sets its weight."""
        return self.weight.ratio if isinstance(self.weight, MovingWeight) else None

    @property
    def like(self) -> str | None:
        """The method whose weights it takes over."""
        return self.weight.like if isinstance(self.weight, MovingWeight) else None

    @model_validator(mode="after")
    def check_freezing(self) -> Self:
        """Refuse frozen weights that a bound on all weights would change."""
        if self.clip is not None and self.optimizer.freeze:
            raise ValueError("clip bounds every weight of the discriminator, so optimizer.freeze cannot keep any")
        return self

    @model_validator(mode="after")
    def check_alternation(self) -> Self:
        """Refuse two answers to how often the discriminator is trained."""
        if self.alternate is not None and self.d_steps != 1:
            raise ValueError(
                f"give d_steps or alternate, not both: with alternate: {self.alternate} the discriminator takes "
                f"{self.alternate} steps and then the generator as many"
            )
        return self


class Refines(Frozen):
    """What a refiner improves: the predictions of a `method`; it is trained on those of so many inner `folds`."""

    model_config = may_be_bare("method")

    method: str
    folds: Annotated[int, Field(ge=2, le=1000)] = 5


class TrainsOn(Frozen):
    """The method whose `synthetic` samples take a `share` of every batch."""

    synthetic: str
    share: Share = 0.5


class UnlabelledTerm(Frozen):
    """What is done with the images outside the labelled fraction: a loss, or the labels of another method.

    Exactly one of `loss` and `pseudo_labels_from` is there. Pixels where that method's top probability is below
    `threshold` are ignored. `weight` multiplies the term.
    """

    loss: ComponentUse | None = None
    pseudo_labels_from: str | None = None
    threshold: Share = 0.9
    weight: PositiveFloat = 1.0


class Tune(Frozen):
    """How every tuned method of a benchmark is tuned: by so many `trials`, trained with `seed` and scored on val."""

    trials: PositiveInt
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)]


class Tuning(Frozen):
    """The trials of a method, in their order: settings by dotted key for each, under the name of the trial's method.

    A placebo has the trials of the method whose placebo it is.
    """

    seed: int
    trials: dict[str, dict[str, Any]]


class Method(Frozen):
    """A named recipe: generator, losses and perhaps a discriminator under a protocol.

    - `generator`: the network that is trained and scored
    - `losses`: what it is trained by on labelled images
    - `discriminator`: the network that judges its outputs
    - `adversarial`: the adversarial loss, and how the discriminator is trained
    - `latent_channels`: the length of a noise vector, for generators that take noise
    - `protocol`: what holds instead of keys of the benchmark's protocol
    - `extends`: the method of the file whose recipe this one changes; it is its twin
    - `start_from`: the method of the same seed whose weights it starts from
    - `refines`: the method whose predictions it improves
    - `trains_on`: the method whose samples it is trained with
    - `labels`: the fractions of the training labels it is trained with
    - `unlabelled`: what is done with the images outside that fraction
    - `tune`: keys of the recipe, and the values that its trials choose from

    `maps` is what the generator maps; `twin` is the method it extends; `against` are the other methods that claims
    compare it with; `placebo_of` is the method of which this is the placebo, `dose_of` that which this is at another
    dose; `overrides` are the dotted protocol keys that differ from the benchmark's. A tuned method runs with the recipe
    of its best trial; `trial_of` is the method of which this is a trial, `attribution` says whose it is.
    """

    name: str
    generator: ComponentUse
    maps: str = "image -> labels"
    losses: tuple[WeightedLoss, ...] = ()
    discriminator: ComponentUse | None = None
    adversarial: Adversarial | None = None
    # Records of earlier versions hold it under its former name.
    latent_channels: PositiveInt = Field(
        default=100, validation_alias=AliasChoices("latent_channels", FORMER_KEYS["latent_channels"])
    )
    protocol: TrainingProtocol
    twin: str | None = None
    against: tuple[str, ...] = ()
    placebo_of: str | None = None
    dose_of: str | None = added(None)
    trial_of: str | None = None
    tuning: Tuning | None = None
    overrides: tuple[str, ...] = ()
    start_from: str | None = None
    refines: Refines | None = None
    trains_on: TrainsOn | None = None
    labels: tuple[Share, ...] = (1.0,)
    unlabelled: UnlabelledTerm | None = None
    attribution: Attribution | None = None

    @property
    def is_trained(self) -> bool:
        """Whether there is anything to train it by; a classical refiner has neither losses nor a discriminator."""
        return bool(self.losses) or self.adversarial is not None

    def input_size(self, size: Size) -> Size:
        """Return the (height, width) at which the network runs for images of a size: resized, unless it makes them."""
        return self.protocol.seen_size(size) if self.maps in SEGMENTING_MAPS else size

    @property
    def components(self) -> tuple[tuple[Kind, ComponentUse], ...]:
        """All the components that it uses, each with its kind."""
        adversarial, term = self.adversarial, self.unlabelled
        penalty = adversarial.penalty if adversarial else None
        losses = (*self.losses, adversarial, penalty, term.loss if term else None)
        uses: list[tuple[Kind, ComponentUse | None]] = [
            ("generator", self.generator),
            ("discriminator", self.discriminator),
        ]
        uses += [("loss", loss) for loss in losses]
        return tuple((kind, use) for kind, use in uses if use is not None)

    @property
    def upstream(self) -> dict[str, str]:
        """The methods of the same dataset, subset and seed that must have run before, by the reason."""
        needed = {
            "start_from": self.start_from,
            "refines": self.refines and self.refines.method,
            "trains_on": self.trains_on and self.trains_on.synthetic,
            "pseudo_labels_from": self.unlabelled and self.unlabelled.pseudo_labels_from,
            "budget": self.protocol.budget.like,
            "weight": self.adversarial and self.adversarial.like,
        }
        return {reason: method for reason, method in needed.items() if method}

    @property
    def trials(self) -> dict[str, str]:
        """The methods that are its trials, by the reason for which their cells must have run before: "trial 1/4"."""
        names = list(self.tuning.trials) if self.tuning else []
        return {f"trial {number}/{len(names)}": name for number, name in enumerate(names, 1)}

    def needed_for(self, reason: str) -> str:
        """Return the method whose cell is needed for a reason, such as "refines fold 1/5"."""
        return self.trials.get(reason) or self.upstream[reason.split()[0]]

    def with_protocol(self, **changes: Any) -> Method:
        """Return this method with other values of some keys of its protocol."""
        return self.model_copy(update={"protocol": self.protocol.model_copy(update=changes)})

    def with_recipe_of(self, trial: Method) -> Method:
        """Return this method with what its trial tried; budget, split, what is kept and placebo stay its own."""
        kept = {key: getattr(self.protocol, key) for key in ("budget", "evaluate", "keep")}
        recipe = {name: getattr(trial, name) for name in TUNED_PARTS}
        if trial.adversarial and self.adversarial:
            own: dict[str, Any] = {"placebo": self.adversarial.placebo}
            own |= {"weight": self.adversarial.weight} if self.adversarial.like else {}
            recipe["adversarial"] = trial.adversarial.model_copy(update=own)
        return self.model_copy(update={**recipe, "protocol": trial.protocol.model_copy(update=kept)})


class Claim(Frozen):
    """What a benchmark claims: that `claim` beats `against`, and not only as much as each `placebo` of it does.

    It is claimed of the method at each other `dose` too: with that adversarial weight, or with that ratio of gradients
    if a ratio sets its weight.
    """

    claim: str
    against: str
    placebo: tuple[Placebo, ...] = ()
    dose: tuple[PositiveFloat, ...] = added(())

    def name_of(self, placebo: Placebo) -> str:
        """Return the name of the method that is this placebo of the claimed one."""
        return f"{self.claim}~{placebo}"

    def at(self, dose: float) -> Claim:
        """Return the claim of the method at a dose, which is a method of its own: "critic@0.3"."""
        return Claim(claim=f"{self.claim}@{dose!r}", against=self.against, placebo=self.placebo)


class Origin(Frozen):
    """The name or path by which a benchmark was called, its settings of the command line, the comment on top of it."""

    given: str
    sets: tuple[str, ...] = ()
    comment: str = ""


class Benchmark(Frozen):
    """A resolved benchmark file: datasets x methods x seeds, what is claimed of the methods, and how they are tuned.

    - `name`: names the folder of its records
    - `datasets`, `methods`: what is trained on, and what is trained, under names of the author's
    - `protocol`: what is the same for all methods
    - `seeds`: with each of which every method is trained
    - `compare`: what is claimed of methods
    - `tune`: how methods are tuned that say what of them is

    The trials of tuned methods are methods too, though nobody asks for their cells but the tuned ones. `notices` tell
    which keys of the file have a new name.
    """

    name: str
    source: str
    datasets: dict[str, DatasetUse]
    seeds: tuple[int, ...]
    methods: dict[str, Method]
    compare: tuple[Claim, ...] = ()
    tune: Tune | None = None
    attribution: Attribution | None = None
    origin: Origin | None = None
    notices: tuple[str, ...] = ()


def quote_names(names: tuple[str, ...]) -> str:
    """Return names as messages list them.

    >>> quote_names(("image -> labels", "image -> image"))
    "'image -> labels', 'image -> image'"
    """
    return ", ".join(map(repr, names))
