"""What a folder itself says of its classes: files of names, values and colours that labelling tools write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import DataError
from segbench.files import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    RGB = tuple[int, int, int]

# labelmap.txt is CVAT's, _classes.csv Roboflow's, class_dict.csv and label_colors.txt go with copies of CamVid.
NAME_FILES = (
    *("labelmap.txt", "_classes.csv", "class_dict.csv", "classes.csv", "label_colors.txt"),
    *("classes.txt", "class_names.txt", "labels.txt", "names.txt", "codes.txt"),
)
# No list of classes is longer.
MOST_BYTES = 1 << 17
# Numbers before a name, or behind it: behind a space alone only as a colour, since names may end in a number.
_LINE = re.compile(
    r"(?P<before>([0-9]+[\s,;:]+)*)(?P<name>[^,;:\t]*?)"
    r"(?P<after>([\s,;:]+[0-9]+){3}|(\s*[,;:\t]\s*[0-9]+)*)(\s*[,;:\t].*)?"
)
# What stands for pixels without a class.
VOID_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled", "unknown", "__ignore__"})


class NamedClass(NamedTuple):
    """A class as a file names it, with its value in masks or its colour where the file says them."""

    name: str
    value: int | None = None
    colour: RGB | None = None

    @property
    def is_void(self) -> bool:
        """Whether the name says that its pixels have no class."""
        return self.name.lower() in VOID_NAMES


def find_names(root: Path) -> tuple[Path | None, list[NamedClass]]:
    """Return the file in `root`, or in a folder of it, that names classes, and the classes; None and [] without one."""
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    for name in NAME_FILES:
        for file in (folder / name for folder in folders):
            if file.is_file():
                return file, read_names(file)
    return None, []


def read_names(file: Path) -> list[NamedClass]:
    """Return the classes that a text names, one a line, with a value or a colour before or behind the name.

    Without either the first is class 0. Raises DataError for a file that is no text or names a class twice.
    """
    try:
        text = read_file(file, MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    entries = list(_entries(lines))
    if any(numbers for _, numbers in entries):
        entries = [entry for entry in entries if entry[1]]  # the others are headings
    named = [_named(name, numbers, place) for place, (name, numbers) in enumerate(entries)]
    twice = [one.name for place, one in enumerate(named) if one.name in {other.name for other in named[:place]}]
    if twice:
        raise DataError(f"{file}: names the class {twice[0]!r} twice; correct the file")
    return named


def _entries(lines: list[str]) -> Iterator[tuple[str, list[int]]]:
    """Yield the name and the numbers of each line."""
    for line in lines:
        found = _LINE.fullmatch(line)
        if found and found["name"]:
            numbers = re.findall(r"[0-9]+", f"{found['before']} {found['after']}")
            yield found["name"].strip("\"' "), list(map(int, numbers))


def _named(name: str, numbers: list[int], place: int) -> NamedClass:
    if len(numbers) >= 3:
        red, green, blue = numbers[:3]
        return NamedClass(name, colour=(red, green, blue))
    return NamedClass(name, value=numbers[0] if numbers else place)
