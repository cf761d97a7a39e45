"""hf/dataset: what is asked of a dataset of the Hugging Face hub, and what comes of it once it is prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from segbench import DataError, Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    RGB = tuple[int, int, int]


def build(
    root,
    *,
    repo: str,
    classes: list[str] | int,
    config: str | None = None,
    revision: str = "main",
    splits: dict[str, str] | None = None,
    image: str = "image",
    labels: str = "label",
    ignore_index: int = 255,
    reduce_zero_label: bool = False,
    channels: Literal[1, 3] = 3,
    palette: list[list[int]] | None = None,
    orientation: Literal["refuse", "apply", "stored"] = "refuse",
    bits: int | None = None,
    max_pixels: int | None = None,
) -> Dataset:
    """Return a dataset of the Hugging Face hub that `segbench prepare` has streamed into `root`.

    What is streamed, and must then be the same wherever the folder is used:

    - `repo`: a dataset of the hub (`zhoubolei/scene_parse_150`), or a folder of Parquet or image files that
      `datasets.load_dataset` takes, written as a path (`./my-dataset`)
    - `config`: its configuration, where it has several
    - `revision`: the branch, tag or commit of the repository
    - `splits`: which of its splits is which, `{train: train, val: validation, test: test}`; by default those of these
      usual names
    - `image`, `labels`: its columns of images and label maps, both encoded image files

    How it is read:

    - `classes`: their names by id, or how many there are
    - `ignore_index`: the label of void pixels
    - `reduce_zero_label`: take label 0 for void and every other for the class of the number before, as for ADE20K
    - `channels`: of the images as delivered: 1 (grey; colour is converted) or 3 (colour; grey is repeated)
    - `palette`: one [red, green, blue] a class; by default the colours of PASCAL VOC's colour map
    - `orientation`, `bits`, `max_pixels`: how files with an orientation tag, 16-bit images that hold fewer bits, and
      large images are read, as by `data/folder`; `datasets` itself applies orientation tags

    Files are kept as they come, so that JPEG stays JPEG and every copy has the same fingerprint. Raises DataError for a
    folder that was prepared from something else or is not complete.
    """
    from segbench.images import Reading as FileReading

    from .stored import Reading, Request, StoredSplit, open_stored

    names = [f"class_{number}" for number in range(classes)] if isinstance(classes, int) else classes
    stored = open_stored(root, Request(repo, config, revision, splits, image, labels))
    files = FileReading(orientation, bits, **({} if max_pixels is None else {"max_pixels": max_pixels}))
    reading = Reading(channels, ignore_index, reduce_zero_label, files)
    return Dataset(
        classes=names,
        palette=_palette(names, palette),
        splits={name: StoredSplit(name, pairs, reading) for name, pairs in stored.pairs.items()},
        ignore_index=ignore_index,
        channels=channels,
        reading=files,
        licence=stored.licence,
        citation=stored.citation,
    )


def download(
    root: Path, *, repo: str, config: str | None, revision: str, splits: dict[str, str] | None, image: str, labels: str
) -> None:
    """Stream a dataset into an empty folder; DataError says what is missing, and what may be done."""
    from .stored import Request

    try:
        from .streaming import stream
    except ImportError as error:
        raise DataError(
            f"hf/dataset is fetched by {error.name}, not installed here: pip install 'segbench[hf]'"
        ) from error

    stream(root, Request(repo, config, revision, splits, image, labels))


def _palette(names: Sequence[str], palette: list[list[int]] | None) -> list[RGB]:
    if palette is None:
        return [_voc_colour(number) for number in range(len(names))]
    if len(palette) != len(names) or any(len(colour) != 3 for colour in palette):
        raise DataError(f"palette: {len(palette)} colours for {len(names)} classes; give [red, green, blue] for each")
    return [(red, green, blue) for red, green, blue in palette]


def _voc_colour(number: int) -> RGB:
    """Return a colour of PASCAL VOC's colour map: bits 0, 1 and 2 of every three are of red, green and blue.

    >>> [_voc_colour(number) for number in (0, 1, 3, 8)]
    [(0, 0, 0), (128, 0, 0), (128, 128, 0), (64, 0, 0)]
    """
    red, green, blue = (
        sum((number >> (3 * place + channel) & 1) << (7 - place) for place in range(8)) for channel in range(3)
    )
    return red, green, blue
