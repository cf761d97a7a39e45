"""The display that suits where it is shown."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from .plain_progress import PlainProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .listener import Listener


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Listener]:
    """Show progress on a stream: a live table if it is a terminal, plain lines if not."""
    if not stream.isatty():
        yield PlainProgress(stream)
        return
    from rich.console import Console

    from .live_progress import LiveProgress

    with LiveProgress(Console(file=stream)) as display:
        yield display
