"""Every error that segbench raises on purpose.

    SegbenchError
    ├── PluginError        a plugin cannot be loaded or breaks the contract
    ├── ComponentError     a component is unknown or ambiguous
    │   └── OptionError    an option of a component is unknown or has a wrong value
    ├── SpecError          a benchmark file is wrong
    ├── DataError          a dataset is missing, incomplete or malformed
    ├── WeightsError       a weights file does not fit the network
    ├── RecordError        a record, its counts or a checkpoint cannot be read or written
    ├── CellError          one cell could not be trained or evaluated
    │   └── OutOfMemoryError   it needs more memory than there is
    └── StatisticsError    counts that cannot be compared, or too few for an interval

A message says what was given, where, what is allowed and what to do. The command line prints it without a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


_MOST_NAMED = 8  # longer lists help nobody


class SegbenchError(Exception):
    """Base class of all errors a user or a plugin can cause; `plugin` is the plugin to blame, where one is known."""

    def __init__(self, message: str = "", *, plugin: str | None = None) -> None:
        super().__init__(message)
        self.plugin = plugin


class PluginError(SegbenchError):
    """A plugin cannot be loaded or breaks the contract."""


class ComponentError(SegbenchError):
    """A component is unknown or its short name is ambiguous."""


class OptionError(ComponentError):
    """An option of a component is unknown, missing or has a wrong value; `option` is its name, where one is known."""

    def __init__(self, message: str = "", *, plugin: str | None = None, option: str | None = None) -> None:
        super().__init__(message, plugin=plugin)
        self.option = option


class SpecError(SegbenchError):
    """A benchmark file is wrong; the message carries file, line and dotted path."""


class DataError(SegbenchError):
    """A dataset is missing, incomplete or malformed."""


class WeightsError(SegbenchError):
    """A weights file cannot be read or does not fit the network."""


class RecordError(SegbenchError):
    """A record, its counts or a checkpoint cannot be read or written."""


class CellError(SegbenchError):
    """One cell could not be trained or evaluated; the message is the cause its record carries."""


class OutOfMemoryError(CellError):
    """A cell needs more memory than there is."""


class StatisticsError(SegbenchError):
    """Counts cannot be compared, or are too few for an interval; the message says what differs or is missing."""


def nearest(name: str, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string."""
    from difflib import get_close_matches

    matches = get_close_matches(name, known, n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def list_some(names: Sequence[str]) -> str:
    """Return names separated by commas, at most eight of them; ", ..." stands for the others.

    >>> list_some(["a", "b"]), list_some("abcdefghij")
    ('a, b', 'a, b, c, d, e, f, g, h, ...')
    """
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
