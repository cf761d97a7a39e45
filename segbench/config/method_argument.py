"""The argument METHOD of a command that trains nothing: a generator of its own, or a method of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.contract import SEGMENTING_MAPS
from segbench.errors import SpecError

from .benchmark import load_benchmark, packaged_benchmarks
from .components import resolve_generator
from .recipe import REFINING, Method
from .yaml import Place, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.registry import Registry

    from .protocol import TrainingProtocol
    from .recipe import ComponentUse
    from .timing import Runtime
    from .yaml import Node


# Protocol keys that decide how fast a network runs; those that are timed together untrained have one setting.
SPEED_KEYS = ("precision", "channels_last", "compile", "tf32", "deterministic", "threads", "window")


class MethodArgument(NamedTuple):
    """What is built and run of a method: its generator, what that maps, the channels of its noise.

    `label` is how it was given, in short, with its `runtime` unless that is torch; `disregarded` are the protocol keys
    of its benchmark that would change its speed and do not count here.
    """

    label: str
    generator: ComponentUse
    maps: str
    latent_channels: int | None = None
    disregarded: tuple[str, ...] = ()
    runtime: Runtime = "torch"

    def method(self, name: str, protocol: TrainingProtocol) -> Method:
        """Return the recipe to be built, under a protocol."""
        noise = {} if self.latent_channels is None else {"latent_channels": self.latent_channels}
        return Method(name=name, generator=self.generator, maps=self.maps, protocol=protocol, **noise)


def read_method_argument(text: str, registry: Registry, protocol: TrainingProtocol) -> MethodArgument:
    """Read `smp/unet`, `{use: smp/unet, encoder: resnet18}`, or FILE:METHOD such as `quickstart:unet`.

    `protocol` is what will hold in place of a benchmark's own. Raises SpecError for what does not exist or is wrong,
    and for a refiner: its base would have to be trained.
    """
    benchmark, colon, method = text.rpartition(":")
    if colon and not text.lstrip().startswith("{"):
        given = _read_benchmark_method(text, benchmark, method, registry, protocol)
    else:
        given = _read_generator(text, registry)
    if given.maps == REFINING:
        raise SpecError(
            f"METHOD {text}: {given.generator.use} refines the predictions of another method, so it is timed with a "
            "trained one in front of it; `segbench run` does that after training"
        )
    return given


def label_arguments(given: Sequence[MethodArgument]) -> dict[str, MethodArgument]:
    """Return the arguments by their labels; of two with the same label the second is `LABEL #2`."""
    found: dict[str, MethodArgument] = {}
    for one in given:
        equal = sum(other.label == one.label for other in found.values())
        found[f"{one.label} #{equal + 1}" if equal else one.label] = one
    return found


def in_runtimes(given: Sequence[MethodArgument], runtimes: Sequence[Runtime]) -> list[MethodArgument]:
    """Return each argument in each runtime, in the order of the arguments.

    Raises SpecError for what other runtimes do not take: an ONNX file of segbench maps images to labels.
    """
    for one in given:
        if set(runtimes) != {"torch"} and one.maps not in SEGMENTING_MAPS:
            raise SpecError(
                f"{one.generator.use} maps {one.maps!r}; runtimes other than torch time networks that segment images: "
                "leave out --runtime, or this method"
            )
    return [
        one if runtime == "torch" else one._replace(label=f"{one.label} in {runtime}", runtime=runtime)
        for one in given
        for runtime in runtimes
    ]


def _read_generator(text: str, registry: Registry) -> MethodArgument:
    node = read_text(text, Place(f"METHOD {text}", Path.cwd()))
    try:
        use, maps = resolve_generator(node, registry)
    except SpecError as error:
        is_benchmark = text in packaged_benchmarks()
        hint = f" The methods of the benchmark {text!r} are {text}:METHOD." if is_benchmark else ""
        raise SpecError(f"{error}{hint}") from error
    return MethodArgument(_make_label(node, use), use, maps)


def _make_label(node: Node, use: ComponentUse) -> str:
    """Return the generator's full name and the options that were given.

    The label is the same however the flow mapping was spaced, so that runs can be laid side by side.
    """
    if not isinstance(node.value, dict):
        return use.use
    options = [f"{name}={entry.plain()}" for name, entry in node.value.items() if name != "use"]
    return " ".join([use.use, *options])


def _read_benchmark_method(
    text: str, name: str, method: str, registry: Registry, protocol: TrainingProtocol
) -> MethodArgument:
    if not name or not method:
        raise SpecError(f"METHOD {text}: write BENCHMARK:METHOD, such as quickstart:unet")
    try:
        found = load_benchmark(name, registry, only=[method]).methods[method]
    except SpecError as error:
        raise SpecError(str(error).replace(f"--only {method}", f"METHOD {text}")) from error
    own = tuple(key for key in SPEED_KEYS if _is_own(key, found.protocol, protocol))
    return MethodArgument(text, found.generator, found.maps, found.latent_channels, own)


def _is_own(key: str, protocol: TrainingProtocol, chosen: TrainingProtocol) -> bool:
    """Whether a benchmark sets this key, to something else than what was chosen on the command line."""
    asked = getattr(protocol, key)
    return asked not in (type(protocol).model_fields[key].default, getattr(chosen, key))
