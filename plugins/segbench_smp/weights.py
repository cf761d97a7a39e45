"""Weights from a file: read without running code from it, checked key by key, and loaded."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import timm
import torch

from segbench import WeightsError

from .encoders import timm_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

# What the classifiers of SMP's own encoders are called in files of their weights.
HEADS = ("fc.", "_fc.", "classifier.", "head.", "last_linear.", "linear.")

# Batch normalisation's counter of batches, which files from before 2018 lack and torch then starts at 0.
COUNTER = "num_batches_tracked"

_SHOWN = 5


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of named tensors, or one that holds them under `state_dict` or `model`.

    Raises WeightsError for a missing file, one that cannot be read without running code from it, or other content.
    """
    if not path.is_file():
        raise WeightsError(f"encoder_weights: there is no file {path.absolute()}")
    try:
        state = timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"encoder_weights: {path} cannot be read ({type(error.__cause__ or error).__name__}); it must be a "
            ".safetensors file, or one that torch.load takes with weights_only=True"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"encoder_weights: {path} does not hold named tensors (a state dict)")
    return state


def check_timm_weights(path: Path, encoder: str) -> None:
    """Raise WeightsError unless the file holds all weights of timm's classification network, and no others.

    The classifier itself is ignored: it may be there, be of any size, or be missing.
    """
    network = _classification_network(timm_name(encoder))
    classifiers = network.pretrained_cfg.get("classifier") or ()
    names = (classifiers,) if isinstance(classifiers, str) else classifiers
    heads = tuple(f"{name}." for name in names)
    check_fit(path, encoder, read_weights(path), network.state_dict(), heads)


def load_own_weights(path: Path, encoder: str, network: nn.Module) -> None:
    """Load a file into one of SMP's own encoders, which must still have 3 input channels.

    Raises WeightsError unless the file holds all its weights, and beside a classifier no others.
    """
    expected = network.state_dict()
    heads = tuple(head for head in HEADS if not any(name.startswith(head) for name in expected))
    given = {name: value for name, value in read_weights(path).items() if not name.startswith(heads)}
    try:
        # SMP's encoders rename the keys of older files, so only they can tell what fits.
        network.load_state_dict(dict(given))
    except RuntimeError as error:
        check_fit(path, encoder, given, expected, heads=())
        raise WeightsError(f"encoder_weights: {path} does not fit the encoder {encoder}: {error}") from error


def check_fit(
    path: Path, encoder: str, given: Mapping[str, Tensor], expected: Mapping[str, Tensor], heads: tuple[str, ...]
) -> None:
    """Raise WeightsError, naming the keys, unless `given` and `expected` agree in keys and shapes beside the heads."""
    missing = [
        name for name in expected if name not in given and not name.startswith(heads) and not name.endswith(COUNTER)
    ]
    unexpected = [
        name for name in given if name not in expected and not name.startswith(heads) and not name.endswith(COUNTER)
    ]
    misshapen = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in given and not name.startswith(heads) and given[name].shape != value.shape
    ]
    complaints = [
        f"{title}: {_listed(names)}"
        for title, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if names
    ]
    if complaints:
        raise WeightsError(f"encoder_weights: {path} does not fit the encoder {encoder}; {'; '.join(complaints)}")


@contextmanager
def quiet_timm() -> Iterator[None]:
    """Keep timm from warning of keys that a feature extractor does not need, once they have been checked."""
    logger = logging.getLogger("timm.models._builder")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _classification_network(name: str) -> nn.Module:
    try:
        with torch.device("meta"):
            return timm.create_model(name)
    except Exception:
        # Some networks compute with their weights while being built, which meta tensors cannot.
        return timm.create_model(name)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
