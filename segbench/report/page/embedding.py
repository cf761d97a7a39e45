"""Pictures as a page holds them: data URIs, how many bytes of them, and which it must not show."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError
from segbench.registry.datasets import NOT_REDISTRIBUTABLE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from segbench.store.description import DatasetDescription
    from segbench.store.record import Record


LONGEST = 512  # pixels of the longer side of a picture on a page
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Allowance:
    """What pictures a page may hold: their bytes in all; if it is `private`, also those that may not be passed on."""

    bytes: int = 8_000_000
    private: bool = False

    def shared_by(self, number: int) -> Allowance:
        """Return what each of some rooms or benchmarks may hold."""
        return replace(self, bytes=self.bytes // max(1, number))

    def why_withheld(self, record: Record, folder: Path) -> str:
        """Say why the images that a cell kept in its folder are not shown; "" if they may be."""
        description = read_description_of(folder)
        if self.private or may_be_passed_on(record, description):
            return ""
        licence = f" ({description.licence})" if description and description.licence else ""
        return (
            f"The images of {record.dataset} are left out: its licence does not let them be passed on{licence}. "
            "`segbench report --private` shows them, on a page to be kept to yourself."
        )


USUAL = Allowance()


class Picture(NamedTuple):
    """A picture on the page: what it shows, in a word and in a sentence, its data URI, width and height in pixels."""

    kind: str
    alternative: str
    uri: str
    width: int
    height: int


def read_description_of(folder: Path) -> DatasetDescription | None:
    """Read the description of a cell's dataset; None if it is missing or damaged."""
    from segbench.store.description import DATASET, read_description

    try:
        return read_description(folder / DATASET)
    except RecordError:
        return None


def may_be_passed_on(record: Record, description: DatasetDescription | None) -> bool:
    """Tell whether the images that a cell was scored on may be passed on; older versions did not keep it."""
    if description is not None and description.redistributable is not None:
        return description.redistributable
    return str((record.spec.get("dataset") or {}).get("use")) not in NOT_REDISTRIBUTABLE


def shrink(image: Image.Image, longest: int = LONGEST) -> Image.Image:
    """Return a picture of colours so that neither side is longer than so many pixels."""
    shrunk = image.convert("RGB")
    shrunk.thumbnail((longest, longest))
    return shrunk


def paint(labels: NDArray[Any], description: DatasetDescription) -> Image.Image:
    """Return labels (H, W) in the colours of their classes."""
    from PIL import Image

    from segbench.engine.pictures.drawing import colour_labels, label_map

    image = label_map(labels, description.palette, description.ignore_index)
    return image if image.mode == "P" else Image.fromarray(colour_labels(labels, description.palette))


def png(image: Image.Image) -> str:
    """Return a picture without losses as a data URI."""
    return _data_uri(image, "PNG")


def jpeg(image: Image.Image) -> str:
    """Return a photograph as a data URI."""
    return _data_uri(image, "JPEG", quality=_JPEG_QUALITY)


def _data_uri(image: Image.Image, format: str, **options: Any) -> str:
    from markupsafe import Markup

    file = BytesIO()
    image.save(file, format, **options)
    # Marked as what needs no escaping, which would take long.
    return Markup(f"data:image/{format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}")
