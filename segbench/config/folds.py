"""Cross-validation in a benchmark file: what it asks of methods, and whether a fold takes the place of val."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .protocol import TrainingProtocol
    from .recipe import DatasetUse, Folds, Method, Tune
    from .yaml import Node


def settle_folds(
    datasets: Mapping[str, DatasetUse],
    entries: Mapping[str, Node],
    methods: Mapping[str, Method],
    protocol: TrainingProtocol,
    tune: Tune | None,
) -> dict[str, DatasetUse]:
    """Return the datasets; those with val in their pool have a fold as val where the benchmark validates or tunes.

    `entries` are what is written of each dataset. It depends on the benchmark's own protocol, so that all methods learn
    from the same images. Raises SpecError for a method that is scored on something else than the fold that is held
    out, or looks at a val split that is in the pool, and for too few folds.
    """
    needs_val = protocol.validations > 0 or tune is not None
    settled = dict(datasets)
    for name, use in datasets.items():
        if use.folds is None:
            continue
        place = entries[name].mapping()["folds"]
        folds = use.folds
        if needs_val and folds.holds("val") and not folds.val:
            if folds.count < 3:
                raise place.error(
                    "a fold takes the place of val, for validations or tuning, and with one of 2 tested none is left "
                    "to train on; take 3 folds or more, or keep val out of the pool: {count: 2, pool: [train, test]}"
                )
            folds = folds.model_copy(update={"val": True})
        for method in methods.values():
            _check_method(method, folds, place)
        settled[name] = use.model_copy(update={"folds": folds})
    return settled


def _check_method(method: Method, folds: Folds, place: Node) -> None:
    protocol = method.protocol
    if method.trial_of is None and protocol.evaluate != "test":
        raise place.error(
            f"{method.name} is scored on {protocol.evaluate}; under cross-validation test is the fold that is held "
            "out, so set evaluate: test"
        )
    if protocol.validations and folds.holds("val") and not folds.val:
        raise place.error(
            f"{method.name} alone looks at val, whose images are in the pool; set validations in the benchmark's "
            "protocol, or val: true in folds, so that a fold is val for every method"
        )
