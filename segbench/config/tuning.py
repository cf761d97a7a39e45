"""How methods are tuned: by trials, which are the same methods with other settings, scored on val."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.contract import SEGMENTING_MAPS
from segbench.errors import SpecError

from .attribution import ATTRIBUTION_KEYS
from .inheritance import MethodEntry, put, upstream_references
from .methods import resolve_method
from .protocol import Budget, Keep
from .recipe import Method, Tune, Tuning, quote_names
from .validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from segbench.registry import Registry

    from .validation import Reference
    from .yaml import Node

SEARCH_SPACE_FORM = (
    "must be a mapping from dotted keys of the recipe to lists of values, such as {protocol.optimizer.lr: [5e-4, 2e-3]}"
)
_LENGTH = "every method trains as long as its budget says; tuning it would reward longer training"
_MEASURE = "it says how results are measured, which is the same for all trials and methods"
_MEASURING = (
    *("evaluate", "window", "boundaries", "surface_distances", "absent_classes", "validations", "select"),
    *("timing", "keep", "features", "threads"),
)
_OTHERS = "it names another method, whose results are the same for all trials"

# Keys of a recipe that are the same for all trials of a method, and why.
NOT_TUNABLE = {
    "protocol.budget": _LENGTH,
    **dict.fromkeys((f"protocol.{key}" for key in _MEASURING), _MEASURE),
    **dict.fromkeys(("start_from", "refines.method", "trains_on.synthetic", "unlabelled.pseudo_labels_from"), _OTHERS),
    "labels": "settings are tuned for each fraction of the labels by itself",
    "adversarial.placebo": "a placebo has the settings of the method whose placebo it is",
    **dict.fromkeys(ATTRIBUTION_KEYS, "it says whose the method is"),
    "extends": "it is resolved before there are trials",
    "tune": "it is resolved before there are trials",
}


class TrialEntry(NamedTuple):
    """A trial as a method of its own, and the settings in which it differs from the method that is tuned."""

    name: str
    method: MethodEntry
    settings: dict[str, Any]


def is_tuned(method: MethodEntry) -> bool:
    """Whether a method says what of it is tuned, or inherits that."""
    return "tune" in method.entries


def tuned_keys(method: MethodEntry) -> list[str]:
    """Return the dotted keys that are tuned of a method; none if it is not tuned."""
    return [key for key, _ in _walk_space(method.entries["tune"])] if is_tuned(method) else []


def read_tuning(node: Node | None, methods: Mapping[str, MethodEntry], seeds: Sequence[int]) -> Tune | None:
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
    tune = validate(Tune, node)
    if not tuned:
        raise node.error(
            "no method says what of it is tuned; give methods a tune: {protocol.optimizer.lr: [5e-4, 2e-3]}, or take "
            "this out"
        )
    _check_seed(tune, seeds, node)
    for method in tuned.values():
        _check_size(method, tune)
    return tune


def _check_seed(tune: Tune, seeds: Sequence[int], node: Node) -> None:
    if tune.seed in seeds:
        free = next(seed for seed in range(100, 101 + len(seeds)) if seed not in seeds)
        raise node.mapping()["seed"].error(
            f"{tune.seed} is one of the benchmark's seeds: settings would be chosen on a run that is then "
            f"reported; take another one, such as {free}"
        )


def _check_size(method: MethodEntry, tune: Tune) -> None:
    found = count_combinations({key: values for key, (_, values) in _read_space(method).items()})
    if found < tune.trials:
        raise method.entries["tune"].error(
            f"there are {found} combinations of these values, but every tuned method gets {tune.trials} trials; give "
            "more values, or lower tune.trials"
        )


def add_trials(
    methods: Mapping[str, Method], written: Mapping[str, MethodEntry], tune: Tune, protocol: Node, registry: Registry
) -> dict[str, Method]:
    """Return the methods, each tuned one followed by its trials; a placebo shares those of its method.

    Raises SpecError where a method cannot be tuned, and for a recipe that is wrong in any trial, which it names.
    """
    references = upstream_references(written)
    found: dict[str, Method] = {}
    for name, method in methods.items():
        if not is_tuned(written[name]):
            found[name] = method
            continue
        owner = _owner_of_trials(name, written)
        like = references[owner].get("budget")
        _check_can_be_tuned(method, written[owner])
        if like is not None:
            _check_is_tuned_too(owner, like, written)
        trials = make_trials(owner, written[owner], tune)
        tuning = Tuning(seed=tune.seed, trials={trial.name: trial.settings for trial in trials})
        found[name] = method.model_copy(update={"tuning": tuning})
        for number, trial in enumerate(trials, 1):
            if trial.name not in found:
                budget = f"{_owner_of_trials(like.to, written)}#{number}" if like else None
                found[trial.name] = _resolve_trial(trial, method, owner, budget, protocol, registry)
    return found


def _owner_of_trials(name: str, written: Mapping[str, MethodEntry]) -> str:
    """Return the method whose trials this one takes: itself, or the one whose placebo it is."""
    return written[name].placebo_of or name


def _resolve_trial(
    trial: TrialEntry, tuned: Method, owner: str, like: str | None, protocol: Node, registry: Registry
) -> Method:
    try:
        method = resolve_method(trial.name, trial.method, protocol, registry)
    except SpecError as error:
        raise name_trial(error, trial.name, trial.settings) from error
    if method.maps != tuned.maps:
        mismatch = trial.method.entries["tune"].error(
            f"a generator is tuned among those that map {tuned.maps!r}; {method.generator.use} maps {method.maps!r}"
        )
        raise name_trial(mismatch, trial.name, trial.settings)
    if _kind_of_weight(method) != _kind_of_weight(tuned):
        mismatch = trial.method.entries["tune"].error(
            f"a weight is tuned among numbers or among ratios, as {owner!r} has it: placebos take over what ratios set"
        )
        raise name_trial(mismatch, trial.name, trial.settings)
    measured = {"evaluate": "val", "keep": Keep(model="none", samples=0)}
    budget = Budget(like=like) if like else method.protocol.budget
    return method.with_protocol(**measured, budget=budget).model_copy(update={"trial_of": owner})


def _kind_of_weight(method: Method) -> str:
    """Return how the weight is set, that of a placebo as its claim's is."""
    if method.adversarial is None or isinstance(method.adversarial.weight, float):
        return "number"
    like = method.adversarial.like
    return "ratio" if like in (None, method.placebo_of) else f"like {like}"


def _check_can_be_tuned(method: Method, written: MethodEntry) -> None:
    place = written.entries["tune"].place
    if method.maps not in SEGMENTING_MAPS:
        raise place.error(
            f"settings are chosen by mIoU on val, which only methods have that map {quote_names(SEGMENTING_MAPS)}; "
            f"{method.generator.use} maps {method.maps!r}"
        )
    if method.protocol.evaluate == "val":
        raise place.error(
            "settings are chosen on val, so scores of val, for which protocol.evaluate asks, would look too good; "
            "set evaluate: test"
        )


def _check_is_tuned_too(owner: str, like: Reference, written: Mapping[str, MethodEntry]) -> None:
    if not is_tuned(written[like.to]):
        raise like.place.error(
            f"{owner!r} is tuned, but {like.to!r} is not, so its trials have none to train as long as; tune "
            f"both, or write tune: null for {owner!r}"
        )


def make_trials(name: str, method: MethodEntry, tune: Tune) -> list[TrialEntry]:
    """Return the trials of a tuned method, named NAME#1, NAME#2 and so on (`draw_combinations` says which)."""
    space = _read_space(method)
    plain = {key: [value.plain() for value in values] for key, (_, values) in space.items()}
    trials = []
    for number, chosen in enumerate(draw_combinations(plain, tune.trials, tune.seed), 1):
        recipe = method.recipe
        for key, (entry, values) in space.items():
            place = replace(entry.place, path=method.recipe.place.path)
            recipe = put(recipe, key.split("."), values[chosen[key]], place)
        settings = {key: plain[key][chosen[key]] for key in space}
        trials.append(TrialEntry(f"{name}#{number}", MethodEntry(recipe), settings))
    return trials


def _read_space(method: MethodEntry) -> dict[str, tuple[Node, list[Node]]]:
    """Return for each dotted key the node where it is listed, and the values that it may have."""
    node = method.entries["tune"]
    space: dict[str, tuple[Node, list[Node]]] = {}
    for key, entry in _walk_space(node):
        if key in space:
            raise entry.error(f"{key} is listed twice")
        _check_is_free(key, entry)
        space[key] = entry, _read_values(entry)
    if not space:
        raise node.error(f"{SEARCH_SPACE_FORM}; to tune nothing, write tune: null")
    return space


def _walk_space(node: Node, above: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every dotted key and what stands there; keys may be nested as in the recipe."""
    for name, entry in node.mapping(SEARCH_SPACE_FORM).items():
        key = f"{above}.{name}" if above else name
        if isinstance(entry.value, dict):
            yield from _walk_space(entry, key)
        elif entry.value is not None:
            yield key, entry


def _check_is_free(key: str, entry: Node) -> None:
    for fixed, why in NOT_TUNABLE.items():
        if f"{key}.".startswith(f"{fixed}."):
            raise entry.error(f"{fixed} cannot be tuned: {why}")
        if fixed.startswith(f"{key}."):
            raise entry.error(f"{key} cannot be tuned as a whole; name a key within it, but not {fixed}: {why}")


def _read_values(entry: Node) -> list[Node]:
    values = entry.sequence("must be a list of the values that it may have")
    if not values:
        raise entry.error("there is no value; give at least one")
    for index, value in enumerate(values):
        if value.plain() in [earlier.plain() for earlier in values[:index]]:
            raise value.error(f"{value.plain()!r} is listed twice")
    return values


def count_combinations(space: Mapping[str, Sequence[Any]]) -> int:
    """Return how many combinations a space from keys to lists of values has."""
    return math.prod(len(values) for values in space.values())


def draw_combinations(space: Mapping[str, Sequence[Any]], trials: int, seed: int) -> list[dict[str, int]]:
    """Return for each trial which value of each key it has, by its index in the list; no combination comes twice.

    The values of a key are shuffled by seed, key and value alone and then taken one after the other, as in a Latin
    hypercube (McKay et al. 1979), so each is tried as often as the others, give or take one. Where a combination would
    come again, the key that sorts last skips one. Spaces that give a key the same values thus try the same ones in the
    same trials, at least until something had to be skipped. There must be as many combinations as trials, or more.

    >>> [trial["lr"] for trial in draw_combinations({"lr": [0.1, 0.2, 0.4]}, 3, seed=7)]
    [1, 0, 2]
    >>> [trial["lr"] for trial in draw_combinations({"lr": [0.1, 0.2, 0.4], "weight": [1, 2]}, 3, seed=7)]
    [1, 0, 2]
    """
    chosen: list[dict[str, int]] = [{} for _ in range(trials)]
    period = 1  # trials after which the combinations of the keys so far begin anew
    for key in sorted(space):
        order = _shuffle(key, space[key], seed)
        rounds = math.gcd(period, len(order))
        before_repeating = math.lcm(period, len(order))
        for trial, indices in enumerate(chosen):
            skipped = trial // before_repeating % rounds
            indices[key] = order[(trial + skipped) % len(order)]
        period *= len(order)
    return chosen


def _shuffle(key: str, values: Sequence[Any], seed: int) -> list[int]:
    """Return the indices of the values in an order that no version of a random generator can change."""

    def place(index: int) -> str:
        return hashlib.sha256(json.dumps([seed, key, values[index]], sort_keys=True).encode()).hexdigest()

    return sorted(range(len(values)), key=place)


def format_settings(settings: Mapping[str, Any], above: str = "") -> str:
    """Return settings as messages list them; `above` is the path of the mapping that they are in, with its dot.

    >>> format_settings({"protocol.optimizer.lr": 0.002, "adversarial.weight": {"ratio": 0.1}})
    'protocol.optimizer.lr: 0.002, adversarial.weight.ratio: 0.1'
    """
    return ", ".join(
        format_settings(value, f"{above}{key}.") if isinstance(value, dict) else f"{above}{key}: {value}"
        for key, value in settings.items()
    )


def name_trial(error: SpecError, name: str, settings: Mapping[str, Any]) -> SpecError:
    """Return an error that also names the trial in which it occurs."""
    return SpecError(f"{error}\n  in the trial {name} with {format_settings(settings)}")
