"""What a dataset.json says, and what stands in for what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from segbench import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    RGB = tuple[int, int, int]

FILE = "dataset.json"


@dataclass(frozen=True)
class Description:
    """The part of a dataset.json that segbench reads; other keys are the dataset's own.

        {"classes": [{"id": 0, "name": "road", "rgb": [128, 64, 128]}, ...], "ignore_index": 255,
         "ignore_rgb": [0, 0, 0], "licence": "CC0", "citation": ["..."]}

    A class may also be its bare name; its id is then its place in the list. `palette` is None unless every class has
    a colour.
    """

    classes: tuple[str, ...] = ()
    palette: tuple[RGB, ...] | None = None
    ignore_index: int = 255
    ignore_rgb: RGB | None = None
    licence: str = "not stated"
    citation: str = "not stated"

    def palette_for(self, classes: Sequence[str]) -> tuple[RGB, ...] | None:
        """Return the palette if it is one of as many classes, however they are named."""
        return self.palette if self.palette is not None and len(self.palette) == len(classes) else None


def read_description(root: Path) -> Description:
    """Read `root/dataset.json`, or return the defaults if there is none; DataError if it is malformed."""
    file = root / FILE
    if not file.is_file():
        return Description()
    try:
        content = from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as JSON ({error})") from error
    try:
        return _parsed(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{file}: {error!r:.200}; classes is a list of names or of {{id, name, rgb}} with ids from 0 on, "
            "ignore_index a number, ignore_rgb three numbers from 0 to 255"
        ) from error


def default_palette(count: int) -> tuple[RGB, ...]:
    """Return the colours of PASCAL VOC's colour map, which spreads the bits of the id over red, green and blue.

    >>> default_palette(4)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """
    return tuple((_channel(i, 0), _channel(i, 1), _channel(i, 2)) for i in range(count))


def _channel(index: int, channel: int) -> int:
    return sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(8))


def _parsed(content: dict[str, Any]) -> Description:
    entries = [_entry(place, entry) for place, entry in enumerate(content["classes"])]
    entries.sort(key=lambda entry: int(entry["id"]))
    if [entry["id"] for entry in entries] != list(range(len(entries))):
        raise ValueError(f"class ids {[entry['id'] for entry in entries]}")
    colours = [entry.get("rgb") for entry in entries]
    citation = content.get("citation", Description.citation)
    return Description(
        classes=tuple(str(entry["name"]) for entry in entries),
        palette=tuple(_rgb(colour) for colour in colours) if all(colours) else None,
        ignore_index=int(content.get("ignore_index", Description.ignore_index)),
        ignore_rgb=_rgb(content["ignore_rgb"]) if content.get("ignore_rgb") else None,
        licence=str(content.get("licence", content.get("license", Description.licence))),
        citation=citation if isinstance(citation, str) else "\n".join(citation),
    )


def _entry(place: int, entry: Any) -> dict[str, Any]:
    return {"id": place, "name": entry} if isinstance(entry, str) else entry


def _rgb(colour: Any) -> RGB:
    red, green, blue = (int(part) for part in colour)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"colour {list(colour)}")
    return red, green, blue
