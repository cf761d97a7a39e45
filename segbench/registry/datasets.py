"""Open a dataset component: find its root, build it, check what came out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import DataError, OptionError

from .dataset_checks import check_dataset
from .options import build, coerce_options
from .plugin_output import output_on_stderr
from .signature import read_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.contracts import Dataset

    from .offers import Offer

VARIABLE = "SEGBENCH_DATA"


def dataset_root(offer: Offer, root: str | None) -> Path | None:
    """Return the folder that a dataset's files lie in, or None if its `build` can do without.

    It is `root` where given, else $SEGBENCH_DATA/NAME. Where `build` has a default for its root, the latter counts
    only if it exists. Raises OptionError for a root that `build` does not ask for, and DataError if there is neither.
    """
    signature = read_signature(offer.kind, offer.component.build)
    if "root" not in signature.asked:
        if root is not None:
            raise OptionError(f"dataset {offer.full_name} reads no folder, so it takes no root; {root!r} was given.")
        return None
    if root is not None:
        return Path(root).expanduser()
    shared = _shared_root(offer)
    if "root" in signature.needed:
        if shared is None:
            raise DataError(f"dataset {offer.full_name} needs a folder, and none is named. {_how_to_get_it(offer)}")
        return shared
    return shared if shared and shared.is_dir() else None


def open_dataset(offer: Offer, root: str | None, options: Mapping[str, Any]) -> Dataset:
    """Build a dataset and check it.

    Raises DataError if its folder is missing or what it holds does not fit together, OptionError for wrong options,
    PluginError if `build` returns something else than a Dataset.
    """
    coerced = coerce_options(offer, options)
    path = dataset_root(offer, root)
    if path is not None and not path.is_dir():
        raise DataError(f"dataset {offer.full_name}: {_what_is_there(path)} {path}. {_how_to_get_it(offer)}")
    with output_on_stderr():
        dataset = build(offer, {} if path is None else {"root": path}, coerced)
    return check_dataset(f"dataset {offer.full_name}", dataset)


def _shared_root(offer: Offer) -> Path | None:
    shared = os.environ.get(VARIABLE)
    return Path(shared).expanduser() / offer.component.name if shared else None


def _what_is_there(path: Path) -> str:
    return "not a folder:" if path.exists() else "there is no folder"


def _how_to_get_it(offer: Offer) -> str:
    name = offer.component.name
    shared = os.environ.get(VARIABLE)
    now = f"now {shared}" if shared else "not set now"
    return (
        f"Give its place as `root:` in the benchmark file (`--root` on the command line), or set ${VARIABLE} ({now}) "
        f"to the folder that holds {name}/. `segbench prepare {offer.full_name}` may download it."
    )
