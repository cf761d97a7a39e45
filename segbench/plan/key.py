"""Keys: what a cell's result depends on, in sixteen hexadecimal digits.

A finished cell never runs twice and a changed one always does, so the key covers all that can change the scores:

- the method: its name, what it maps, its components and all about them (full names, coerced options, weights, how the
  critic is trained, the placebo), the share of synthetic samples, the folds, and its protocol with the thread count;
- the dataset: name, component, options and fingerprint of the content; subset and seed;
- files that options name, such as pretrained weights: their content, not where they lie;
- the code: source hash of each component's package, versions of what they require, the engine's version;
- the keys of the upstream cells, and so all that those depend on: the trials of a tuned method and the cell whose
  seconds a budget takes among them. What is taken over from those is settled when the cell starts and not in the key;
- that a cell has the seed of tuning and is not reported.

The names are in it because the record carries them: two methods with one recipe are two rows of a table. Not in it are
the benchmark's name (its folder separates it) and what it compares, the dataset's root, the twin, whose placebo or
trial it is, what else it is compared with and the list of overridden keys (they describe, and the recipe itself
counts), the names of upstream methods, trials and their settings among them (their keys count), the label fractions
(the subset counts), and of the protocol `keep` and `timing` (what is kept beside a record and how long inference is
timed change no score), and `features` of what makes labels: they compare images.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from segbench.contracts import SEGMENTING_MAPS
from segbench.spec.maps import NOISY_MAPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.spec.recipe import DatasetUse, Method

    from .cell import Cell

# Raise it with every change of the engine that changes scores: old records then no longer count as finished cells.
ENGINE_VERSION = 3

# What of a recipe counts beside its protocol; what is not there leaves no trace, so that new keys keep old cells.
SCORED: dict[str, Any] = {
    "name": True,
    "generator": True,
    "maps": True,
    "losses": True,
    "discriminator": True,
    "adversarial": True,
    "noise_channels": True,
    "refines": {"folds"},
    "trains_on": {"share"},
    "unlabelled": {"loss", "threshold", "weight"},
}

# Protocol keys that change no score.
UNSCORED = frozenset({"keep", "timing"})


def cell_key(cell: Cell) -> str | None:
    """Return the key of a cell; None while its data or that of an upstream cell is not at hand."""
    if cell.fingerprint is None or None in cell.upstream.values():
        return None
    return _digest({"engine": ENGINE_VERSION, **ingredients(cell)})


def ingredients(cell: Cell) -> dict[str, Any]:
    """Return what the key of a cell is made of, beside the engine's version, as JSON-able values."""
    made_of = {
        "dataset": {
            "name": cell.dataset_name,
            **cell.dataset.model_dump(mode="json", exclude={"root"}),
            "fingerprint": cell.fingerprint,
        },
        "subset": cell.subset,
        "seed": cell.seed,
        "method": _recipe(cell.method),
        "sources": cell.sources,
        "versions": cell.versions,
        "upstream": cell.upstream,
        **({"for_tuning": True} if cell.for_tuning else {}),
    }
    return {name: _with_content(value, cell.files) for name, value in made_of.items()}


def _recipe(method: Method) -> dict[str, Any]:
    recipe = method.model_dump(mode="json", include=SCORED)
    if method.maps not in NOISY_MAPS:
        del recipe["noise_channels"]
    if not method.is_trained:
        del recipe["refines"]
    given = {key: value for key, value in recipe.items() if value is not None}
    return {**given, "protocol": _protocol(method)}


def _protocol(method: Method) -> dict[str, Any]:
    """Return the keys that change scores; features are for comparing images with images."""
    unscored = UNSCORED | {"features"} if method.maps in SEGMENTING_MAPS else UNSCORED
    return method.protocol.model_dump(mode="json", exclude={**dict.fromkeys(unscored, True), "budget": {"like"}})


def _with_content(value: Any, files: Mapping[str, str]) -> Any:
    """Return the value with every path that stands in `files` replaced by the hash of the file."""
    if isinstance(value, dict):
        return {name: _with_content(inner, files) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_content(inner, files) for inner in value]
    return f"file {files[value]}" if isinstance(value, str) and value in files else value


def cache_key(dataset: DatasetUse, fingerprint: str, source: str, versions: Mapping[str, str]) -> str:
    """Return what identifies the decoded form of a dataset: its component, options, code and content."""
    use = dataset.model_dump(mode="json", exclude={"root"})
    return _digest({**use, "fingerprint": fingerprint, "source": source, "versions": dict(versions)})


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
