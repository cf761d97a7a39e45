"""Which part of the training images a cell is trained on."""

from __future__ import annotations

import re
from typing import NamedTuple

from segbench.errors import SegbenchError

EVERYTHING = "all"

_WRITTEN = re.compile(
    r"(?=[lf])(?:labels (?P<fraction>[0-9.e-]+))?(?:(?:^|, )fold (?P<fold>[0-9]{1,9})/(?P<folds>[0-9]{1,9}))?"
)


class Subset(NamedTuple):
    """A fraction of the training labels, in (0, 1], and of these all but one of `folds` folds, counted from 1.

    Written "all", "labels 0.125", "fold 1/5" or "labels 0.125, fold 1/5".
    """

    fraction: float = 1.0
    fold: int | None = None
    folds: int | None = None

    def __str__(self) -> str:
        parts = [] if self.fraction == 1 else [f"labels {float(self.fraction)!r}"]
        if self.is_fold:
            parts.append(f"fold {self.fold}/{self.folds}")
        return ", ".join(parts) or EVERYTHING

    @property
    def is_fold(self) -> bool:
        """Whether one fold is left out of training, to be predicted afterwards."""
        return self.fold is not None

    @classmethod
    def parse(cls, text: str) -> Subset:
        """Return the subset that `str` writes so; SegbenchError if there is none."""
        subset = cls() if text == EVERYTHING else _parse(text)
        if subset is None or str(subset) != text or not _is_possible(subset):
            raise SegbenchError(
                f"{text!r} is no subset; write {EVERYTHING!r}, 'labels 0.125', 'fold 1/5' or 'labels 0.125, fold 1/5'"
            )
        return subset

    def without_each(self, folds: int) -> tuple[Subset, ...]:
        """Return what is left of this subset without each of its folds in turn."""
        return tuple(self._replace(fold=fold, folds=folds) for fold in range(1, folds + 1))


def _parse(text: str) -> Subset | None:
    match = _WRITTEN.fullmatch(text)
    try:
        fraction = float((match and match["fraction"]) or 1)
    except ValueError:
        return None
    if match is None or match["fold"] is None:
        return match and Subset(fraction)
    return Subset(fraction, int(match["fold"]), int(match["folds"]))


def _is_possible(subset: Subset) -> bool:
    fold_exists = subset.fold is None or 1 <= subset.fold <= (subset.folds or 0) >= 2
    return 0 < subset.fraction <= 1 and fold_exists
