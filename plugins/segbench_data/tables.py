"""Tables of values and colours, from a component's options to codes and class ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    RGB = tuple[int, int, int]

# The entry of a table that lists what is void.
IGNORE = "ignore"


def colour_code(colour: Sequence[int]) -> int:
    """Return one number for a colour of 16 bits a part: 0xRRRRGGGGBBBB.

    >>> hex(colour_code((255, 128, 0)))
    '0xff00800000'
    """
    red, green, blue = colour
    return red << 32 | green << 16 | blue


def value_ids(classes: Sequence[str], values: Mapping[str, int | list[int]], ignore_index: int) -> dict[int, int]:
    """Return the class id of each value that the option `values` lists; DataError if it does not fit the classes.

    >>> value_ids(["background", "nucleus"], {"background": 0, "nucleus": [128, 255], "ignore": 64}, 255)
    {0: 0, 128: 1, 255: 1, 64: 255}
    """
    listed = {name: [value] if isinstance(value, int) else list(value) for name, value in values.items()}
    return _ids("values", classes, listed, ignore_index)


def colour_ids(
    classes: Sequence[str], colours: Mapping[str, list[int] | list[list[int]]], ignore_index: int
) -> dict[int, int]:
    """Return the class id of each colour code that the option `colours` lists; DataError as for `value_ids`."""
    listed = {name: [colour_code(colour) for colour in colours_of(name, entry)] for name, entry in colours.items()}
    return _ids("colours", classes, listed, ignore_index)


def palette_ids(palette: Sequence[RGB], ignore_rgb: RGB | None, ignore_index: int) -> dict[int, int]:
    """Return the class id of each colour code of a palette; empty if two classes share a colour."""
    ids = {colour_code(colour): class_id for class_id, colour in enumerate(palette)}
    if len(ids) < len(palette):
        return {}
    return ids if ignore_rgb is None else {colour_code(ignore_rgb): ignore_index, **ids}


def colours_of(name: str, entry: list[int] | list[list[int]]) -> list[RGB]:
    """Return the colours of one class, written as one colour or as a list of colours; DataError if they are none."""
    colours = [entry] if entry and isinstance(entry[0], int) else entry
    checked = []
    for colour in colours:
        if not isinstance(colour, list) or len(colour) != 3 or not all(0 <= part <= 65535 for part in colour):
            raise DataError(
                f"colours: {name} is {colour}; a colour is [red, green, blue], each from 0 to 255, in masks of 16 bits "
                "to 65535"
            )
        red, green, blue = colour
        checked.append((red, green, blue))
    return checked


def _ids(option: str, classes: Sequence[str], listed: Mapping[str, list[int]], ignore_index: int) -> dict[int, int]:
    class_ids = {**{IGNORE: ignore_index}, **{name: class_id for class_id, name in enumerate(classes)}}
    for name in listed:
        if name not in class_ids:
            raise DataError(
                f"{option}: {name!r} is no class; the classes are {', '.join(classes)} (and ignore, for void)"
            )
    missing = [name for name in classes if not listed.get(name)]
    if missing:
        raise DataError(f"{option}: the class {missing[0]!r} has no entry; list every class")
    ids: dict[int, int] = {}
    for name, codes in listed.items():
        for code in codes:
            if ids.setdefault(code, class_ids[name]) != class_ids[name]:
                raise DataError(f"{option}: {name!r} has an entry that another class has too; list each once")
    return ids
