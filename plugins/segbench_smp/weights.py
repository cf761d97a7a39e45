"""Weights from a file: read without running code from it, checked key by key, and loaded."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import timm
import torch

from segbench import WeightsError
from segbench.weights import misfit, read_weights

from .encoders import timm_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

OPTION = "encoder_weights"

# What the classifiers of SMP's own encoders are called in files of their weights.
HEADS = ("fc.", "_fc.", "classifier.", "head.", "last_linear.", "linear.")


def check_timm_weights(path: Path, encoder: str) -> None:
    """Raise WeightsError unless the file holds all weights of timm's classification network, and no others.

    The classifier itself is ignored: it may be there, be of any size, or be missing.
    """
    network = _classification_network(timm_name(encoder))
    classifiers = network.pretrained_cfg.get("classifier") or ()
    names = (classifiers,) if isinstance(classifiers, str) else classifiers
    heads = tuple(f"{name}." for name in names)
    check_fit(path, encoder, read_weights(path, OPTION), network.state_dict(), heads)


def load_own_weights(path: Path, encoder: str, network: nn.Module) -> None:
    """Load a file into one of SMP's own encoders, which must still have 3 input channels.

    Raises WeightsError unless the file holds all its weights, and beside a classifier no others.
    """
    expected = network.state_dict()
    heads = tuple(head for head in HEADS if not any(name.startswith(head) for name in expected))
    given = _beside(read_weights(path, OPTION), heads)
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
    complaints = misfit(_beside(given, heads), _beside(expected, heads))
    if complaints:
        raise WeightsError(f"encoder_weights: {path} does not fit the encoder {encoder}; {complaints}")


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


def _beside(state: Mapping[str, Tensor], heads: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(heads)}
