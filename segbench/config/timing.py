"""The budget of an inference measurement, as a protocol writes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from segbench.errors import SpecError, alternatives
from segbench.shown import quote

from .frozen import Frozen

# What runs a network that is timed; all but torch read it from an ONNX file.
Runtime = Literal["torch", "onnxruntime", "openvino"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)


class Timing(Frozen):
    """The budget of an inference measurement: a mapping of these fields, or the name of one of `BUDGETS`.

    Measurements of several methods are interleaved, in blocks of `block_seconds`. A row ends when it has `iterations`
    and `seconds` and, where `precision` is given, as soon as its ratio to the other methods and its median latency are
    known within +- that share, in any case after `max_seconds`. `method_seconds` is for all rows of a method and its
    sweep together. `sweep` is the largest batch that is tried for the best one; 0 tries none.
    """

    iterations: PositiveInt = 200
    seconds: PositiveFloat = 30.0
    max_seconds: PositiveFloat = 120.0
    block_seconds: PositiveFloat = 1.0
    sweep: NonNegativeInt = 1024
    precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    method_seconds: PositiveFloat | None = None

    @property
    def budget(self) -> TimingBudget:
        """Whether this is at least the full budget, or measures until speeds are known as well as by default."""
        if self.precision is not None:
            return "adaptive" if self.precision <= ADAPTIVE_PRECISION else "reduced"
        full = Timing.model_construct()
        given = (self.iterations, self.seconds, self.max_seconds, self.block_seconds)
        least = (full.iterations, full.seconds, full.max_seconds, full.block_seconds)
        enough = all(one >= other for one, other in zip(given, least, strict=True))
        return "full" if enough and self.method_seconds is None else "reduced"

    @property
    def seconds_a_block(self) -> float:
        """How long a block lasts at least: where `seconds` are few, a fifth of them, so that there are several."""
        return min(self.block_seconds, self.seconds / 5)

    @property
    def beside_the_forward_pass(self) -> Timing:
        """The budget of each stage that measures more than the forward pass: a reduced budget is quartered for it."""
        if self.budget != "reduced":
            return self
        less = {"seconds": self.seconds / 4, "max_seconds": self.max_seconds / 4}
        return self.model_copy(update={"iterations": -(-self.iterations // 4), **less})


TimingBudget = Literal["full", "adaptive", "reduced"]
# How well ratios of speeds and median latencies are to be known, as a share; the report says where they are not.
ADAPTIVE_PRECISION = 0.02
# What `timing:` may name. Five blocks of 0.2 s are the least of which an interval can be taken at its word.
BUDGETS = {
    "adaptive": Timing(
        iterations=10,
        seconds=1.0,
        max_seconds=20.0,
        block_seconds=0.2,
        precision=ADAPTIVE_PRECISION,
        method_seconds=20.0,
    ),
    "full": Timing(),
    "none": None,
}
# Its name, as editors are told it.
BudgetName = Annotated[str, Field(json_schema_extra={"enum": [*BUDGETS]})]


def find_budget(value: Any) -> Any:
    """Return the timing budget of this name; anything but a string is returned as it is."""
    if not isinstance(value, str):
        return value
    if value not in BUDGETS:
        raise ValueError(f"there is no timing budget {quote(value)}.{alternatives(value, BUDGETS)} Or give its fields.")
    return BUDGETS[value]


def read_runtimes(text: str) -> tuple[Runtime, ...]:
    """Return the runtimes of `--runtime torch,onnxruntime`, each once; SpecError for one that there is not.

    >>> read_runtimes("torch, openvino")
    ('torch', 'openvino')
    """
    given = [part.strip() for part in text.split(",")]
    if unknown := [name for name in given if name not in RUNTIMES]:
        raise SpecError(f"--runtime: there is no {unknown[0]!r}; write one or more of {', '.join(RUNTIMES)}")
    return tuple(runtime for runtime in RUNTIMES if runtime in given)
