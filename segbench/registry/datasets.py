"""Open a dataset component: find its root, build it, and check the Dataset that it returns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.contract import SPLITS, Dataset
from segbench.errors import DataError, OptionError, PluginError

from .options import build, coerce_options
from .output import send_output_to_stderr

if TYPE_CHECKING:
    from segbench.contract import Split

    from .registry import Offer


DATA_VARIABLE = "SEGBENCH_DATA"

# Datasets that ship with segbench whose licence lets nobody pass their images on, or states nothing. It is said here
# and not in their package: whatever changes there runs all cells with any of its datasets again.
NOT_REDISTRIBUTABLE = frozenset({"data/camvid", "data/cityscapes", "data/drive", "data/isic", "data/voc2012"})

# Label maps have 8 or 16 bits.
LARGEST_LABEL = 65535


def dataset_root(offer: Offer, root: str | None) -> Path | None:
    """Return the folder of a dataset's files, or None if its `build` needs none.

    It is `root` where given, else $SEGBENCH_DATA/NAME. Where `build` has a default for its root, the latter counts
    only if it exists. Raises OptionError for a root that `build` does not ask for, and DataError if there is neither.
    """
    signature = offer.signature
    if "root" not in signature.asked:
        if root is not None:
            raise OptionError(f"dataset {offer.full_name} reads no folder, so it takes no root; {root!r} was given.")
        return None
    if root is not None:
        return Path(root).expanduser()
    shared = _shared_root(offer)
    if "root" in signature.needed:
        if shared is None:
            raise DataError(f"dataset {offer.full_name} needs a folder, and none is named. {_explain_root(offer)}")
        return shared
    return shared if shared and shared.is_dir() else None


def open_dataset(offer: Offer, root: str | None, options: Mapping[str, Any]) -> Dataset:
    """Build a dataset and check it.

    Raises DataError if its folder is missing or its contents do not fit together, OptionError for wrong options,
    PluginError if `build` returns something else than a Dataset.
    """
    coerced = coerce_options(offer, options)
    path = dataset_root(offer, root)
    if path is not None and not path.is_dir():
        problem = "not a folder:" if path.exists() else "there is no folder"
        raise DataError(f"dataset {offer.full_name}: {problem} {path}. {_explain_root(offer)}")
    with send_output_to_stderr():
        dataset = build(offer, {} if path is None else {"root": path}, coerced)
    checked = check_dataset(f"dataset {offer.full_name}", dataset)
    return replace(checked, redistributable=False) if offer.full_name in NOT_REDISTRIBUTABLE else checked


def _shared_root(offer: Offer) -> Path | None:
    shared = os.environ.get(DATA_VARIABLE)
    return Path(shared).expanduser() / offer.component.name if shared else None


def _explain_root(offer: Offer) -> str:
    name = offer.component.name
    shared = os.environ.get(DATA_VARIABLE)
    now = f"now {shared}" if shared else "not set now"
    downloads = f" `segbench prepare {offer.full_name}` may download it." if offer.component.download else ""
    return (
        f"Give its place as `root:` in the benchmark file (`--root` on the command line), or set ${DATA_VARIABLE} "
        f"({now}) to the folder that holds {name}/.{downloads}"
    )


def check_dataset(who: str, dataset: Any) -> Dataset:
    """Return the dataset, or raise PluginError if it is no Dataset and DataError if its parts do not fit together."""
    if not isinstance(dataset, Dataset):
        raise PluginError(f"{who}: build returned {type(dataset).__name__}, not a segbench.Dataset.")
    _check_classes(who, dataset)
    _check_palette(who, dataset)
    _check_ignore_index(who, dataset)
    if type(dataset.channels) is not int or dataset.channels < 1:
        raise DataError(f"{who}: channels is {dataset.channels!r}; an image has 1 or more.")
    if type(dataset.redistributable) is not bool:
        raise DataError(f"{who}: redistributable is {dataset.redistributable!r}; it must be True or False.")
    if dataset.cluster is not None and not callable(dataset.cluster):
        raise DataError(
            f"{who}: cluster is {dataset.cluster!r}; it must be a function from a sample's id to its group, or None."
        )
    _check_splits(who, dataset)
    return dataset


def _check_classes(who: str, dataset: Dataset) -> None:
    classes = dataset.classes
    if isinstance(classes, str) or len(classes) == 0:
        raise DataError(f"{who}: classes is {classes!r}; it must hold one name or more.")
    for name in classes:
        if not isinstance(name, str) or not name:
            raise DataError(f"{who}: a class is named {name!r}; a name is a text with at least one character.")
    twice = sorted({name for name in classes if list(classes).count(name) > 1})
    if twice:
        raise DataError(f"{who}: more than one class is named {twice[0]!r}.")


def _check_palette(who: str, dataset: Dataset) -> None:
    if len(dataset.palette) != len(dataset.classes):
        raise DataError(f"{who}: {len(dataset.palette)} colours in palette for {len(dataset.classes)} classes.")
    for name, colour in zip(dataset.classes, dataset.palette, strict=True):
        if len(colour) != 3 or not all(0 <= value <= 255 and value == int(value) for value in colour):
            raise DataError(f"{who}: class {name!r} has the colour {colour!r}; it must be three numbers from 0 to 255.")


def _check_ignore_index(who: str, dataset: Dataset) -> None:
    index, classes = dataset.ignore_index, len(dataset.classes)
    if type(index) is not int or not classes <= index <= LARGEST_LABEL:
        raise DataError(
            f"{who}: ignore_index is {index!r}; it must be a label that is no class (0 to {classes - 1} are), "
            f"{LARGEST_LABEL} at most."
        )


def _check_splits(who: str, dataset: Dataset) -> None:
    if not isinstance(dataset.splits, Mapping) or not dataset.splits:
        raise DataError(f"{who}: splits is {dataset.splits!r}; it must map one or more of {', '.join(SPLITS)}.")
    for name, split in dataset.splits.items():
        if name not in SPLITS:
            raise DataError(f"{who}: a split is named {name!r}; allowed are {', '.join(SPLITS)}.")
        if len(split) == 0:
            raise DataError(f"{who}: split {name!r} is empty.")
        _check_lengths(f"{who}: split {name!r}", split)


def _check_lengths(where: str, split: Split) -> None:
    for attribute in ("ids", "files"):
        if hasattr(split, attribute) and len(getattr(split, attribute)) != len(split):
            found = len(getattr(split, attribute))
            raise PluginError(f"{where} has {len(split)} samples, but {found} {attribute}.")
