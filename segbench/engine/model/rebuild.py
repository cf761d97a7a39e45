"""Build a network whose weights are there already: only if it has their shapes, and without its pretrained ones."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch

from segbench.errors import RecordError, SegbenchError, first_line
from segbench.weights import misfit, reading_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor

    Build = Callable[[torch.device], torch.nn.Module]

# A whole number in a recipe is a width, a depth or a size: none is larger than this and the number of all weights.
_LARGEST_NUMBER = 1 << 16

# Where libraries read pretrained weights, by the distribution that a component requires, and what they get instead.
_READERS: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "timm": (("timm.models._builder", "load_pretrained", None),),
    "torchvision": (("torchvision.models._api", "load_state_dict_from_url", {}),),
    "segmentation-models-pytorch": (("segmentation_models_pytorch.encoders", "load_file", {}),),
}


def rebuild(build: Build, tensors: Mapping[str, Tensor], requires: Iterable[str], device: torch.device) -> Any:
    """Return the network that `build` makes on a device, with these tensors for weights.

    No pretrained weights are read or fetched: the tensors would replace them. `requires` are the distributions that the
    component names. A network of other shapes is refused before it takes any memory where it can be built on torch's
    device "meta". Raises RecordError if the tensors do not fit it or it cannot be built, else what `build` raises.
    """
    meta = torch.device("meta")
    with meta:
        shapes = _try_without_pretrained(build, requires, meta)
    if shapes is not None:
        _check_fit(tensors, shapes)
    network = _try_without_pretrained(build, requires, device) or _build(build, device)
    _check_fit(tensors, network)
    network.load_state_dict(dict(tensors))
    return network


def check_numbers(options: Any, tensors: Mapping[str, Tensor]) -> None:
    """Raise RecordError for a number in the options of a component that its weights cannot have."""
    largest = max(_LARGEST_NUMBER, sum(tensor.numel() for tensor in tensors.values()))
    if isinstance(options, dict | list | tuple):
        for value in options.values() if isinstance(options, dict) else options:
            check_numbers(value, tensors)
    elif isinstance(options, int) and abs(options) > largest:
        raise RecordError(f"belongs to a network with an option of {options}, which is more than it has weights")


def _check_fit(tensors: Mapping[str, Tensor], network: torch.nn.Module) -> None:
    if complaint := misfit(tensors, network.state_dict()):
        raise RecordError(f"does not fit the network that the plugin builds now: {complaint}")


def _try_without_pretrained(build: Build, requires: Iterable[str], device: torch.device) -> torch.nn.Module | None:
    """Return a network; None if it cannot be built so: some compute with their weights while they are built."""
    try:
        with _without_pretrained(requires):
            return build(device)
    except Exception:
        return None


def _build(build: Build, device: torch.device) -> torch.nn.Module:
    try:
        return build(device)
    except SegbenchError:
        raise
    except Exception as error:
        raise RecordError(
            f"belongs to a network that cannot be built: {type(error).__name__}: {first_line(error)}"
        ) from error


@contextmanager
def _without_pretrained(requires: Iterable[str]) -> Iterator[None]:
    """Let whatever reads pretrained weights find none, and nothing be missing."""
    with reading_nothing(), ExitStack() as stack:
        stack.enter_context(patch.object(torch.nn.Module, "load_state_dict", lambda *_, **__: None))
        for module, name, instead in (reader for one in requires for reader in _READERS.get(one, ())):
            found = import_module(module)
            if hasattr(found, name):  # else another version, which reads what it is told to
                stack.enter_context(patch.object(found, name, lambda *_, instead=instead, **__: instead))
        yield
