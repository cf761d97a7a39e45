"""Which image files lie in a folder, by stem."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - part of a NamedTuple's fields
from typing import NamedTuple

from segbench import DataError
from segbench.files import read_file
from segbench.images import IMAGE_ENDINGS
from segbench.images.files import files_in, same_name

# What is passed over beside images: notes and tables. `segbench plan` and `prepare` warn of them.
TEXT_ENDINGS = ("", ".txt", ".md", ".csv", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf", ".log")


class Pair(NamedTuple):
    """The two files of one sample."""

    id: str
    image: Path
    mask: Path


def files_by_stem(
    folder: Path, extensions: tuple[str, ...], *, suffix: str = "", except_suffix: str = ""
) -> dict[str, Path]:
    """Return the files of a folder by stem, sorted, `suffix` cut off.

    Only stems that end in `suffix` count, and of them those that do not end in `except_suffix` (where it is not empty).
    Texts are passed over. Raises DataError for a missing folder, a link without a target, an unknown extension and two
    files of one stem, which may differ in how their accents are stored.
    """
    require_folder(folder)
    found: dict[str, Path] = {}
    names: dict[str, Path] = {}
    for path in files_in(folder):
        if path.suffix.lower() in TEXT_ENDINGS:
            continue
        if not path.stem.endswith(suffix) or (except_suffix and path.stem.endswith(except_suffix)):
            continue
        if path.suffix.lower() not in extensions:
            raise DataError(_extension_message(path, extensions))
        stem = path.stem.removesuffix(suffix)
        other = names.setdefault(same_name(stem), path)
        if other != path:
            raise DataError(f"{folder}: {other.name} and {path.name} have one stem, {stem!r}; keep one of them")
        found[stem] = path
    return found


def require_folder(folder: Path) -> None:
    """Raise DataError unless the folder exists; the message says what its parent holds instead."""
    if folder.is_dir():
        return
    parent = folder.parent
    beside = sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    there = f"{parent} has the folders {', '.join(beside)}" if beside else f"{parent} has no folders"
    raise DataError(f"no folder {folder}; {there}")


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name."""
    require_folder(folder)
    return sorted(path for path in folder.iterdir() if path.is_dir())


def read_lines(file: Path) -> list[str]:
    """Return the lines of a text file that are not blank, stripped; DataError if it cannot be read."""
    try:
        text = read_file(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def first_existing(candidates: list[Path]) -> Path | None:
    """Return the first of the paths that exists."""
    return next((path for path in candidates if path.exists()), None)


def shortened(names: list[str], limit: int = 5) -> str:
    """Return the names as a list for a message, cut after `limit`.

    >>> shortened(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _extension_message(path: Path, extensions: tuple[str, ...]) -> str:
    allowed = f"allowed are {', '.join(extensions)}"
    if path.suffix.lower() in IMAGE_ENDINGS:
        return f"{path}: a mask stored as JPEG has lost its class ids; {allowed}; save the masks as PNG"
    return f"{path}: unknown extension {path.suffix!r}; {allowed}; convert the file or move it elsewhere"
