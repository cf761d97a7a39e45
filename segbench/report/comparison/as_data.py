"""A comparison of two methods as JSON with stable names, and as CSV with a line for each difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.formats.as_csv import write_csv
from segbench.shown import write_json
from segbench.stats.definitions import METRIC_DEFINITIONS, RESIZED
from segbench.stats.difference import sign_flip_floor
from segbench.stats.score_differences import LOWER_IS_BETTER
from segbench.store.record import stage_in_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from segbench.report.ranking.differences import Contrast, Relation
    from segbench.report.ranking.rows import Row
    from segbench.stats.difference import Difference
    from segbench.stats.gains import ImageGain
    from segbench.stats.score_differences import ScoreDifference

    from .compare import Comparisons, MethodComparison
    from .costs import CostComparison
    from .gains import ClassGain, Gains, PartGain


# How contrasts have been called since the first version of this format.
ROLES: dict[Relation, str] = {"claim": "claim", "opponent": "opponent", "placebo's gain": "placebo", "placebo": "left"}


def to_json(comparisons: Comparisons) -> str:
    """Return `{"schema": 1, "comparisons": [...], "refused": [...], "records": [...]}`, a comparison for each ranking.

    Scores and differences are fractions of 1 (`nll` nats a pixel), an interval `[low, high]`, what is missing null. Of
    each comparison:

    - `one`, `other`: the names; `benchmark`, `dataset`, `fingerprint`, `subset`, `split`, `images`, `groups` (in how
      many the images are drawn, null: each alone), `seeds`, `device` (of most rows of the ranking), `ran_on` (the
      devices of each), `definition` (id and version of mIoU), `resamples`, `margin`, `level`, `relation`, `overrides`
      (protocol keys that each changes), `notes`, `set_aside`.
    - `miou`: `one` and `other` as `{mean, sd, n}`; `by_seed`: `{seed, one, other, difference}`.
    - `contrasts`: the family judged together, the first of them one - other: `role` ("claim", "opponent", "placebo",
      "left"), `one`, `other`, `terms` ("equal steps", "equal seconds", "different budgets", "unknown"), `seeds`,
      `difference`, `level` (after Holm), `interval`, `verdict`, `collapsed` (seeds whose training did, by method),
      `constant` (what a network predicts everywhere, by method), `probability`, `probability_interval`, `p`,
      `sign_flip_p`, `sign_flip_floor`, `smallest_effect`, `seeds_needed`.
    - `among_all`: the first contrast among all `pairs` of its ranking, as in tiers: `difference`, `level`,
      `interval`, `verdict`; null where not all were judged.
    - `scores`: `name`, `definition`, `one`, `other`, `difference` (as `miou`), `interval`, `over`, `less_is_better`.
    - `classes`: `name`, `pixels` (share), `rare`, `one`, `other`, `difference`, `interval`.
    - `parts`: `name` ("band", "interior", "small", "large", "rare", "frequent"), `pixels`, `one`, `other`, `difference`
      and `interval` of the score in the part, `adds` and `adds_interval`; `missing`: why parts are not there, by name.
    - `gained`, `lost`: `image`, `difference` (as `miou`); `images_better`, `images_worse`, `images_scored`.
    - `cost`: `terms`, `training_seconds` and `parameters` with `one`, `other`, `ratio`; `inference`: `stage`, `batch`,
      `ratio`, `interval` of images a second.
    """
    content = {
        "comparisons": [comparison_data(found) for found in comparisons.found],
        "refused": list(comparisons.refused),
        "records": [str(folder) for folder in comparisons.folders],
    }
    return write_json(content)


def comparison_data(found: MethodComparison) -> dict[str, Any]:
    """Return a comparison as `to_json` describes it."""
    ours, theirs = found.miou
    apart = found.claim.difference.by_seed
    return {
        **_identity(found),
        "miou": {name: summary._asdict() for name, summary in zip(("one", "other"), found.summaries, strict=True)},
        "by_seed": [
            {"seed": seed, "one": ours[seed], "other": theirs[seed], "difference": apart[seed]} for seed in apart
        ],
        "contrasts": [_contrast(contrast) for contrast in found.contrasts],
        "among_all": _among_all(found),
        "scores": [_score(score, found.definition) for score in found.scores],
        **_gains(found.gains, found.settings.level),
        "cost": _cost(found.cost),
    }


def _identity(found: MethodComparison) -> dict[str, Any]:
    group, settings, difference = found.ranking.group, found.settings, found.claim.difference
    one, other = found.names
    return {
        "one": one,
        "other": other,
        "benchmark": group.data.benchmark,
        "dataset": group.data.dataset,
        "fingerprint": group.data.fingerprint,
        "subset": group.data.subset,
        "split": group.data.split,
        "images": difference.images,
        "groups": found.clusters,
        "seeds": list(found.seeds),
        "device": group.conditions.device_name if group.conditions else None,
        "ran_on": {"one": _machines(found.ranking.one), "other": _machines(found.ranking.other)},
        "definition": found.definition,
        "resamples": settings.resamples,
        "margin": settings.margin,
        "level": settings.level,
        "relation": found.relation,
        "overrides": {"one": list(found.ranking.one.overrides), "other": list(found.ranking.other.overrides)},
        "notes": list(found.notes),
        "set_aside": list(found.ignored),
    }


def _machines(row: Row) -> list[str]:
    return list(dict.fromkeys(where.essentials[0] for where in row.scored_under))


def _contrast(contrast: Contrast) -> dict[str, Any]:
    difference, judgement = contrast.difference, contrast.judgement
    return {
        "role": ROLES[contrast.relation],
        "one": contrast.row.name,
        "other": contrast.other.name,
        "terms": contrast.terms,
        "seeds": list(difference.by_seed),
        "difference": difference.estimate,
        "level": judgement.level,
        "interval": list(judgement.interval),
        "verdict": judgement.verdict,
        "collapsed": contrast.collapsed,
        "constant": contrast.constant,
        "probability": difference.probability,
        "probability_interval": list(difference.probability_interval),
        "p": difference.p,
        "sign_flip_p": difference.sign_flip_p,
        "sign_flip_floor": sign_flip_floor(difference.seeds),
        "smallest_effect": judgement.smallest_effect,
        "seeds_needed": judgement.seeds_needed,
    }


def _among_all(found: MethodComparison) -> dict[str, Any] | None:
    if found.among_all is None:
        return None
    estimate, interval, verdict = found.among_all.seen_from(found.names[0])
    return {
        "pairs": found.pairs,
        "difference": estimate,
        "level": found.among_all.among_all.level,
        "interval": list(interval),
        "verdict": verdict,
    }


def _score(score: ScoreDifference, of_miou: str) -> dict[str, Any]:
    _, *resized = of_miou.partition(RESIZED)
    return {
        "name": score.name,
        "definition": METRIC_DEFINITIONS[score.name].definition + "".join(resized),
        "one": score.one._asdict(),
        "other": score.other._asdict(),
        "difference": score.difference._asdict(),
        "interval": list(score.interval) if score.interval else None,
        "over": score.over,
        "less_is_better": score.name in LOWER_IS_BETTER,
    }


def _gains(gains: Gains, level: float) -> dict[str, Any]:
    return {
        "classes": [_class(found, level) | {"rare": found.name in gains.rare} for found in gains.classes],
        "parts": [_part(found, level) for found in gains.parts],
        "missing": dict(gains.missing),
        "gained": [_image(found) for found in gains.images.gained],
        "lost": [_image(found) for found in gains.images.lost],
        "images_better": gains.images.better,
        "images_worse": gains.images.worse,
        "images_scored": gains.images.images,
    }


def _class(found: ClassGain, level: float) -> dict[str, Any]:
    return {
        "name": found.name,
        "pixels": found.pixels,
        "one": found.one,
        "other": found.other,
        **_difference(found.difference, level),
    }


def _part(found: PartGain, level: float) -> dict[str, Any]:
    return {
        "name": found.name,
        "pixels": found.pixels,
        "one": found.one._asdict(),
        "other": found.other._asdict(),
        **_difference(found.within, level),
        "adds": found.adds.estimate,
        "adds_interval": list(found.adds.interval(level)),
    }


def _difference(difference: Difference | None, level: float) -> dict[str, Any]:
    if difference is None:
        return {"difference": None, "interval": None}
    return {"difference": difference.estimate, "interval": list(difference.interval(level))}


def _image(gain: ImageGain) -> dict[str, Any]:
    return {"image": gain.image, "difference": gain.difference._asdict()}


def _cost(cost: CostComparison) -> dict[str, Any]:
    return {
        "terms": cost.terms,
        "training_seconds": {
            "one": cost.one_seconds.mean,
            "other": cost.other_seconds.mean,
            "ratio": cost.seconds_ratio,
        },
        "parameters": {
            "one": cost.one_parameters,
            "other": cost.other_parameters,
            "ratio": cost.parameters_ratio,
        },
        "inference": [
            {
                "stage": stage_in_files(speed.stage),
                "batch": speed.batch,
                "ratio": speed.ratio.estimate,
                "interval": list(speed.ratio.interval),
            }
            for speed in cost.speeds
        ],
    }


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
