"""Cells, the unit that runs, fails, resumes and is cached: which ones a benchmark has and what each needs."""

from __future__ import annotations

import re
from collections import deque
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from segbench.config.attribution import Attribution
from segbench.config.frozen import Frozen
from segbench.config.recipe import DatasetUse, Method, Origin
from segbench.errors import SegbenchError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.config.recipe import Benchmark


EVERYTHING = "all"


class Cell(Frozen):
    """One (dataset, subset, method, seed) of a benchmark.

    `subset` is written as by `Subset`. `key` is None while the data cannot be read. `upstream` maps the reason
    ("start_from", "refines fold 1/5", "budget", "trial 1/4") to the key of the cell that it needs; what it takes over
    for the last two is only known when it starts. `for_tuning` says that it has the seed of tuning and serves it alone.
    `attribution` and `origin` are those of its benchmark. `method.protocol.threads` is filled in. `fingerprint`
    identifies the dataset's content, `cache_key` its decoded form; `sources`, `versions` and `files` (the hashes of
    files that options name by their paths) are what else the key covers.
    """

    benchmark: str
    dataset_name: str
    dataset: DatasetUse
    subset: str = EVERYTHING
    method: Method
    seed: int
    for_tuning: bool = False
    attribution: Attribution | None = None
    origin: Origin | None = None
    fingerprint: str | None = None
    cache_key: str | None = None
    sources: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    upstream: dict[str, str | None] = Field(default_factory=dict)
    key: str | None = None

    @property
    def label(self) -> str:
        """How messages name the cell."""
        return cell_label(self.dataset_name, self.subset, self.method.name, self.seed)

    @property
    def component_names(self) -> list[str]:
        """The full names of all its components."""
        return [self.dataset.use, *(use.use for _, use in self.method.components)]


def cell_label(dataset: str, subset: str, method: str, seed: int) -> str:
    """Return how messages name a cell; its subset only where it is not everything."""
    parts = [dataset, method, f"seed {seed}"] if subset == EVERYTHING else [dataset, method, subset, f"seed {seed}"]
    return " / ".join(parts)


class Subset(NamedTuple):
    """Which images a cell is trained on, and which it is tested on where its dataset is cross-validated.

    Under cross-validation it is tested on `test_fold`, counted from 1, of the `test_folds` folds of the pool, and the
    others are its training images. It has the labels of a `fraction`, in (0, 1], of its training images. The base of a
    refiner is trained on all but one of `folds` folds of those, which it then predicts. Written "all", "labels 0.125",
    "fold 1/5" or "test fold 2/5, labels 0.125, fold 1/5".
    """

    fraction: float = 1.0
    fold: int | None = None
    folds: int | None = None
    test_fold: int | None = None
    test_folds: int | None = None

    def __str__(self) -> str:
        parts = [f"test fold {self.test_fold}/{self.test_folds}"] if self.is_cross_validated else []
        parts += [] if self.fraction == 1 else [f"labels {float(self.fraction)!r}"]
        parts += [f"fold {self.fold}/{self.folds}"] if self.is_fold else []
        return ", ".join(parts) or EVERYTHING

    @property
    def is_fold(self) -> bool:
        """Whether one fold of the training images is left out of training, to be predicted for a refiner."""
        return self.fold is not None

    @property
    def is_cross_validated(self) -> bool:
        """Whether one fold of the pool is left out of training, to be tested."""
        return self.test_fold is not None

    @classmethod
    def parse(cls, text: str) -> Subset:
        """Return the subset that `str` writes so; SegbenchError if there is none."""
        subset = cls() if text == EVERYTHING else _parse(text)
        if subset is None or str(subset) != text or not _is_possible(subset):
            raise SegbenchError(
                f"{text!r} is no subset; write {EVERYTHING!r}, or one or more of 'test fold 2/5', 'labels 0.125' and "
                "'fold 1/5', in this order, with a comma and a space in between"
            )
        return subset

    def without_each(self, folds: int) -> tuple[Subset, ...]:
        """Return what is left of this subset without each of its folds in turn."""
        return tuple(self._replace(fold=fold, folds=folds) for fold in range(1, folds + 1))

    def whole(self) -> Subset:
        """Return this subset with no fold of its training images left out."""
        return self._replace(fold=None, folds=None)

    def pooled(self) -> Subset:
        """Return what the cells of all test folds together are trained on: this subset without its test fold."""
        return self._replace(test_fold=None, test_folds=None)


class Identity(NamedTuple):
    """Which cell of a benchmark it is."""

    dataset: str
    subset: Subset
    method: str
    seed: int

    def __str__(self) -> str:
        return cell_label(self.dataset, str(self.subset), self.method, self.seed)


def sort_upstream_first(benchmark: Benchmark) -> dict[Identity, dict[str, Identity]]:
    """Return the cells that a benchmark asks for or needs, each with those that it needs, by the reason.

    Upstream cells come first, otherwise it goes dataset by dataset and seed by seed. Raises SpecError for
    cyclic references and for a method that does not exist.
    """
    needs = _find_needs(benchmark)
    try:
        order = list(TopologicalSorter({cell: needed.values() for cell, needed in needs.items()}).static_order())
    except CycleError as error:
        cycle = " <- ".join(map(str, error.args[1]))
        raise SpecError(f"{benchmark.source}: cyclic reference between cells: {cycle}") from error
    return {identity: needs[identity] for identity in order}


def _find_needs(benchmark: Benchmark) -> dict[Identity, dict[str, Identity]]:
    needs: dict[Identity, dict[str, Identity]] = {}
    waiting = deque(_list_requested(benchmark))
    while waiting:
        identity = waiting.popleft()
        if identity not in needs:
            needs[identity] = _find_upstream(identity, benchmark)
            waiting.extendleft(reversed(needs[identity].values()))
    return needs


def _list_requested(benchmark: Benchmark) -> Iterator[Identity]:
    # Trials are run only for the methods whose trials they are.
    methods = {name: method for name, method in benchmark.methods.items() if method.trial_of is None}
    for dataset, use in benchmark.datasets.items():
        for seed in benchmark.seeds:
            for name, method in methods.items():
                for subset in _list_subsets(method, use):
                    yield Identity(dataset, subset, name, seed)


def _list_subsets(method: Method, use: DatasetUse) -> list[Subset]:
    wholes = [Subset(fraction) for fraction in method.labels]
    if use.folds is None:
        return wholes
    count = use.folds.count
    return [whole._replace(test_fold=fold, test_folds=count) for whole in wholes for fold in range(1, count + 1)]


def _find_upstream(identity: Identity, benchmark: Benchmark) -> dict[str, Identity]:
    """Return the cells that this one needs: of the same dataset, subset and seed, for a trained refiner the folds of
    its base, and for a tuned method its trials.
    """
    method = benchmark.methods[identity.method]
    needed = {
        reason: identity._replace(method=_check_method(other, f"{identity.method}.{reason}", benchmark))
        for reason, other in method.upstream.items()
        if _is_needed(reason, identity.subset)
    }
    return {**needed, **_find_folds(identity, method, benchmark), **_find_trials(identity, method, benchmark)}


def _check_method(name: str, path: str, benchmark: Benchmark) -> str:
    if name not in benchmark.methods:
        raise SpecError(f"{benchmark.source}: methods.{path}: there is no method {name!r}")
    return name


def _is_needed(reason: str, subset: Subset) -> bool:
    # Where all labels are used there are no images to label.
    return reason != "pseudo_labels_from" or subset.fraction < 1


def _find_folds(identity: Identity, method: Method, benchmark: Benchmark) -> dict[str, Identity]:
    if method.refines is None or not method.is_trained:
        return {}
    if identity.subset.is_fold:
        raise SpecError(
            f"{benchmark.source}: methods.{method.name}.refines: another trained refiner on top of this one would need "
            "nested folds, which segbench does not make"
        )
    base = identity._replace(method=method.refines.method)
    parts = identity.subset.without_each(method.refines.folds)
    return {f"refines fold {part.fold}/{part.folds}": base._replace(subset=part) for part in parts}


def _find_trials(identity: Identity, method: Method, benchmark: Benchmark) -> dict[str, Identity]:
    """Return the trials on the same share of the labels of the same training images, tuned once for all their folds."""
    if method.tuning is None:
        return {}
    tried = identity._replace(subset=identity.subset.whole(), seed=method.tuning.seed)
    return {
        reason: tried._replace(method=_check_method(name, f"{identity.method}.tune", benchmark))
        for reason, name in method.trials.items()
    }


_NUMBER = "[0-9]{1,9}"
_WRITTEN = re.compile(
    rf"(?:, test fold (?P<test_fold>{_NUMBER})/(?P<test_folds>{_NUMBER}))?"
    r"(?:, labels (?P<fraction>[0-9.e-]+))?"
    rf"(?:, fold (?P<fold>{_NUMBER})/(?P<folds>{_NUMBER}))?"
)


def _parse(text: str) -> Subset | None:
    match = _WRITTEN.fullmatch(f", {text}")
    if match is None:
        return None
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    try:
        fraction = float(found.pop("fraction", 1))
    except ValueError:
        return None
    return Subset(fraction, **{name: int(value) for name, value in found.items()})


def _is_possible(subset: Subset) -> bool:
    numbers = ((subset.fold, subset.folds), (subset.test_fold, subset.test_folds))
    folds_exist = all(fold is None or 1 <= fold <= (folds or 0) >= 2 for fold, folds in numbers)
    return 0 < subset.fraction <= 1 and folds_exist
