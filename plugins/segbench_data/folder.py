"""Any dataset of image and mask files in folders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from segbench import DataError, Dataset
from segbench.contract import SPLITS

from .description import default_palette, read_description
from .tables import IGNORE, colour_ids, colours_of, palette_ids, value_ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .description import Description
    from .labels import MaskReader, PagesReader
    from .listing import Pair

    RGB = tuple[int, int, int]

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}

# What stands for the name of a split in the options `images` and `masks`, and how folders call each.
SPLIT = "{split}"
SPLIT_FOLDERS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


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
    pages: Literal["refuse", "classes"] = "refuse",
    orientation: Literal["refuse", "apply", "stored"] = "refuse",
    bits: int | None = None,
    max_pixels: int | None = None,
) -> Dataset:
    """Return a dataset of image files and mask files with the same stems.

    As it stands it reads `images/`, `masks/` (pixel = class id, or ignore_index), `splits/{train,val,test}.txt` (a stem
    or path a line) and `dataset.json` (classes, palette, ignore_index, licence, citation). Images are PNG, JPEG, BMP or
    TIFF of up to 16 bits; masks PNG, BMP or TIFF. Options, for everything that differs:

    - `classes`: the names by id. Without them those of dataset.json count, else those that `values` or `colours` name,
      in the order in which they are written.
    - `values`: which grey value or palette index of a mask is which class, one or several a class; the name `ignore`
      stands for void: `{background: 0, nucleus: [128, 255], ignore: 64}`.
    - `colours`: the same for masks in colour: `{road: [128, 64, 128], car: [64, 0, 128], ignore: [0, 0, 0]}`.
      Masks in colour without it are read by the palette of dataset.json.
    - `unlisted`: what to do with values and colours that are not listed: refuse them, or ignore them.
    - `ignore_index`: the label of void pixels; 255 unless dataset.json says otherwise.
    - `channels`: of the images as delivered: 1 (grey; colour is converted), 3 (colour; grey is repeated), or any number
      that the files hold: pages of a multi-page TIFF, or bands as far as Pillow reads them.
    - `images`, `masks`: folders below root ("." is root itself). Masks lie in `masks/`, or beside the images if
      `mask_suffix` is given. Where each split has folders of its own, `{split}` stands for its name in both, such as
      "{split}/images" and "{split}/masks": train or training, val, valid or validation, test or testing. A split that
      lacks one of the two folders is left out.
    - `image_suffix`, `mask_suffix`: what follows the common stem: `_mask` pairs a.jpg with a_mask.png.
    - `splits`: the folder of split files below root. Without such a folder, or with `fractions`, images are dealt to
      splits by a hash of their stem, by default `{train: 0.7, val: 0.1, test: 0.2}`.
    - `pages`: refuse masks of several pages, or take each page as a class (`classes`): its pixels that are not 0. There
      is a page for each class, or for each but the first, which is then the rest.
    - `orientation`: refuse files with an orientation tag, as photos of cameras have; `apply` it where masks fit images
      as they are shown; read them as they are `stored` where masks fit that.
    - `bits`: how many bits of 16-bit images hold data, such as 12; they are scaled to the whole range.
    - `max_pixels`: the largest width times height of an image, 180,000,000 unless given.

    Raises DataError for folders, files, options and a dataset.json that are missing or do not fit together; pixels and
    labels are checked when a sample is read.
    """
    from segbench.images import Reading

    from .files import FilePairs

    description = read_description(root)
    names = _class_names(root, classes, description, values or colours or {})
    void = description.ignore_index if ignore_index is None else ignore_index
    _check_void(void, names)
    reading = Reading(orientation, bits, **({} if max_pixels is None else {"max_pixels": max_pixels}))
    read_mask = (
        _pages_reader(names, void, values, colours)
        if pages == "classes"
        else _mask_reader(names, void, description, values, colours, unlisted)
    )
    read_mask = replace(read_mask, reading=reading)
    masks = _mask_folder(root, images, masks, mask_suffix)
    if SPLIT in images or SPLIT in masks:
        pairs = _pairs_by_folder(root, images, masks, image_suffix, mask_suffix, fractions)
    else:
        files = _list_files(root / images, root / masks, image_suffix, mask_suffix)
        pairs = _split_pairs(*files, root / images, root / splits, fractions)
    return Dataset(
        classes=names,
        palette=_palette(names, colours, description),
        splits={split: FilePairs(listed, read_mask, channels, reading) for split, listed in pairs.items()},
        ignore_index=void,
        channels=channels,
        reading=reading,
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
    if named := tuple(name for name in table if name != IGNORE):
        return named
    raise DataError(
        f"{root}: the classes are not named; give them in the order of their ids, as `classes: [background, nucleus]` "
        "or in a dataset.json in this folder, which `segbench init` writes"
    )


def _check_void(void: int, names: Sequence[str]) -> None:
    if 0 <= void < len(names) or void < 0:
        given = max(void, 0)
        table = {IGNORE: given, **{name: place + (place >= given) for place, name in enumerate(names)}}
        listed = ", ".join(f"{name}: {value}" for name, value in table.items())
        raise DataError(
            f"ignore_index: {void} cannot be the label of void pixels, as class ids go from 0 to {len(names) - 1}; if "
            f"void pixels of the masks are {given}, leave ignore_index out and give values: {{{listed}}}"
        )


def _pages_reader(
    names: Sequence[str], void: int, values: Mapping[str, object] | None, colours: Mapping[str, object] | None
) -> PagesReader:
    from .labels import PagesReader

    if values is not None or colours is not None:
        raise DataError("pages: classes reads no values and no colours; remove one of the options")
    return PagesReader(len(names), void)


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


def _mask_folder(root: Path, images: str, masks: str | None, mask_suffix: str) -> str:
    if masks is None:
        masks = images if mask_suffix else "masks"
    if root / masks == root / images and not mask_suffix:
        raise DataError(f"{root / images}: images and masks in one folder are told apart by mask_suffix; give it")
    return masks


def _list_files(
    images: Path, masks: Path, image_suffix: str, mask_suffix: str
) -> tuple[dict[str, Path], dict[str, Path]]:
    from segbench.images import IMAGE_ENDINGS, MASK_ENDINGS

    from .listing import files_by_stem

    not_images = mask_suffix if masks == images else ""
    return (
        files_by_stem(images, IMAGE_ENDINGS, suffix=image_suffix, except_suffix=not_images),
        files_by_stem(masks, MASK_ENDINGS, suffix=mask_suffix),
    )


def _pairs_by_folder(
    root: Path, images: str, masks: str, image_suffix: str, mask_suffix: str, fractions: Mapping[str, float] | None
) -> dict[str, list[Pair]]:
    """Return the pairs of each split that has a folder of images and one of masks."""
    from .pairing import pair_all

    if fractions is not None or SPLIT not in images or SPLIT not in masks:
        raise DataError(f"images: {images}, masks: {masks}; {SPLIT} stands in both, and then without fractions")
    pairs = {}
    for split, names in SPLIT_FOLDERS.items():
        places = [(root / images.replace(SPLIT, name), root / masks.replace(SPLIT, name)) for name in names]
        if found := next((place for place in places if place[0].is_dir() and place[1].is_dir()), None):
            pairs[split] = pair_all(*_list_files(*found, image_suffix, mask_suffix), found[0])
    if not pairs:
        tried = ", ".join(name for names in SPLIT_FOLDERS.values() for name in names)
        raise DataError(f"{root}: no split has folders {images} and {masks}; {SPLIT} is one of {tried}")
    return pairs


def _split_pairs(
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    place: Path,
    split_files: Path,
    fractions: Mapping[str, float] | None,
) -> dict[str, list[Pair]]:
    from .pairing import pair_all, pair_listed, partition, read_split_files

    if fractions is None and split_files.is_dir():
        listed = read_split_files(split_files, SPLITS, images, masks)
        return {file.stem: pair_listed(stems, images, masks, file) for file, stems in listed.items()}
    by_stem = {pair.id: pair for pair in pair_all(images, masks, place)}
    parts = partition(by_stem, FRACTIONS if fractions is None else fractions, place)
    return {split: [by_stem[stem] for stem in stems] for split, stems in parts.items()}


def _palette(
    names: Sequence[str], colours: Mapping[str, list[int] | list[list[int]]] | None, description: Description
) -> tuple[RGB, ...]:
    if colours is not None:
        shown = [colours_of(name, colours[name])[0] for name in names]
        sixteen_bits = any(part > 255 for colour in shown for part in colour)
        return tuple(
            (red >> 8, green >> 8, blue >> 8) if sixteen_bits else (red, green, blue) for red, green, blue in shown
        )
    return description.palette_for(names) or default_palette(len(names))
