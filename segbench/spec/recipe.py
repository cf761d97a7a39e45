"""Resolved recipes: full component names and coerced options, ready to be hashed, stored and run."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat

from .protocol import Frozen, Protocol


class ComponentUse(Frozen):
    """A component by its full name, with every option filled in."""

    use: str
    options: dict[str, Any] = Field(default_factory=dict)


class WeightedLoss(ComponentUse):
    """A loss and its weight in the sum."""

    weight: PositiveFloat = 1.0


class DatasetUse(ComponentUse):
    """A dataset; `root` is where its files lie on this machine and never part of a key."""

    root: str | None = None


class Method(Frozen):
    """A named recipe: generator and losses under a protocol.

    `twin` is the method it extends; `overrides` are the dotted protocol keys that differ from the benchmark's;
    `start_from` is the method of the same seed whose weights it starts from.
    """

    name: str
    generator: ComponentUse
    losses: tuple[WeightedLoss, ...]
    protocol: Protocol
    twin: str | None = None
    overrides: tuple[str, ...] = ()
    start_from: str | None = None

    @property
    def upstream(self) -> dict[str, str]:
        """The methods of the same dataset and seed that must have run before, by the reason."""
        return {"start_from": self.start_from} if self.start_from else {}


class Benchmark(Frozen):
    """A resolved benchmark file: datasets x methods x seeds."""

    name: str
    source: str
    datasets: dict[str, DatasetUse]
    seeds: tuple[int, ...]
    methods: dict[str, Method]
