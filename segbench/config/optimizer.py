"""The optimiser and the schedule of the learning rate, as a protocol writes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    field_validator,
    model_validator,
)

from segbench.errors import unknown_value

from .frozen import ONE_OR_SEVERAL, Shorthand, added

# How much a running average keeps of what it was: the range that torch's optimisers accept.
Beta = Annotated[float, Field(ge=0, lt=1)]

OWN_OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")
TIMM = "timm/"


def _sort(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the one form of patterns that keys hold: their order means nothing."""
    return tuple(sorted(set(patterns)))


def _none_if_empty(value: Any) -> Any:
    return None if value == {} else value


class Optimizer(Shorthand):
    """The optimiser and its settings; those a given optimiser does not know are refused.

    - `use`: the optimiser; `timm/NAME` is one of timm
    - `lr`: the learning rate
    - `weight_decay`: how strongly weights are drawn to 0
    - `betas`, `momentum`: how much running averages keep of what they were
    - `options`: further settings of an optimiser of timm
    - `multipliers`: factors on the learning rate by pattern; of several that match, the longest counts, as in mmseg's
      `paramwise_cfg`
    - `no_decay`: exempts biases and vectors, such as the weights of normalisation layers, from weight decay
    - `freeze`: patterns of what is not trained; running statistics that match stay as they are

    Patterns are globs over names of parameters (segbench/engine/model/parameters.py), in which * stands for dots too.
    """

    use: str = Field("adamw", json_schema_extra={"anyOf": [{"enum": [*OWN_OPTIMIZERS]}, {"pattern": f"^{TIMM}."}]})
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat | None = None
    betas: tuple[Beta, Beta] | None = None
    momentum: NonNegativeFloat | None = None
    options: Annotated[dict[str, Any] | None, BeforeValidator(_none_if_empty)] = added(None)
    multipliers: Annotated[dict[str, PositiveFloat] | None, BeforeValidator(_none_if_empty)] = added(None)
    no_decay: Literal["norms_and_biases"] | None = added(None)
    freeze: Annotated[tuple[str, ...], ONE_OR_SEVERAL, AfterValidator(_sort)] = added(())

    @field_validator("use")
    @classmethod
    def check_use(cls, value: str) -> str:
        """Refuse what is neither of the own ones nor of timm; which ones timm has is seen where it is imported."""
        if value in OWN_OPTIMIZERS or (value.startswith(TIMM) and value != TIMM):
            return value
        raise ValueError(unknown_value(value, "".join(f"'{one}'" for one in (*OWN_OPTIMIZERS, f"{TIMM}NAME"))))

    @model_validator(mode="after")
    def check_settings_fit(self) -> Self:
        """Refuse betas for SGD and RMSprop, momentum for Adam, and exemptions from a decay that there is not."""
        if self.no_decay and self.use != "adamw" and self.weight_decay is None:
            raise ValueError(f"{self.use} decays no weights unless it has a weight_decay, so no_decay means nothing")
        if self.use.startswith(TIMM):
            return self
        foreign = "momentum" if self.use in ("adamw", "adam") else "betas"
        for name in (foreign, "options"):
            if getattr(self, name) is not None:
                raise ValueError(f"{self.use} has no {name}")
        return self


class Schedule(Shorthand):
    """The learning rate over training: after `warmup_steps` of linear rise, poly or cosine decay, or constant.

    `use` is the curve, `power` that of poly. `cosine` may begin anew `restarts` times, each time at the full rate, in
    cycles of equal length (Loshchilov and Hutter 2017). `one_cycle` rises over the first 30 % from a 25th of the rate
    and falls to a 250 000th (Smith and Topin 2018). Warm-up multiplies each of them.
    """

    use: Literal["poly", "cosine", "constant", "one_cycle"] = "poly"
    power: PositiveFloat = 0.9
    warmup_steps: NonNegativeInt = 0
    restarts: NonNegativeInt = added(0)

    @model_validator(mode="after")
    def check_settings_fit(self) -> Self:
        """Refuse a power for what is not polynomial, and restarts of what does not fall as a cosine."""
        self.refuse_settings_of_others(self.use, power="poly", restarts="cosine")
        return self
