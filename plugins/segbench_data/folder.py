"""Any dataset of image and mask files in folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from segbench import DataError, Dataset

from .description import default_palette, read_description
from .tables import IGNORE, colour_ids, colours_of, palette_ids, value_ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .description import Description
    from .labels import MaskReader
    from .listing import Pair

    RGB = tuple[int, int, int]

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def build(
    root,
    *,
    classes: list[str] | None = None,
    values: dict[str, int | list[int]] | None = None,
    colours: dict[str, list[int] | list[list[int]]] | None = None,
    unlisted: Literal["refuse", "ignore"] = "refuse",
    ignore_index: int | None = None,
    channels: int = 3,
    images: str = "images",
    masks: str | None = None,
    image_suffix: str = "",
    mask_suffix: str = "",
    splits: str = "splits",
    fractions: dict[str, float] | None = None,
) -> Dataset:
    """Return a dataset of image files and mask files with the same stems.

    As it stands it reads `images/`, `masks/` (pixel = class id, or ignore_index), `splits/{train,val,test}.txt` (a stem
    a line) and `dataset.json` (classes, palette, ignore_index, licence, citation). Images are PNG, JPEG, BMP or TIFF of
    8 or 16 bits; masks PNG, BMP or TIFF. Options, for everything that differs:

    - `classes`: the names by id; needed unless dataset.json lists them.
    - `values`: which grey value or palette index of a mask is which class, one or several a class; the name `ignore`
      stands for void: `{background: 0, nucleus: [128, 255], ignore: 64}`.
    - `colours`: the same for masks in colour: `{road: [128, 64, 128], car: [64, 0, 128], ignore: [0, 0, 0]}`.
      Masks in colour without it are read by the palette of dataset.json.
    - `unlisted`: what to do with values and colours that are not listed: refuse them, or ignore them.
    - `ignore_index`: the label of void pixels; 255 unless dataset.json says otherwise.
    - `channels`: of the images as delivered: 1 (grey; colour is converted), 3 (colour; grey is repeated), or any number
      that the files hold: pages of a multi-page TIFF, or bands as far as Pillow reads them.
    - `images`, `masks`: folders below root ("." is root itself). Masks lie in `masks/`, or beside the images if
      `mask_suffix` is given.
    - `image_suffix`, `mask_suffix`: what follows the common stem: `_mask` pairs a.jpg with a_mask.png.
    - `splits`: the folder of split files below root. Without such a folder, or with `fractions`, images are dealt to
      splits by a hash of their stem, by default `{train: 0.7, val: 0.1, test: 0.2}`.

    Raises DataError for folders, files, options and a dataset.json that are missing or do not fit together; pixels and
    labels are checked when a sample is read.
    """
    from .files import FilePairs

    description = read_description(root)
    names = _class_names(root, classes, description, values or colours or {})
    void = description.ignore_index if ignore_index is None else ignore_index
    read_mask = _mask_reader(names, void, description, values, colours, unlisted)
    files = _list_files(root / images, _mask_folder(root, images, masks, mask_suffix), image_suffix, mask_suffix)
    pairs = _split_pairs(*files, root / images, root / splits, fractions)
    return Dataset(
        classes=names,
        palette=_palette(names, colours, description),
        splits={split: FilePairs(listed, read_mask, channels) for split, listed in pairs.items()},
        ignore_index=void,
        channels=channels,
        licence=description.licence,
        citation=description.citation,
    )


def _class_names(
    root: Path, classes: Sequence[str] | None, description: Description, table: Mapping[str, object]
) -> tuple[str, ...]:
    if classes is not None:
        return tuple(classes)
    if description.classes:
        return description.classes
    named = ", ".join(name for name in table if name != IGNORE) or "background, nucleus"
    raise DataError(
        f"{root}: the classes are not named; give them in the order of their ids, as `classes: [{named}]` "
        "or in a dataset.json in this folder"
    )


def _mask_reader(
    names: Sequence[str],
    void: int,
    description: Description,
    values: dict[str, int | list[int]] | None,
    colours: dict[str, list[int] | list[list[int]]] | None,
    unlisted: str,
) -> MaskReader:
    from .labels import LabelTable, MaskReader, class_ids

    ignore = unlisted == "ignore"
    if values is not None and colours is not None:
        raise DataError("values and colours are both given; masks are read by one of them: remove the other")
    if colours is not None:
        return MaskReader(None, LabelTable(colour_ids(names, colours, void), void, ignore, colours=True))
    if values is not None:
        return MaskReader(LabelTable(value_ids(names, values, void), void, ignore))
    by_palette = palette_ids(description.palette_for(names) or (), description.ignore_rgb, void)
    table = LabelTable(by_palette, void, ignore, colours=True) if by_palette else None
    return MaskReader(class_ids(len(names), void, ignore_unlisted=ignore), table)


def _mask_folder(root: Path, images: str, masks: str | None, mask_suffix: str) -> Path:
    if masks is None:
        masks = images if mask_suffix else "masks"
    if root / masks == root / images and not mask_suffix:
        raise DataError(f"{root / images}: images and masks in one folder are told apart by mask_suffix; give it")
    return root / masks


def _list_files(
    images: Path, masks: Path, image_suffix: str, mask_suffix: str
) -> tuple[dict[str, Path], dict[str, Path]]:
    from .listing import IMAGE_EXTENSIONS, MASK_EXTENSIONS, files_by_stem

    not_images = mask_suffix if masks == images else ""
    return (
        files_by_stem(images, IMAGE_EXTENSIONS, suffix=image_suffix, except_suffix=not_images),
        files_by_stem(masks, MASK_EXTENSIONS, suffix=mask_suffix),
    )


def _split_pairs(
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    place: Path,
    split_files: Path,
    fractions: Mapping[str, float] | None,
) -> dict[str, list[Pair]]:
    from .pairing import SPLITS, pair_all, pair_listed, partition, read_split_files

    if fractions is None and split_files.is_dir():
        listed = read_split_files(split_files, SPLITS, images)
        return {file.stem: pair_listed(stems, images, masks, file) for file, stems in listed.items()}
    by_stem = {pair.id: pair for pair in pair_all(images, masks, place)}
    parts = partition(by_stem, FRACTIONS if fractions is None else fractions, place)
    return {split: [by_stem[stem] for stem in stems] for split, stems in parts.items()}


def _palette(
    names: Sequence[str], colours: Mapping[str, list[int] | list[list[int]]] | None, description: Description
) -> tuple[RGB, ...]:
    if colours is not None:
        return tuple(colours_of(name, colours[name])[0] for name in names)
    return description.palette_for(names) or default_palette(len(names))
