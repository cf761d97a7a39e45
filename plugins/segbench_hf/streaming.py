"""From a dataset of the hub to files in a folder, a row at a time and without decoding."""

from __future__ import annotations

import io
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import datasets
import fsspec
from huggingface_hub import DatasetCard, HfApi
from PIL import Image

from segbench import DataError

from .stored import IMAGES, LABELS, NOTE, is_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .stored import Request

# What the splits of datasets are usually called.
USUAL_NAMES = {
    "train": ("train", "training"),
    "val": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}

# Lossy formats invent labels at edges.
LOSSY = ("JPEG", "MPO")

# How often it is told how far it is.
TOLD_EVERY = 1000


class Card(NamedTuple):
    """What a dataset, or the hub, says of it; empty where it is not known."""

    commit: str = ""
    licence: str = ""
    address: str = ""


def stream(root: Path, request: Request) -> None:
    """Write the files of a dataset's images and labels, and last of all a note of where they are from.

    Raises DataError for a dataset that cannot be reached, or has not the splits and columns that are asked for.
    """
    with _fetching(request):
        card = _local_card(request) if is_path(request.repo) else _card(request)
        place, source = _source(request, card)
        there = datasets.get_dataset_split_names(place, request.config, **source)
        splits = _chosen_splits(there, request.splits)
        images = {}
        for split, name in splits.items():
            rows = datasets.load_dataset(place, request.config, split=name, streaming=True, **source)
            encoded = _encoded(rows, request.image, request.labels)
            images[split] = _write_split(root / split, encoded, request.image, request.labels)
    note = {
        "asked": request._replace(splits=splits)._asdict(),
        "commit": card.commit,
        "images": images,
        "licence": card.licence or rows.info.license or "not stated",
        "citation": rows.info.citation or card.address or "not stated",
    }
    (root / NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")


def _source(request: Request, card: Card) -> tuple[str, dict[str, str]]:
    """Return where `datasets` finds the dataset, and what else it must be told."""
    if is_path(request.repo):
        return str(Path(request.repo).expanduser().absolute()), {}
    # Every file is of the commit that the note tells, even if the repository changes meanwhile.
    return request.repo, {"revision": card.commit}


def _local_card(request: Request) -> Card:
    file = Path(request.repo).expanduser() / "README.md"
    licence = (DatasetCard.load(file).data.get("license") or "") if file.is_file() else ""
    return Card(licence=_listed(licence))


def _card(request: Request) -> Card:
    found = HfApi().dataset_info(request.repo, revision=request.revision)
    licence = (found.card_data or {}).get("license") or ""
    return Card(
        commit=found.sha or request.revision,
        licence=_listed(licence),
        address=f"https://huggingface.co/datasets/{request.repo} at {found.sha}",
    )


def _listed(licence: str | list[str]) -> str:
    return licence if isinstance(licence, str) else ", ".join(licence)


def _chosen_splits(there: list[str], splits: Mapping[str, str] | None) -> dict[str, str]:
    if splits is None:
        usual = {split: [name for name in names if name in there] for split, names in USUAL_NAMES.items()}
        splits = {split: names[0] for split, names in usual.items() if names}
    unknown = [name for name in splits.values() if name not in there]
    foreign = [split for split in splits if split not in USUAL_NAMES]
    if foreign:
        raise DataError(f"splits: {foreign[0]!r} is none of {', '.join(USUAL_NAMES)}; say {{train: NAME, val: NAME}}")
    if unknown or not splits:
        wanted = unknown[0] if unknown else "of a usual name"
        raise DataError(f"splits: there is no split {wanted}; the dataset has {', '.join(there)}; say {{train: NAME}}")
    return dict(splits)


def _encoded(rows: datasets.IterableDataset, image: str, labels: str) -> datasets.IterableDataset:
    """Return the two columns alone, their files not decoded."""
    features = rows.features or {}
    pictures = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    for option, name in (("image", image), ("labels", labels)):
        if name not in pictures:
            there = ", ".join(pictures) or "none"
            raise DataError(f"{option}: there is no column {name!r} of images; the dataset has {there}")
    columns = rows.select_columns([image, labels])
    for name in (image, labels):
        columns = columns.cast_column(name, datasets.Image(decode=False))
    return columns


def _write_split(folder: Path, rows: datasets.IterableDataset, image: str, labels: str) -> int:
    for part in (IMAGES, LABELS):
        (folder / part).mkdir(parents=True, exist_ok=True)
    count = 0
    for row in rows:
        _write(folder / IMAGES, count, *_content(row[image]))
        content, form = _content(row[labels])
        if form in LOSSY:
            raise DataError(f"{folder.name} sample {count}: labels stored as {form} have lost their class ids")
        _write(folder / LABELS, count, content, form)
        count += 1
        if count % TOLD_EVERY == 0:
            print(f"{folder.name}: {count} images", file=sys.stderr)
    return count


def _write(folder: Path, number: int, content: bytes, form: str) -> None:
    extension = {"JPEG": "jpg", "TIFF": "tif"}.get(form, form.lower())
    (folder / f"{number:06d}.{extension}").write_bytes(content)


def _content(cell: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the bytes of an encoded image, wherever they lie, and its format."""
    content = cell["bytes"]
    if content is None:
        with fsspec.open(cell["path"], "rb") as file:
            content = file.read()
    with Image.open(io.BytesIO(content)) as image:
        return content, image.format or "PNG"


@contextmanager
def _fetching(request: Request) -> Iterator[None]:
    """Turn what goes wrong inside into a DataError with its cause."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # the network, the hub and the formats each fail in their own way
        hub = "" if is_path(request.repo) else f" at revision {request.revision!r} of the Hugging Face hub"
        raise DataError(
            f"{request.repo}{hub} could not be streamed ({type(error).__name__}: {error}); see whether the name, "
            "config and revision are right and the hub can be reached, or give a local folder as a path (./folder)"
        ) from error
