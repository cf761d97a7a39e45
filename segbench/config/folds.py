"""Cross-validation in a benchmark file: what it asks of methods, and whether a fold takes the place of val."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from segbench.contract import SPLITS

from .frozen import Frozen, added, may_be_bare

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .protocol import TrainingProtocol
    from .recipe import DatasetUse, Method, Tune
    from .yaml import Node


def _sort_pool(pool: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the one form of a pool that keys hold: splits in their usual order, None for all of them."""
    if pool is not None and (not pool or len(set(pool)) < len(pool)):
        raise ValueError(f"must name one split or more, each once; got [{', '.join(pool)}]")
    return None if pool is None or len(pool) == len(SPLITS) else tuple(name for name in SPLITS if name in pool)


class Folds(Frozen):
    """Cross-validation, which may be written as the bare number of folds: each image of the pool is tested once.

    `count` is the number of folds, `pool` are the splits whose images are divided, None for all that the dataset has.
    With `val` the fold after the tested one is left out of training too, and takes the place of the val split.
    """

    model_config = may_be_bare("count")

    count: Annotated[int, Field(ge=2, le=1000)]
    pool: Annotated[tuple[Literal["train", "val", "test"], ...] | None, AfterValidator(_sort_pool)] = None
    val: bool = added(False)

    @model_validator(mode="before")
    @classmethod
    def expand(cls, value: Any) -> Any:
        """Turn a bare number into a mapping."""
        return value if isinstance(value, dict | cls) else {"count": value}

    @model_validator(mode="after")
    def check_val(self) -> Self:
        """Refuse a fold as val that is not to be had."""
        if self.val and not self.holds("val"):
            raise ValueError("val: true takes a fold as val, so the pool must hold val")
        if self.val and self.count < 3:
            raise ValueError("with one of 2 folds tested and the other as val none is left to train on; take 3 or more")
        return self

    def holds(self, split: str) -> bool:
        """Tell whether a split is in the pool, if the dataset has it."""
        return self.pool is None or split in self.pool

    def splits_in(self, splits: Collection[str]) -> list[str]:
        """Return those of the splits of a dataset that are in the pool, in their usual order."""
        return [name for name in SPLITS if name in splits and self.holds(name)]


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
