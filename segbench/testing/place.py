"""Where in a component's own code something went wrong."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.registry import Offer


def place_of(error: BaseException, offer: Offer) -> str:
    """Return " (FILE, line N, in FUNCTION)" for the innermost line of the component's package, or an empty text."""
    folder = _folder_of(offer.component.build)
    current: BaseException | None = error
    while current is not None and folder is not None:
        for frame in reversed(extract_tb(current.__traceback__)):
            if Path(frame.filename).is_relative_to(folder):
                return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
        current = current.__cause__
    return ""


def _folder_of(build: Any) -> Path | None:
    """Return the folder of the file that defines `build`; None for what is written in no file."""
    while isinstance(build, functools.partial):
        build = build.func
    try:
        return Path(inspect.getfile(inspect.unwrap(build))).parent
    except TypeError:
        return None
