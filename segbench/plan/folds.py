"""Cross-validated datasets: whether they can be divided as asked, and what to beware of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.errors import SpecError

from .cell import Subset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.config.recipe import Benchmark, DatasetUse
    from segbench.contract import Dataset

    from .cell import Cell


# The splits of datasets that ship with segbench on which papers report scores. That a dataset has a test split does not
# tell: VOC and Cityscapes keep theirs to themselves, and for data of one's own to be pooled is what folds are for.
REPORTED_SPLITS = {
    "data/camvid": "test",
    "data/cityscapes": "val",
    "data/drive": "test",
    "data/isic": "test",
    "data/oxford_pets": "test",
    "data/voc2012": "val",
}


def check_folds(benchmark: Benchmark, datasets: Mapping[str, Dataset]) -> None:
    """Raise SpecError for a pool of splits that a dataset does not have, and for more folds than images."""
    for name, dataset in datasets.items():
        folds = benchmark.datasets[name].folds
        if folds is None:
            continue
        where = f"{benchmark.source}: datasets.{name}.folds"
        missing = [split for split in folds.pool or () if split not in dataset.splits]
        if missing:
            raise SpecError(
                f"{where}: the pool names {', '.join(missing)}, but this dataset has only {', '.join(dataset.splits)}"
            )
        images = sum(len(dataset.splits[split]) for split in folds.splits_in(dataset.splits))
        if images < folds.count:
            raise SpecError(
                f"{where}: {images} images cannot be divided into {folds.count} folds; take at most {images}"
            )


def fold_warnings(use: DatasetUse, dataset: Dataset) -> list[str]:
    """Return what to beware of where a dataset is cross-validated."""
    folds = use.folds
    if folds is None:
        return []
    pool = folds.splits_in(dataset.splits)
    warnings = []
    if (reported := REPORTED_SPLITS.get(use.use)) in pool:
        others = ", ".join(split for split in pool if split != reported)
        warnings.append(
            f"papers report scores on the {reported} split of {use.use}, which is in the pool of these folds, "
            f"so theirs cannot be compared with these; pool: [{others}] keeps it apart"
        )
    if folds.val:
        warnings.append(
            f"the fold after the tested one takes the place of val and is left out of training, so networks "
            f"learn from {folds.count - 2} of {folds.count} folds"
        )
    return warnings


def keep_folds(cells: Sequence[Cell], numbers: Iterable[int]) -> tuple[Cell, ...]:
    """Return the cells of some test folds, and those of datasets that are not cross-validated.

    What a cell needs is of the same test fold. Raises SpecError for a number of which there is no fold.
    """
    folds = [Subset.parse(cell.subset).test_fold for cell in cells]
    known = {fold for fold in folds if fold is not None}
    for number in numbers:
        if number not in known:
            there_are = f"there are 1 to {max(known)}" if known else "no dataset here is cross-validated (folds: 5)"
            raise SpecError(f"--folds {number}: there is no such test fold; {there_are}")
    wanted = {None, *numbers}
    return tuple(cell for cell, fold in zip(cells, folds, strict=True) if fold in wanted)
