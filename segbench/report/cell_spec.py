"""Fields that the report reads from a record's `spec` and start; no other module knows how these are laid out.

The spec of a trained cell is its resolved cell; that of label maps scored from elsewhere says `"scored": true` and has
no method. Whatever is missing reads as None or as empty.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from segbench.config.attribution import Attribution
from segbench.config.frozen import defaults_of_added, with_added
from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import FORMER_KEYS
from segbench.config.resize import Resize
from segbench.errors import SegbenchError
from segbench.plan.cell import Subset
from segbench.plan.key import UNSCORED
from segbench.stats.definitions import definitions as current_definitions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from segbench.store.record import Record

Found = TypeVar("Found")

# Keys of a protocol that change neither what is trained nor what is scored but for rounding; they are conditions.
NEUTRAL_KEYS = UNSCORED | {"threads", "compile", "capture", "processes"}
# Keys that are written in one of several ways, or not at all, so that only the whole of them can be compared.
_WRITTEN_IN_WAYS = {"budget", *(key for key, value in defaults_of_added(TrainingProtocol).items() if value is None)}
# What keys that leave no trace in records have there; parts of what is a mapping are not among them.
_ADDED = {key: value for key, value in defaults_of_added(TrainingProtocol).items() if not isinstance(value, dict)}
# Of what a component requires; its version changes rounding, and is a condition.
NEUTRAL_REQUIREMENT = "torch"


# Keys of a method that make its recipe; its name, what it is compared with and its share of labels are no part of it.
RECIPE_KEYS = (
    "generator",
    "losses",
    "discriminator",
    "adversarial",
    "latent_channels",
    "start_from",
    "refines",
    "trains_on",
    "unlabelled",
    "tuning",
)


def is_scored_only(record: Record) -> bool:
    """Tell whether the record holds scores of label maps that another tool made."""
    return bool(record.spec.get("scored"))


def fingerprint(record: Record) -> str | None:
    """Return the fingerprint of the data that was scored."""
    found = record.spec.get("fingerprint") or _part(record.spec, "dataset").get("fingerprint")
    return str(found) if found else None


def split(record: Record) -> str | None:
    """Return the split that was scored."""
    return record.evaluated.split if record.evaluated else protocol(record).get("evaluate")


def protocol(record: Record) -> Mapping[str, Any]:
    """Return the resolved protocol of the cell's method, with the defaults of keys that leave no trace in records."""
    found = _part(_part(record.spec, "method"), "protocol")
    return with_added(TrainingProtocol, found) if found else found


def protocol_values(record: Record, keys: Iterable[str]) -> list[Any]:
    """Return what `protocol` has under some keys, None where it has nothing, without laying out all of it."""
    found = _part(_part(record.spec, "method"), "protocol")
    return [found.get(key, _ADDED.get(key)) if found else None for key in keys]


def overrides(record: Record) -> tuple[str, ...]:
    """Return the dotted protocol keys in which the method differs from its benchmark."""
    return tuple(_part(record.spec, "method").get("overrides") or ())


def views(record: Record) -> int:
    """Return over how many views of each image the record's probabilities are averaged; 0 where over none."""
    tta = _part(protocol(record), "tta")
    scales = tta.get("scales")
    return len(scales) * (2 if tta.get("flip") else 1) if isinstance(scales, list) else 0


def shared_protocol(record: Record) -> dict[str, Any]:
    """Return the values, by dotted key, that the method has from its benchmark's protocol."""
    # To set one part of what is written in several ways leaves none to the benchmark.
    own = {key.partition(".")[0] for key in overrides(record)} & _WRITTEN_IN_WAYS | {*overrides(record)} | NEUTRAL_KEYS
    found = {key: value for key, value in protocol(record).items() if key not in own}
    whole = {key: found.pop(key) for key in _WRITTEN_IN_WAYS - {"budget"} if key in found}
    inner = [key for key in own if "." in key]
    leaves = {leaf: value for leaf, value in flatten(found).items() if not _lies_below(leaf, inner)}
    return leaves | whole


def _lies_below(leaf: str, keys: Collection[str]) -> bool:
    return any(f"{leaf}.".startswith(f"{key}.") for key in keys)


def definitions(record: Record) -> dict[str, str]:
    """Return id and version of the definition of each score; old records, which name none, used the first versions."""
    if record.definitions or record.scores is None:
        return dict(record.definitions)
    return {name: f"{_id(found)}@1" for name, found in current_definitions(record.scores).items()}


def recipe(record: Record) -> dict[str, Any]:
    """Return what all seeds of one method have in common; two recipes are never averaged."""
    method, versions = _part(record.spec, "method"), _part(record.spec, "versions")
    return {
        **{key: method.get(key) for key in RECIPE_KEYS},
        "latent_channels": method.get("latent_channels", method.get(FORMER_KEYS["latent_channels"])),
        "protocol": {key: value for key, value in protocol(record).items() if key not in NEUTRAL_KEYS},
        "sources": record.spec.get("sources"),
        "versions": {name: text for name, text in versions.items() if name != NEUTRAL_REQUIREMENT},
    }


def read_once(read: Callable[[Record], Found], *parts: str) -> Callable[[Record], Found]:
    """Return what reads the same of a record, once of all records whose parts of the spec are the same objects.

    `parts` are the keys of all that `read` looks at. They are kept with what was read, so that nothing else can have
    their ids; in segments the records of a method share them.
    """
    known: dict[tuple[int, ...], tuple[list[Any], Found]] = {}

    def look_up(record: Record) -> Found:
        own = [record.spec.get(part) for part in parts]
        ids = tuple(map(id, own))
        if ids not in known:
            known[ids] = own, read(record)
        return known[ids][1]

    return look_up


def method_attribution(record: Record) -> Attribution | None:
    """Return whose the record's method is; None if it does not say, or not as it may."""
    return _read_attribution(_part(record.spec, "method").get("attribution"))


def benchmark_attribution(record: Record) -> Attribution | None:
    """Return whose the record's benchmark is; None if it does not say, or not as it may."""
    return _read_attribution(record.spec.get("attribution"))


def _read_attribution(told: Any) -> Attribution | None:
    try:
        return None if told is None else Attribution.model_validate(told)
    except ValidationError:
        return None


def twin(record: Record) -> str | None:
    """Return the twin: the method that the record's method extends and must be compared with."""
    return _part(record.spec, "method").get("twin")


def against(record: Record) -> tuple[str, ...]:
    """Return the methods other than its twin with which claims compare the record's method."""
    return tuple(_part(record.spec, "method").get("against") or ())


def as_long_as(record: Record) -> str | None:
    """Return the method whose measured seconds of training were the budget."""
    return _part(protocol(record), "budget").get("like")


def comment(record: Record) -> str:
    """Return the comment on top of the benchmark's file; empty in old records."""
    return str(_part(record.spec, "origin").get("comment") or "")


def repeat_command(record: Record, folder: Path | None = None) -> list[str]:
    """Return the words of the command that runs a trained record's cell again, into the results folder "again".

    Copies of plugin files lie in `folder`, that of the cell; the thread count is set, since keys hold it. Old records
    tell neither the path nor the settings of their benchmark, so that its name stands for it.
    """
    origin = _part(record.spec, "origin")
    plugins = [word for one in record.plugin_files for word in ("--plugin", str((folder or Path()) / one.copy_path))]
    threads = f"protocol.threads={protocol(record).get('threads')}"
    settings = dict.fromkeys([*(origin.get("sets") or ()), *([threads] if protocol(record).get("threads") else [])])
    sets = [word for setting in settings for word in ("--set", setting)]
    called = ["segbench", *plugins, "run", origin.get("given") or record.benchmark, *sets]
    subset = _parse(record.subset)
    fold = ["--folds", str(subset.test_fold)] if subset is not None and subset.is_cross_validated else []
    return [*called, "--only", record.method, "--seeds", str(record.seed), *fold, "--results", "again"]


def trial_of(record: Record) -> str | None:
    """Return the method for which the record's method is a trial of settings."""
    return _part(record.spec, "method").get("trial_of")


def placebo_of(record: Record) -> str | None:
    """Return the method of which the record's method is a placebo."""
    return _part(record.spec, "method").get("placebo_of")


def placebo(record: Record) -> str | None:
    """Return which link of the adversarial game the record's method breaks on purpose."""
    return _part(_part(record.spec, "method"), "adversarial").get("placebo")


def dose_of(record: Record) -> str | None:
    """Return the method that the record's method is at another dose."""
    return _part(record.spec, "method").get("dose_of")


def dose(record: Record) -> tuple[str, float] | None:
    """Return the adversarial weight of the record's method, or the ratio of gradients that sets it, and which it is."""
    weight = _part(_part(record.spec, "method"), "adversarial").get("weight")
    unit, value = ("ratio", weight.get("ratio")) if isinstance(weight, dict) else ("weight", weight)
    return (unit, float(value)) if isinstance(value, int | float) else None


def is_related(content: Mapping[str, Any], methods: Collection[str]) -> bool:
    """Tell whether what a record holds, not checked yet, is of some methods, their placebos or what runs as long."""
    method = _part(_part(content, "spec"), "method")
    like = _part(_part(method, "protocol"), "budget").get("like")
    names = content.get("method"), method.get("placebo_of"), like
    return any(name in methods for name in names if isinstance(name, str))


def dataset_use(record: Record) -> str | None:
    """Return the component that the record's data come from, such as "data/camvid"."""
    return _part(record.spec, "dataset").get("use")


def uses(record: Record) -> dict[str, str]:
    """Return the components of the record's method by the key of its recipe: "generator", "discriminator", ..."""
    method = _part(record.spec, "method")
    parts = {key: _part(method, key) for key in RECIPE_KEYS}
    found = {key: part.get("use") or _part(part, "loss").get("use") for key, part in parts.items()}
    return {key: str(name) for key, name in found.items() if name}


def network_size(record: Record) -> tuple[int, int] | None:
    """Return the height and width at which the record's network saw whole images; None if it was not recorded."""
    size = record.cost.flops_size if record.cost else None
    resize = protocol(record).get("resize")
    return Resize.model_validate(resize).size_of(size) if size and resize else size


def base(record: Record) -> str | None:
    """Return the method whose predictions the record's method refines."""
    return _part(_part(record.spec, "method"), "refines").get("method")


def sets(record: Record, key: str) -> bool:
    """Tell whether the recipe of the record's method sets a key, such as `discriminator`."""
    return bool(_part(record.spec, "method").get(key))


def is_auxiliary(record: Record) -> bool:
    """Tell whether a cell only serves others, and so is in no ranking.

    It leaves a fold out (for a refiner), has a share of the labels that its method does not list (for a method that
    lists it), or is a trial of tuning.
    """
    if trial_of(record) is not None or record.spec.get("for_tuning"):
        return True
    subset = _parse(record.subset)
    fractions = _part(record.spec, "method").get("labels")
    return subset is not None and (subset.is_fold or (fractions is not None and subset.fraction not in fractions))


def label_fraction(record: Record) -> float | None:
    """Return the fraction of the training labels that the cell was trained with; None if its subset is not known."""
    subset = _parse(record.subset)
    return None if subset is None else subset.fraction


def test_fold(record: Record) -> int | None:
    """Return which fold of the pool the cell was tested on, counted from 1; None without cross-validation."""
    subset = _parse(record.subset)
    return None if subset is None else subset.test_fold


def pooled_subset(record: Record) -> str:
    """Return the record's subset without its test fold: what the cells of all test folds have in common."""
    subset = _parse(record.subset)
    return record.subset if subset is None else str(subset.pooled())


def number_of_folds(record: Record) -> int | None:
    """Return by how many folds the record's dataset is cross-validated; None if it is not."""
    return _part(_part(record.spec, "dataset"), "folds").get("count")


def folds_text(record: Record) -> str:
    """Return how the record's dataset is cross-validated, such as "5 folds of train and val"; "" if it is not."""
    found = _part(_part(record.spec, "dataset"), "folds")
    if not found:
        return ""
    pool = f" of {' and '.join(found['pool'])}" if found.get("pool") else ""
    return f"{found.get('count')} folds{pool}{', one of them as val' if found.get('val') else ''}"


def subset_text(text: str) -> str:
    """Return a subset in words.

    >>> subset_text("labels 0.125"), subset_text("all")
    ('12.5 % of the labels', 'all')
    """
    subset = _parse(text)
    return text if subset is None or subset.fraction == 1 else f"{100 * subset.fraction:g} % of the labels"


def start_time(record: Record) -> float:
    """Return when the record's cell was begun, in seconds since 1970; 0 if it does not tell."""
    try:
        return datetime.fromisoformat(str(record.environment.get("started"))).timestamp()
    except ValueError:
        return 0.0


def start_text(record: Record) -> str | None:
    """Return the day and minute at which the record's cell was begun; None if it does not tell."""
    started = str(record.environment.get("started") or "")
    return started[:16].replace("T", " ") if start_time(record) else None


def days(records: Iterable[Record]) -> str:
    """Return the first and the last day on which cells of some records were begun; "" if none tells."""
    found = sorted({text[:10] for record in records if (text := start_text(record))})
    return " to ".join(dict.fromkeys((found[0], found[-1]))) if found else ""


def code(record: Record) -> str:
    """Return which code made the record: the version of segbench, and a hash of the sources of its components."""
    version, sources = str(record.environment.get("segbench") or "?"), record.spec.get("sources")
    return f"{version}-{hashlib.sha256(canonical(sources).encode()).hexdigest()[:8]}" if sources else version


def upstream(record: Record) -> tuple[str, ...]:
    """Return the keys of the cells that the record's cell builds on."""
    return tuple(key for key in _part(record.spec, "upstream").values() if isinstance(key, str))


def recipe_text(record: Record) -> str:
    """Return a text that is equal for records of one recipe."""
    return canonical(recipe(record))


def distance(one: Record, other: Record) -> int:
    """Return in how many of the keys that both recipes have they differ: code, versions, protocol, networks, losses."""
    ours, theirs = flatten(recipe(one)), flatten(recipe(other))
    return sum(canonical(ours[key]) != canonical(theirs[key]) for key in ours.keys() & theirs.keys())


def canonical(value: object) -> str:
    """Return a text that is equal for equal JSON values."""
    return json.dumps(value, sort_keys=True)


def differences(values: list[dict[str, Any]]) -> list[str]:
    """Say, for each of several mappings, in which dotted keys it differs from the others.

    >>> differences([{"budget": {"epochs": 3}}, {"budget": {"steps": 9}}])
    ['budget.epochs=3', 'budget.steps=9']
    """
    flat = [flatten(value) for value in values]
    keys = sorted({key for leaves in flat for key in leaves})
    differing = [key for key in keys if len({canonical(leaves.get(key)) for leaves in flat}) > 1]
    return [
        ", ".join(f"{key}={_text(leaves[key])}" for key in differing if leaves.get(key) is not None) for leaves in flat
    ]


def _id(definition: str) -> str:
    return definition.rpartition("@")[0]


@cache
def _parse(text: str) -> Subset | None:
    try:
        return Subset.parse(text)
    except SegbenchError:
        return None


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values inside mappings by their dotted keys."""
    leaves: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            leaves |= flatten(inner, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = inner
    return leaves


def _part(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = mapping.get(key)
    return found if isinstance(found, dict) else {}
