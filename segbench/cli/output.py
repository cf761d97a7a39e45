"""Output of commands: content as JSON or text, files named with -o, columns of text, exit codes."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from segbench.shown import JSON_VERSION, clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from segbench.report.formats.layout import Document

Content = TypeVar("Content", bound=Mapping[str, Any])

# Exit codes, as the reference has them.
SOME_FAILED = 1
MISTAKE = 2
UNDECIDED = 3
BUG = 70
TIME_IS_UP = 75
INTERRUPTED = 130


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print text on stdout, or on stderr, as `clean` has it: whatever names it holds, it steers no terminal."""
    typer.echo(clean(str(text)), err=err, nl=nl)


def warn(*messages: object) -> None:
    """Print warnings on stderr."""
    for message in messages:
        say(f"warning: {message}", err=True)


def read_notes(error: BaseException) -> list[str]:
    """Return what was noted to an error where it passed by."""
    return getattr(error, "__notes__", [])


def print_content(content: Content, as_json: bool, as_text: Callable[[Content], str]) -> None:
    """Print content as JSON, values without a JSON type as text, or as the text that a function makes of it."""
    say(to_json(content) if as_json else as_text(content))


def to_json(content: Mapping[str, Any]) -> str:
    """Return a mapping as JSON with the version of its names, values without a JSON type as text."""
    import json

    return json.dumps({"schema": JSON_VERSION, **content}, indent=2, default=str)


def terminal_width(output: Path | None = None) -> int | None:
    """Return the columns of the terminal, or what $COLUMNS says; None for a pipe and for a file named with -o."""
    import shutil

    return None if output else shutil.get_terminal_size((0, 0)).columns or None


def print_or_write(text: str, output: Path | None) -> None:
    """Print a text, or write it into the file that was named; RecordError if that cannot be done."""
    if output is None:
        say(text, nl=False)
    else:
        write(output, text)


def print_document(document: Document, output: Path | None = None, format: str = "table") -> None:
    """Print a document in one of the TEXT_FORMATS, or write it into a file; a table is as wide as the terminal."""
    from segbench.report import TEXT_FORMATS
    from segbench.report.formats.terminal import to_terminal

    is_table = format == "table"
    text = to_terminal(document, terminal_width(output)) if is_table else TEXT_FORMATS[format](document)
    print_or_write(text, output)


def write(output: Path, text: str) -> None:
    """Write a text into the file that was named with -o, as `write_bytes` does."""
    write_bytes(output, clean(text).encode("utf-8", "backslashreplace"))  # a path in it may not be UTF-8


def write_bytes(output: Path, content: bytes) -> None:
    """Write into the file that was named with -o, whole or not at all; RecordError if that cannot be done.

    A link stays and its target is replaced, with the permissions it had. What is no file (a pipe, /dev/stdout), or lies
    in a folder that cannot be written, is written in place.
    """
    from segbench.errors import RecordError
    from segbench.store.atomic import write_atomically

    try:
        if not output.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if output.exists() and not os.access(output, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if (output.exists() and not output.is_file()) or not os.access(output.resolve().parent, os.W_OK):
            output.write_bytes(content)
        else:
            write_atomically(output.resolve(), content)
    except (OSError, RecordError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        raise RecordError(
            f"cannot write to {output}: {getattr(cause, 'strerror', cause)}; name another file with -o"
        ) from error
    say(f"wrote {output}", err=True)


def check_can_be_written(output: Path) -> None:
    """Raise RecordError now, and not after a long measurement, if the file named with -o cannot be written."""
    from segbench.errors import RecordError

    if not output.parent.is_dir():
        raise RecordError(f"-o {output}: there is no folder {output.parent}")
    if output.is_dir() or not os.access(output if output.exists() else output.parent, os.W_OK):
        raise RecordError(f"-o {output}: it cannot be written; name another file")


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Return rows of equal length as lines, each column as wide as its widest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join((indent + line).rstrip() for line in lines)
