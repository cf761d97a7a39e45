"""Text that may come from anywhere as it is shown: nothing in it moves a terminal or hides, and nothing is endless."""

from __future__ import annotations

import json
import re
import reprlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of the names in what commands print as JSON; it rises when one goes or changes its meaning, not when one is added.
JSON_VERSION = 1

_MOST_LINES = 30
_MOST_CHARACTERS, _START = 2000, 1400  # of a line, and of these the ones before the cut

# What steers a terminal, and what is not seen but changes what is: control characters, marks of direction, separators
# of lines, invisible ones, and what no XML may hold. Joiners stay, since scripts need them, and surrogates, which stand
# for bytes of file names.
_STEERING = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[{_STEERING}]")
_UNSAFE_IN_LINE = re.compile(f"[\t\n{_STEERING}]")

_quotes = reprlib.Repr()
_quotes.maxstring = _quotes.maxother = _quotes.maxlong = 100
_quotes.maxlist = _quotes.maxtuple = _quotes.maxdict = 8


def clean(text: str) -> str:
    r"""Return text with the codes of JSON for what must not reach a terminal as it is, so that JSON stays what it was.

    >>> clean("red \x1b[31m\nnext \u202e")
    'red \\u001b[31m\nnext \\u202e'
    """
    return _UNSAFE.sub(_code, text)


def clean_line(text: str) -> str:
    r"""Return text as `clean` does, on one line.

    >>> clean_line("a\nb")
    'a\\u000ab'
    """
    return _UNSAFE_IN_LINE.sub(_code, text)


def write_json(content: Mapping[str, Any]) -> str:
    """Return a mapping as JSON with the version of its names; ValueError for a number that is not finite."""
    return json.dumps({"schema": JSON_VERSION, **content}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def shorten(text: str) -> str:
    """Return text of at most 30 lines of about 2,000 characters; what is cut out is counted."""
    lines = text.split("\n", _MOST_LINES)
    if len(lines) > _MOST_LINES:
        lines[-1] = f"... and {lines[-1].count(chr(10)) + 1} more lines"
    return "\n".join(map(_shorten_line, lines))


def quote(value: Any) -> str:
    """Return the repr of a value, of which only the ends are shown where it is long.

    >>> quote("unet"), len(quote("x" * 1000)), quote([1] * 1000)
    ("'unet'", 100, '[1, 1, 1, 1, 1, 1, 1, 1, ...]')
    """
    return _quotes.repr(value)


def _shorten_line(line: str) -> str:
    if len(line) <= _MOST_CHARACTERS:
        return line
    end = _MOST_CHARACTERS - _START
    return f"{line[:_START]} ... ({len(line) - _MOST_CHARACTERS} characters more) ... {line[-end:]}"


def _code(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
