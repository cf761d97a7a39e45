"""A method as the command line gives it: a generator, with options or without, or the method of a benchmark file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import SpecError

from .benchmark import load_benchmark
from .components import generator_use
from .maps import REFINING
from .node import Place
from .packaged import packaged_benchmarks
from .reader import read_text
from .recipe import Method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.registry import Registry

    from .node import Node
    from .protocol import Protocol
    from .recipe import ComponentUse

# What of a protocol decides how fast a network runs, beside what is chosen on the command line for all rivals alike.
SPEED_KEYS = ("precision", "channels_last", "compile", "tf32", "threads", "window")


class Given(NamedTuple):
    """What is built and run of a method: its generator, what that maps, the channels of its noise.

    `label` is how it was given, in short; `disregarded` are the protocol keys of its benchmark that would change its
    speed and do not count here.
    """

    label: str
    generator: ComponentUse
    maps: str
    noise_channels: int | None = None
    disregarded: tuple[str, ...] = ()

    def method(self, name: str, protocol: Protocol) -> Method:
        """Return the recipe to be built, under a protocol."""
        noise = {} if self.noise_channels is None else {"noise_channels": self.noise_channels}
        return Method(name=name, generator=self.generator, maps=self.maps, protocol=protocol, **noise)


def read_given(text: str, registry: Registry, protocol: Protocol) -> Given:
    """Read `smp/unet`, `{use: smp/unet, encoder: resnet18}`, or FILE:METHOD such as `quickstart:unet`.

    `protocol` is what will hold in place of a benchmark's own. Raises SpecError for what is not there or wrong, and for
    a refiner: its base would have to be trained.
    """
    benchmark, colon, method = text.rpartition(":")
    is_yaml = text.lstrip().startswith("{")
    given = _of_benchmark(text, benchmark, method, registry, protocol) if colon and not is_yaml else None
    given = given or _generator(text, registry)
    if given.maps == REFINING:
        raise SpecError(
            f"METHOD {text}: {given.generator.use} refines the predictions of another method, so it is timed with a "
            "trained one in front of it; `segbench run` does that after training"
        )
    return given


def labelled(given: Sequence[Given]) -> dict[str, Given]:
    """Return what was given by its label; of two that are equal the second is `LABEL #2`."""
    found: dict[str, Given] = {}
    for one in given:
        equal = sum(other.label == one.label for other in found.values())
        found[f"{one.label} #{equal + 1}" if equal else one.label] = one
    return found


def _generator(text: str, registry: Registry) -> Given:
    node = read_text(text, Place(f"METHOD {text}", Path.cwd()))
    try:
        use, maps = generator_use(node, registry)
    except SpecError as error:
        raise SpecError(f"{error}{_hint(text)}") from error
    return Given(_label(node, use), use, maps)


def _hint(text: str) -> str:
    """Say how a method of a benchmark is given, to who names a benchmark alone."""
    return f" The methods of the benchmark {text!r} are {text}:METHOD." if text in packaged_benchmarks() else ""


def _label(node: Node, use: ComponentUse) -> str:
    """Return the generator's full name and the options that were given.

    The label is the same however the flow mapping was spaced, so that runs can be laid side by side.
    """
    if not isinstance(node.value, dict):
        return use.use
    options = [f"{name}={entry.plain()}" for name, entry in node.value.items() if name != "use"]
    return " ".join([use.use, *options])


def _of_benchmark(text: str, name: str, method: str, registry: Registry, protocol: Protocol) -> Given:
    if not name or not method:
        raise SpecError(f"METHOD {text}: write BENCHMARK:METHOD, such as quickstart:unet")
    try:
        found = load_benchmark(name, registry, only=[method]).methods[method]
    except SpecError as error:
        raise SpecError(str(error).replace(f"--only {method}", f"METHOD {text}")) from error
    own = tuple(key for key in SPEED_KEYS if _is_own(key, found.protocol, protocol))
    return Given(text, found.generator, found.maps, found.noise_channels, own)


def _is_own(key: str, protocol: Protocol, chosen: Protocol) -> bool:
    """Tell whether a benchmark's protocol asks for something at a key that is not what holds here."""
    asked = getattr(protocol, key)
    return asked not in (type(protocol).model_fields[key].default, getattr(chosen, key))
