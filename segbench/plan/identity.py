"""Which cells a benchmark consists of, and which of them each one needs."""

from __future__ import annotations

from collections import deque
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import SpecError

from .cell import cell_label
from .subset import Subset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.spec.recipe import Benchmark, Method


class Identity(NamedTuple):
    """Which cell of a benchmark it is."""

    dataset: str
    subset: Subset
    method: str
    seed: int

    def __str__(self) -> str:
        return cell_label(self.dataset, str(self.subset), self.method, self.seed)


def upstream_first(benchmark: Benchmark) -> dict[Identity, dict[str, Identity]]:
    """Return the cells that a benchmark asks for or needs, each with those that it needs, by the reason.

    Upstream cells come first, otherwise it goes dataset by dataset and seed by seed. Raises SpecError if methods wait
    for each other in a circle or for one that does not exist.
    """
    needs = _needs(benchmark)
    try:
        order = list(TopologicalSorter({cell: needed.values() for cell, needed in needs.items()}).static_order())
    except CycleError as error:
        circle = " <- ".join(map(str, error.args[1]))
        raise SpecError(f"{benchmark.source}: these cells wait for each other: {circle}") from error
    return {identity: needs[identity] for identity in order}


def _needs(benchmark: Benchmark) -> dict[Identity, dict[str, Identity]]:
    needs: dict[Identity, dict[str, Identity]] = {}
    waiting = deque(_asked_for(benchmark))
    while waiting:
        identity = waiting.popleft()
        if identity not in needs:
            needs[identity] = _upstream(identity, benchmark)
            waiting.extendleft(reversed(needs[identity].values()))
    return needs


def _asked_for(benchmark: Benchmark) -> Iterator[Identity]:
    for dataset in benchmark.datasets:
        for seed in benchmark.seeds:
            for name, method in _methods_asked_for(benchmark):
                for fraction in method.labels:
                    yield Identity(dataset, Subset(fraction), name, seed)


def _methods_asked_for(benchmark: Benchmark) -> Iterator[tuple[str, Method]]:
    """Yield all methods but trials, which are run for the methods whose trials they are."""
    yield from ((name, method) for name, method in benchmark.methods.items() if method.trial_of is None)


def _upstream(identity: Identity, benchmark: Benchmark) -> dict[str, Identity]:
    """Return the cells that this one needs: of the same dataset, subset and seed, for a trained refiner the folds of
    its base, and for a tuned method its trials.
    """
    method = benchmark.methods[identity.method]
    needed = {
        reason: identity._replace(method=_known(other, f"{identity.method}.{reason}", benchmark))
        for reason, other in method.upstream.items()
        if _is_needed(reason, identity.subset)
    }
    return {**needed, **_folds(identity, method, benchmark), **_trials(identity, method, benchmark)}


def _known(name: str, path: str, benchmark: Benchmark) -> str:
    if name not in benchmark.methods:
        raise SpecError(f"{benchmark.source}: methods.{path}: there is no method {name!r}")
    return name


def _is_needed(reason: str, subset: Subset) -> bool:
    """Where all labels are used there are no images to label."""
    return reason != "pseudo_labels_from" or subset.fraction < 1


def _folds(identity: Identity, method: Method, benchmark: Benchmark) -> dict[str, Identity]:
    if method.refines is None or not method.is_trained:
        return {}
    if identity.subset.is_fold:
        raise SpecError(
            f"{benchmark.source}: methods.{method.name}.refines: another refiner is trained on top of this one, which "
            "would need folds of folds; they are not made"
        )
    base = identity._replace(method=method.refines.method)
    parts = identity.subset.without_each(method.refines.folds)
    return {f"refines fold {part.fold}/{part.folds}": base._replace(subset=part) for part in parts}


def _trials(identity: Identity, method: Method, benchmark: Benchmark) -> dict[str, Identity]:
    """Return the trials on the same share of the labels; without a fold, settings are the same as with it."""
    if method.tuning is None:
        return {}
    tried = identity._replace(subset=Subset(identity.subset.fraction), seed=method.tuning.seed)
    return {
        reason: tried._replace(method=_known(name, f"{identity.method}.tune", benchmark))
        for reason, name in method.trials.items()
    }
