"""How methods are tuned, as a benchmark file writes it: so many trials for each, and what each may vary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import SpecError

from .dealing import combinations, dealt
from .recipe import Tune
from .settings import put
from .validate import validated
from .written import Written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .node import Node

SPACE = (
    "must be a mapping from dotted keys of the recipe to lists of values, such as {protocol.optimizer.lr: [5e-4, 2e-3]}"
)

_LENGTH = "every arm trains as long as its budget says; tuning that would be tuning by more work"
_MEASURE = "it says how results are measured, which is the same for all trials and arms"
_OTHERS = "it names another method, and what that left is given"

# Keys of a recipe that are the same for all trials of a method, and why.
FIXED = {
    "protocol.budget": _LENGTH,
    **{
        f"protocol.{key}": _MEASURE
        for key in ("evaluate", "window", "boundaries", "surface_distances", "absent_classes")
    },
    **{f"protocol.{key}": _MEASURE for key in ("validations", "select", "timing", "keep", "features", "threads")},
    **dict.fromkeys(("start_from", "refines.method", "trains_on.synthetic", "unlabelled.pseudo_labels_from"), _OTHERS),
    "labels": "settings are tuned for each fraction of the labels by itself",
    "adversarial.placebo": "a placebo has the settings of the method whose placebo it is",
    "extends": "it is laid over the recipe before there are trials",
    "tune": "it is laid over the recipe before there are trials",
}


class WrittenTrial(NamedTuple):
    """A trial as a method of its own, and the settings in which it differs from the method that is tuned."""

    name: str
    method: Written
    settings: dict[str, Any]


def is_tuned(method: Written) -> bool:
    """Whether a method says what of it is tuned, or inherits that."""
    return "tune" in method.entries


def read_tune(node: Node | None, methods: Mapping[str, Written], seeds: Sequence[int]) -> Tune | None:
    """Return how the methods of a benchmark are tuned; None if none is.

    Raises SpecError if there are spaces without a number of trials or the reverse, if the seed is one of the
    benchmark's, and for a space that is empty, too small, or tunes what is fixed.
    """
    tuned = {name: method for name, method in methods.items() if is_tuned(method)}
    if node is None or node.value is None:
        for method in tuned.values():
            raise method.entries["tune"].error(
                "the benchmark does not say how many trials every method gets; add at its top level tune: "
                "{trials: 4, seed: 100}"
            )
        return None
    tune = validated(Tune, node)
    if not tuned:
        raise node.error(
            "no method says what of it is tuned; give methods a tune: {protocol.optimizer.lr: [5e-4, 2e-3]}, or take "
            "this out"
        )
    _check_seed(tune, seeds, node)
    for method in tuned.values():
        _check_size(method, tune)
    return tune


def written_trials(name: str, method: Written, tune: Tune) -> list[WrittenTrial]:
    """Return the trials of a tuned method, named NAME#1, NAME#2 and so on (`segbench.spec.dealing` says which)."""
    space = _space(method)
    plain = {key: [value.plain() for value in values] for key, (_, values) in space.items()}
    trials = []
    for number, hand in enumerate(dealt(plain, tune.trials, tune.seed), 1):
        recipe = method.recipe
        for key, (entry, values) in space.items():
            place = replace(entry.place, path=method.recipe.place.path)
            recipe = put(recipe, key.split("."), values[hand[key]], place)
        settings = {key: plain[key][hand[key]] for key in space}
        trials.append(WrittenTrial(f"{name}#{number}", Written(recipe), settings))
    return trials


def _check_seed(tune: Tune, seeds: Sequence[int], node: Node) -> None:
    if tune.seed in seeds:
        free = next(seed for seed in range(100, 101 + len(seeds)) if seed not in seeds)
        raise node.mapping("must be a mapping")["seed"].error(
            f"{tune.seed} is one of the benchmark's seeds: settings would be chosen by the luck of a run that is then "
            f"reported; take another one, such as {free}"
        )


def _check_size(method: Written, tune: Tune) -> None:
    found = combinations({key: values for key, (_, values) in _space(method).items()})
    if found < tune.trials:
        raise method.entries["tune"].error(
            f"there are {found} combinations of these values, but every tuned method gets {tune.trials} trials; give "
            "more values, or lower tune.trials"
        )


def _space(method: Written) -> dict[str, tuple[Node, list[Node]]]:
    """Return by dotted key where it stands, and the values that it may have."""
    node = method.entries["tune"]
    space: dict[str, tuple[Node, list[Node]]] = {}
    for key, entry in _lists(node):
        if key in space:
            raise entry.error(f"{key} is there twice")
        _check_is_free(key, entry)
        space[key] = entry, _values(entry)
    if not space:
        raise node.error(f"{SPACE}; to tune nothing, write tune: null")
    return space


def _lists(node: Node, above: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every dotted key and what stands there; keys may be nested as in the recipe."""
    for name, entry in node.mapping(SPACE).items():
        key = f"{above}.{name}" if above else name
        if isinstance(entry.value, dict):
            yield from _lists(entry, key)
        elif entry.value is not None:
            yield key, entry


def _check_is_free(key: str, entry: Node) -> None:
    for fixed, why in FIXED.items():
        if f"{key}.".startswith(f"{fixed}."):
            raise entry.error(f"{fixed} cannot be tuned: {why}")
        if fixed.startswith(f"{key}."):
            raise entry.error(f"{key} cannot be tuned as a whole; name a key within it, but not {fixed}: {why}")


def _values(entry: Node) -> list[Node]:
    values = entry.sequence("must be a list of the values that it may have")
    if not values:
        raise entry.error("there is no value; give at least one")
    for index, value in enumerate(values):
        if value.plain() in [earlier.plain() for earlier in values[:index]]:
            raise value.error(f"{value.plain()!r} is there twice")
    return values


def told(settings: Mapping[str, Any]) -> str:
    """Return settings as messages list them.

    >>> told({"protocol.optimizer.lr": 0.002, "adversarial.weight": 0.05})
    'protocol.optimizer.lr: 0.002, adversarial.weight: 0.05'
    """
    return ", ".join(f"{key}: {value}" for key, value in settings.items())


def in_trial(error: SpecError, name: str, settings: Mapping[str, Any]) -> SpecError:
    """Return an error that also tells in which trial it comes up."""
    return SpecError(f"{error}\n  in the trial {name} with {told(settings)}")
