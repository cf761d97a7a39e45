"""A folder of images and masks, looked at whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from segbench.errors import DataError
from segbench.images.opening import read_header
from segbench.registry.datasets import open_dataset

from .layout import SPLIT, find_layout
from .links import link_splits
from .masks import MaskSurvey, survey_mask
from .names import find_names
from .polygons import draw_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from segbench.contract import Dataset, FileSplit
    from segbench.images.opening import Header
    from segbench.registry import Registry

    from .layout import Layout
    from .names import NamedClass
    from .polygons import DrawnMasks

    Pair = tuple[Path, Path]

FOLDER = "data/folder"
DESCRIPTION = "dataset.json"
# Datasets that have a component of their own, by folders that tell them.
PUBLISHED = {
    "data/cityscapes": ("leftImg8bit", "gtFine"),
    "data/voc2012": ("VOCdevkit/VOC2012/SegmentationClass",),
}


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    `use` with `options` is the component that reads it; `layout` says where images and masks lie, in words; `is_split`
    whether the folder itself says which image is of which split; `splits` are the numbers of images, `sizes` heights
    and widths. Unless the component knows classes, `masks` are all masks and `learnt` those of train; `named` are the
    classes that the file `names_in` names, or the shapes of which masks were drawn; `remarks` are to be told.
    `described` are the classes of a dataset.json.
    """

    use: str
    options: Mapping[str, Any]
    layout: str
    is_split: bool
    splits: Mapping[str, int]
    sizes: tuple[tuple[int, int], ...]
    masks: MaskSurvey | None = None
    learnt: MaskSurvey | None = None
    named: Sequence[NamedClass] = ()
    names_in: Path | None = None
    remarks: tuple[str, ...] = ()
    described: tuple[str, ...] = ()


def survey_folder(
    root: Path,
    registry: Registry,
    watch: Callable[[list[Path]], Iterable[Path]],
    images: str | None = None,
    masks: str | None = None,
) -> Survey:
    """Look at the header of each image and at the pixels of each mask.

    `images` and `masks` are folders that are not to be guessed; `watch` passes masks on and shows how far it is. Raises
    DataError for what no dataset can be made of.
    """
    for name, folders in PUBLISHED.items():
        if all((root / folder).is_dir() for folder in folders):
            dataset = open_dataset(registry.find("dataset", name), str(root), {})
            return _describe(dataset, name, {}, f"the folders of {name}", is_split=True)
    layout, drawn = _find_or_draw(root, images, masks)
    linked = link_splits(root, layout)
    is_described = (root / DESCRIPTION).is_file()
    unknown = {} if is_described else {"classes": ["unknown"]}
    dataset = open_dataset(registry.find("dataset", FOLDER), str(root), {**layout.options, **unknown})
    where = layout.describe() + (f", split files in {layout.splits}/" if layout.splits else "")
    is_split = layout.splits is not None or SPLIT in layout.images
    found = _describe(dataset, FOLDER, layout.options, where, is_split=is_split)
    found = replace(found, remarks=(*(drawn.remarks if drawn is not None else ()), *linked))
    if is_described:
        found = replace(found, described=tuple(dataset.classes))
    return _with_masks(found, root, dataset, watch, drawn)


def _find_or_draw(root: Path, images: str | None, masks: str | None) -> tuple[Layout, DrawnMasks | None]:
    """Return the layout of a folder, after masks were drawn of its polygons where it has none."""
    try:
        return find_layout(root, images, masks), None
    except DataError:
        is_wrong = images is not None and not (root / images).is_dir()
        if masks is not None or is_wrong or not root.is_dir() or (drawn := draw_masks(root, images)) is None:
            raise
    return find_layout(root, images), drawn


def _describe(dataset: Dataset, use: str, options: Mapping[str, Any], layout: str, *, is_split: bool) -> Survey:
    pairs = [pair for name in dataset.splits for pair in _pairs(dataset, name)]
    headers = [(read_header(image), read_header(mask)) for image, mask in pairs]
    for (image, mask), (shot, drawn) in zip(pairs, headers, strict=True):
        if (drawn.width, drawn.height) not in ((shot.width, shot.height), shot.shown):
            raise DataError(
                f"{image} is {shot.width}x{shot.height} pixels, its mask {mask} {drawn.width}x{drawn.height}; give "
                "both one size"
            )
    return Survey(
        use,
        {**options, **(_reading_options(headers) if use == FOLDER else {})},
        layout,
        is_split,
        {name: len(split) for name, split in dataset.splits.items()},
        tuple((drawn.height, drawn.width) for _, drawn in headers),
    )


def _pairs(dataset: Dataset, split: str) -> Sequence[Pair]:
    return cast("Sequence[Pair]", cast("FileSplit", dataset.splits[split]).files)


def _reading_options(headers: Sequence[tuple[Header, Header]]) -> dict[str, Any]:
    """Return the options for images with orientation tags and of several pages."""
    turned = [(shot, drawn) for shot, drawn in headers if shot.orientation != 1]
    pages = max(shot.pages for shot, _ in headers)
    fits = all((drawn.width, drawn.height) == shot.shown for shot, drawn in turned)
    orientation = {"orientation": "apply" if fits else "stored"} if turned else {}
    return orientation | ({"channels": pages} if pages > 1 else {})


def _with_masks(
    found: Survey,
    root: Path,
    dataset: Dataset,
    watch: Callable[[list[Path]], Iterable[Path]],
    drawn: DrawnMasks | None,
) -> Survey:
    whole, learnt = MaskSurvey(), MaskSurvey()
    train = {mask for _, mask in _pairs(dataset, "train")} if "train" in dataset.splits else set()
    for path in watch([mask for name in dataset.splits for _, mask in _pairs(dataset, name)]):
        one = survey_mask(path)
        whole.include(one, path)
        if path in train:
            learnt.include(one, path)
    file, named = find_names(root) if drawn is None else (None, drawn.named)
    return replace(found, masks=whole, learnt=learnt, named=named, names_in=file)
