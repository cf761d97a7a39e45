"""What a plugin yields: one generator, discriminator, loss or dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Component:
    """One named thing that a benchmark file can use.

    `build` receives by name what its positional parameters ask for (`segbench.contracts.VOCABULARY` lists what each
    kind may ask for); its keyword-only parameters are the component's options, so they need a type and a default.

    `maps` is one of `segbench.contracts.MAPS`; a supervised loss states one that makes what it compares, by default
    labels. `role` is one of `segbench.contracts.ROLES`. `requires` names the distributions whose versions belong
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
