"""The trials of tuned methods, resolved: methods that differ from theirs in the settings tried, scored on val."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.contracts import SEGMENTING_MAPS
from segbench.errors import SpecError

from .maps import listed
from .methods import resolved_method
from .protocol import Budget, Keep
from .recipe import Method, Tuning
from .tune import in_trial, is_tuned, written_trials
from .written import upstream_references

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.registry import Registry

    from .node import Node
    from .recipe import Tune
    from .references import Reference
    from .tune import WrittenTrial
    from .written import Written


def with_trials(
    methods: Mapping[str, Method], written: Mapping[str, Written], tune: Tune, protocol: Node, registry: Registry
) -> dict[str, Method]:
    """Return the methods, each tuned one followed by its trials; a placebo has those of the method it is a placebo of.

    Raises SpecError where a method cannot be tuned, and for a recipe that is wrong in any trial, which it names.
    """
    references = upstream_references(written)
    joined: dict[str, Method] = {}
    for name, method in methods.items():
        if not is_tuned(written[name]):
            joined[name] = method
            continue
        arm = _arm(name, written)
        like = references[arm].get("budget")
        _check_can_be_tuned(method, written[arm])
        if like is not None:
            _check_is_tuned_too(arm, like, written)
        trials = written_trials(arm, written[arm], tune)
        tuning = Tuning(seed=tune.seed, trials={trial.name: trial.settings for trial in trials})
        joined[name] = method.model_copy(update={"tuning": tuning})
        for number, trial in enumerate(trials, 1):
            if trial.name not in joined:
                budget = f"{_arm(like.to, written)}#{number}" if like else None
                joined[trial.name] = _resolved(trial, method, arm, budget, protocol, registry)
    return joined


def _arm(name: str, written: Mapping[str, Written]) -> str:
    """Return the method that is tuned where this one is asked for."""
    return written[name].placebo_of or name


def _resolved(
    trial: WrittenTrial, tuned: Method, arm: str, like: str | None, protocol: Node, registry: Registry
) -> Method:
    try:
        method = resolved_method(trial.name, trial.method, protocol, registry)
    except SpecError as error:
        raise in_trial(error, trial.name, trial.settings) from error
    if method.maps != tuned.maps:
        mismatch = trial.method.entries["tune"].error(
            f"a generator is tuned among those that map {tuned.maps!r}; {method.generator.use} maps {method.maps!r}"
        )
        raise in_trial(mismatch, trial.name, trial.settings)
    measured = {"evaluate": "val", "keep": Keep(model="none", samples=0)}
    budget = Budget(like=like) if like else method.protocol.budget
    own = method.protocol.model_copy(update={**measured, "budget": budget})
    return method.model_copy(update={"protocol": own, "trial_of": arm})


def _check_can_be_tuned(method: Method, written: Written) -> None:
    place = written.entries["tune"].place
    if method.maps not in SEGMENTING_MAPS:
        raise place.error(
            f"settings are chosen by mIoU on val, which only methods have that map {listed(SEGMENTING_MAPS)}; "
            f"{method.generator.use} maps {method.maps!r}"
        )
    if method.protocol.evaluate == "val":
        raise place.error(
            "settings are chosen on val, so scores of val, for which protocol.evaluate asks, would look too good; "
            "set evaluate: test"
        )


def _check_is_tuned_too(arm: str, like: Reference, written: Mapping[str, Written]) -> None:
    if not is_tuned(written[like.to]):
        raise like.place.error(
            f"{arm!r} is tuned, but {like.to!r} is not, so there are no trials whose time its own could take; tune "
            f"both, or write tune: null for {arm!r}"
        )
