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
    │   ├── OutOfMemoryError   it needs more memory than there is
    │   ├── DeviceError        a device reports an error of work that was queued earlier
    │   └── LostProcessError   another of its processes has ended
    └── StatisticsError    counts that cannot be compared, or too few for an interval

A message says what was given, where, what is allowed and what to do. The command line prints it without a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from .shown import clean, quote, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Shares of two names that are the same letters in the same order.
_ALMOST, _SIMILAR = 0.85, 0.6
_TELLING = 3  # fewer letters at the beginning of a name say nothing


class SegbenchError(Exception):
    """Base class of all errors a user or a plugin can cause; `plugin` is the plugin to blame, where one is known.

    A message that quotes something endless is cut. For programs: `code` names the class of the error, `file` and `line`
    say where the mistake is, `allowed` what could stand there.
    """

    code: ClassVar[str] = "other"
    file: str | None = None
    line: int | None = None
    allowed: tuple[str, ...] = ()

    def __init__(self, message: str = "", *, plugin: str | None = None) -> None:
        super().__init__(shorten(message))
        self.plugin = plugin

    def among(self, allowed: Iterable[str]) -> Self:
        """Return this error, which now says what is allowed instead."""
        self.allowed = tuple(allowed)
        return self

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of the error, which is the message alone, as on the command line."""
        return [f"{type(self).__name__}: {clean(str(self))}"]


class PluginError(SegbenchError):
    """A plugin cannot be loaded or breaks the contract."""

    code = "plugin"


class ComponentError(SegbenchError):
    """A component is unknown or its short name is ambiguous."""

    code = "component"


class OptionError(ComponentError):
    """An option of a component is unknown, missing or has a wrong value; `option` is its name, where one is known."""

    code = "option"

    def __init__(self, message: str = "", *, plugin: str | None = None, option: str | None = None) -> None:
        super().__init__(message, plugin=plugin)
        self.option = option


class SpecError(SegbenchError):
    """A benchmark file is wrong; the message carries file, line and dotted path."""

    code = "benchmark"


class DataError(SegbenchError):
    """A dataset is missing, incomplete or malformed."""

    code = "data"


class WeightsError(SegbenchError):
    """A weights file cannot be read or does not fit the network."""

    code = "weights"


class RecordError(SegbenchError):
    """A record, its counts or a checkpoint cannot be read or written."""

    code = "record"


class CellError(SegbenchError):
    """One cell could not be trained or evaluated; the message is the cause its record carries."""

    code = "cell"


class OutOfMemoryError(CellError):
    """A cell needs more memory than there is."""

    code = "memory"


class DeviceError(CellError):
    """A device reports an error of work that was queued earlier, so the line that met it need not have caused it."""

    code = "device"


class LostProcessError(CellError):
    """Another of the processes that train a cell together has ended, and its end tells why."""


class StatisticsError(SegbenchError):
    """Counts cannot be compared, or are too few for an interval; the message says what differs or is missing."""

    code = "statistics"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; libraries write whole reports.

    >>> first_line(ValueError("no such layer\\nStack trace ...")), first_line(ValueError())
    ('no such layer', 'no further details')
    """
    return (str(error).strip() or "no further details").splitlines()[0]


def alternatives(name: str, known: Iterable[str]) -> str:
    """Return what may be written instead of an unknown name: the nearest known one, then all of them.

    Those with a comma in them are in quotes.

    >>> alternatives("unett", ["fpn", "unet"]), alternatives("unet", [])
    (" Did you mean 'unet'? Available: fpn, unet.", ' Available: none.')
    """
    names = list(known)
    listed = ", ".join(repr(one) if "," in one else one for one in names)
    return f"{nearest(name, names)} Available: {listed or 'none'}."


def unknown_value(value: str, expected: str) -> str:
    """Return the message for a value that is none of the quoted ones that pydantic expected.

    >>> unknown_value("ploy", "'poly', 'cosine' or 'constant'")
    "unknown value 'ploy'. Did you mean 'poly'? Available: poly, cosine, constant."
    """
    return f"unknown value {quote(value)}.{alternatives(value, quoted_choices(expected))}"


def quoted_choices(expected: str) -> list[str]:
    """Return the quoted choices that pydantic expected.

    >>> quoted_choices("'poly', 'cosine' or 'constant'")
    ['poly', 'cosine', 'constant']
    """
    return expected.split("'")[1::2]


def nearest(name: str, known: Sequence[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string; capitals do not count.

    Names that are almost the same come first, then the longest that the name begins with, then the shortest that begins
    with it, then others that are similar.

    >>> nearest("tv/lraspp_mobilenet_v3_large", ["smp/linknet_mobilenet_v3_large", "tv/lraspp"])
    " Did you mean 'tv/lraspp'?"
    """
    from difflib import get_close_matches

    wanted, by_folded = name.casefold(), {one.casefold(): one for one in reversed(known)}
    long_enough = [one for one in by_folded if min(len(one), len(wanted)) >= _TELLING]
    shorter = sorted(filter(wanted.startswith, long_enough), key=len, reverse=True)
    longer = sorted((one for one in long_enough if one.startswith(wanted)), key=len)
    almost, similar = (get_close_matches(wanted, by_folded, n=1, cutoff=cutoff) for cutoff in (_ALMOST, _SIMILAR))
    matches = [*almost, *shorter, *longer, *similar]
    return f" Did you mean {by_folded[matches[0]]!r}?" if matches else ""


# How YAML writes what was expected, by the type of pydantic's error.
_LIST = "; a list is written [a, b]"
_FORMS = {"list_type": _LIST, "tuple_type": _LIST, "set_type": _LIST}
_MAPPING = "; a mapping is written {a: 1, b: 2}, with a space behind each colon"


def how_to_write(kind: str, value: object) -> str:
    """Return how a benchmark file, `--set` and `--option` write a list or mapping, if a value was to be one.

    `kind` is the type of pydantic's error; else an empty text.

    >>> how_to_write("list_type", "a,b"), how_to_write("int_type", "a")
    ('; a list is written [a, b]', '')
    """
    colons = isinstance(value, dict) and any(":" in str(key) and value[key] is None for key in value)
    return _MAPPING if kind == "dict_type" or colons else _FORMS.get(kind, "")


def list_some(names: Sequence[str], most: int = 8) -> str:
    """Return names separated by commas, at most so many of them, and how many more there are.

    >>> list_some(["a", "b"]), list_some("abcdefghij")
    ('a, b', 'a, b, c, d, e, f, g, h and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""  # longer lists help nobody
    return ", ".join(names[:most]) + more
