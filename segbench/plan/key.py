"""Keys: what a cell's result depends on, in sixteen hexadecimal digits.

A finished cell never runs twice and a changed one always does, so the key covers all that can change the scores:

- the method: name, generator and losses (full names, coerced options, weights) and its protocol with the thread count;
- the dataset: name, component, options and fingerprint of the content; subset and seed;
- files that options name, such as pretrained weights: their content, not where they lie;
- the code: source hash of each component's package, versions of what they require, the engine's version;
- the keys of the upstream cells, and so all that those depend on.

The names are in it because the record carries them: two methods with one recipe are two rows of a table. Not in it are
the benchmark's name (its folder separates it), the dataset's root, the twin and the list of overridden keys (they
describe, and the protocol itself counts), `start_from` (the upstream key counts), and of the protocol `keep` and
`timing`: what is kept beside a record and how long inference is timed change no score.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.spec.recipe import DatasetUse

    from .cell import Cell

# Raise it with every change of the engine that changes scores: old records then no longer count as finished cells.
ENGINE_VERSION = 1

# Protocol keys that change no score.
UNSCORED = frozenset({"keep", "timing"})


def cell_key(cell: Cell) -> str | None:
    """Return the key of a cell; None while its data or that of an upstream cell is not at hand."""
    if cell.fingerprint is None or None in cell.upstream.values():
        return None
    return _digest({"engine": ENGINE_VERSION, **ingredients(cell)})


def ingredients(cell: Cell) -> dict[str, Any]:
    """Return what the key of a cell is made of, beside the engine's version, as JSON-able values."""
    method = cell.method.model_dump(mode="json", include={"name", "generator", "losses"})
    made_of = {
        "dataset": {
            "name": cell.dataset_name,
            **cell.dataset.model_dump(mode="json", exclude={"root"}),
            "fingerprint": cell.fingerprint,
        },
        "subset": cell.subset,
        "seed": cell.seed,
        "method": {**method, "protocol": cell.method.protocol.model_dump(mode="json", exclude=set(UNSCORED))},
        "sources": cell.sources,
        "versions": cell.versions,
        "upstream": cell.upstream,
    }
    return {name: _with_content(value, cell.files) for name, value in made_of.items()}


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
