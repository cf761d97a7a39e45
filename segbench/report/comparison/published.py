"""A file of published values: tables of papers and repositories, each with the conditions of its values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from segbench.config.frozen import Frozen
from segbench.config.validation import Reference, check_exists, validate
from segbench.config.yaml import Node, check_keys, read_file
from segbench.shown import quote

if TYPE_CHECKING:
    from collections.abc import Mapping


PUBLISHED = Path(__file__).with_name("published.yaml")
WHAT_A_FILE_IS = "a file of published values is a mapping from the name of each table to its source, conditions, values"
# A table's values and gains stand beside its conditions.
ENTRIES = ("values", "gains")


class Conditions(Frozen):
    """Where values were published, and under which conditions; what is left out was not stated there.

    `dataset` is a component of segbench, or a name. `size` is the [height, width] at which the network saw the scored
    images, `trained_on` the split, `pretrained` what on ("none", "ImageNet", ...). `band` is by how many points another
    training of the same network may differ.
    """

    source: str
    url: str
    dataset: str
    split: str
    classes: PositiveInt
    metric: str
    band: PositiveFloat
    size: tuple[PositiveInt, PositiveInt] | None = None
    trained_on: str | None = None
    pretrained: str | None = None
    note: str | None = None

    @field_validator("url")
    @classmethod
    def check_can_be_opened(cls, url: str) -> str:
        """Refuse what is no address of a page."""
        if not url.startswith("https://"):
            raise ValueError(f"{quote(url)} is not the address of a page; it must start with https://")
        return url


class Value(Frozen):
    """A published value in percent, and the methods that it is of.

    These have one of the components `generator` and all of `adversarial`; none of the latter means a supervised method.
    `labels` is the share of the training labels.
    """

    value: Annotated[float, Field(ge=0, le=100)]
    generator: tuple[str, ...] = ()
    adversarial: tuple[str, ...] = ()
    labels: Annotated[float, Field(gt=0, le=1)] = 1.0


class Gain(Frozen):
    """What one published value is above another one of its table; `band` in points is for another training of both."""

    of: str
    over: str
    band: PositiveFloat = 3.0


@dataclass(frozen=True)
class PublishedTable:
    """Values of one source under the same conditions, by the names of their methods, and gains between them."""

    name: str
    conditions: Conditions
    values: Mapping[str, Value]
    gains: tuple[Gain, ...]

    def size_of(self, gain: Gain) -> float:
        """Return a gain in points."""
        return self.values[gain.of].value - self.values[gain.over].value


def read_published(path: Path = PUBLISHED) -> tuple[PublishedTable, ...]:
    """Read the tables of a file of published values, by default that of segbench.

    Raises SpecError with file, line and dotted path for whatever is wrong with it.
    """
    root = read_file(path, WHAT_A_FILE_IS)
    return tuple(_read_table(name, node) for name, node in root.mapping().items())


def _read_table(name: str, node: Node) -> PublishedTable:
    entries = check_keys(node, WHAT_A_FILE_IS, (*Conditions.model_fields, *ENTRIES))
    own = {key: entry for key, entry in entries.items() if key not in ENTRIES}
    conditions = validate(Conditions, Node(own, node.place))
    listed = entries["values"].mapping("must be a mapping from methods to their values") if "values" in entries else {}
    if not listed:
        raise node.place.entry("values").error("there is no value; a table needs at least one")
    values = {method: validate(Value, entry) for method, entry in listed.items()}
    gains = entries["gains"].sequence("must be a list of {of: METHOD, over: METHOD}") if "gains" in entries else []
    return PublishedTable(name, conditions, values, tuple(_read_gain(gain, values) for gain in gains))


def _read_gain(node: Node, values: Mapping[str, Value]) -> Gain:
    gain = validate(Gain, node)
    for key in ("of", "over"):
        check_exists(Reference(getattr(gain, key), node.mapping()[key].place), "value", values)
    if values[gain.of].labels != values[gain.over].labels:
        raise node.error(f"{gain.of} and {gain.over} were trained with different shares of the labels")
    return gain
