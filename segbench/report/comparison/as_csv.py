"""A comparison of two methods as CSV, a line for each difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.formats.as_csv import write_csv

from .as_json import comparison_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .compare import Comparisons

_IDENTITY = ("benchmark", "dataset", "fingerprint", "subset", "split", "one", "other")
_VALUES = ("one_value", "other_value", "difference", "sd", "low", "high", "ratio")
_JUDGED = ("level", "verdict", "probability", "p", "sign_flip_p", "smallest_effect", "seeds_needed")
_PART = ("pixels", "adds", "adds_low", "adds_high")
COLUMNS = (*_IDENTITY, "what", "name", "seeds", *_VALUES, *_JUDGED, *_PART)


def to_csv(comparisons: Comparisons) -> str:
    """Return a line for each difference, numbers and names as in JSON; what it has not is empty.

    `what` is claim, opponent, placebo or left (differences of mIoU that are judged together, between `one` and
    `other`), seed, score, class, a part of the images, gained or lost (an image), or cost; `name` says which.
    """
    lines = [
        {**{name: data[name] for name in _IDENTITY}, **line}
        for data in map(comparison_data, comparisons.found)
        for line in _differences(data)
    ]
    return write_csv(lines, COLUMNS)


def _differences(data: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Return what each line has beside the identity of the comparison."""
    for contrast in data["contrasts"]:
        line = {**contrast, **_bounds(contrast["interval"])}
        yield {**line, "what": contrast["role"], "seeds": len(contrast["seeds"])}
    for one in data["by_seed"]:
        yield {"what": "seed", "name": one["seed"], **_values(one), "difference": one["difference"]}
    for one in data["scores"]:
        means = {"one_value": one["one"]["mean"], "other_value": one["other"]["mean"]}
        yield {"what": "score", "name": one["name"], **means, **_apart(one), **_bounds(one["interval"])}
    for one in data["classes"]:
        line = {"name": one["name"], **_values(one), "difference": one["difference"], "pixels": one["pixels"]}
        yield {"what": "class", **line, **_bounds(one["interval"])}
    for one in data["parts"]:
        means = {"one_value": one["one"]["mean"], "other_value": one["other"]["mean"]}
        adds = {"adds": one["adds"], **_bounds(one["adds_interval"], "adds_")}
        line = {"name": one["name"], "difference": one["difference"], "pixels": one["pixels"]}
        yield {"what": "part", **line, **means, **adds, **_bounds(one["interval"])}
    for what in ("gained", "lost"):
        yield from ({"what": what, "name": one["image"], **_apart(one)} for one in data[what])
    yield from _costs(data["cost"])


def _costs(cost: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for name in ("training_seconds", "parameters"):
        yield {"what": "cost", "name": name, **_values(cost[name]), "ratio": cost[name]["ratio"]}
    for one in cost["inference"]:
        name = f"{one['stage']} batch {one['batch']} images_per_second"
        yield {"what": "cost", "name": name, "ratio": one["ratio"], **_bounds(one["interval"])}


def _values(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"one_value": found["one"], "other_value": found["other"]}


def _apart(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"difference": found["difference"]["mean"], "sd": found["difference"]["sd"]}


def _bounds(interval: Iterable[Any] | None, prefix: str = "") -> dict[str, Any]:
    return dict(zip((f"{prefix}low", f"{prefix}high"), interval or (), strict=False))
