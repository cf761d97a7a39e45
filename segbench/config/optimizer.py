"""The optimiser and the schedule of the learning rate, as a protocol writes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from .frozen import Shorthand

# How much a running average keeps of what it was: the range that torch's optimisers accept.
Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Shorthand):
    """The optimiser and its settings; those a given optimiser does not know are refused."""

    use: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat | None = None
    betas: tuple[Beta, Beta] | None = None
    momentum: NonNegativeFloat | None = None

    @model_validator(mode="after")
    def check_settings_fit(self) -> Self:
        """Refuse betas for SGD and RMSprop, momentum for Adam."""
        foreign = "momentum" if self.use in ("adamw", "adam") else "betas"
        if getattr(self, foreign) is not None:
            raise ValueError(f"{self.use} has no {foreign}")
        return self


class Schedule(Shorthand):
    """The learning rate over training: after `warmup_steps` of linear rise, poly or cosine decay or constant."""

    use: Literal["poly", "cosine", "constant"] = "poly"
    power: PositiveFloat = 0.9
    warmup_steps: NonNegativeInt = 0

    @model_validator(mode="after")
    def check_power_fits(self) -> Self:
        """Refuse a power for what is not polynomial."""
        if self.use != "poly" and self.power != type(self).model_fields["power"].default:
            raise ValueError(f"{self.use} has no power")
        return self
