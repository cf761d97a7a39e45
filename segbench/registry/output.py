"""Keep what plugins print away from stdout, which is for the output of the command."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


_STDOUT, _STDERR = 1, 2

# A plugin that prints without end must not fill the terminal, too.
_SHOWN_BYTES = 10_000


@contextmanager
def capture_output() -> Iterator[list[str]]:
    """Capture what the block prints to stdout, in Python, in native code or in a process that it starts.

    At the end of the block the list holds the text, or nothing if nothing was printed. A stream that something in
    the block has kept for later, as loggers do, writes to stderr from then on.
    """
    printed: list[str] = []
    stream = _stream_for_plugins()
    with _open_unnamed_file() as file:
        os.dup2(file.fileno(), stream.fileno())
        try:
            with _replace_stdout(file.fileno()), redirect_stdout(stream):
                yield printed
        finally:
            stream.flush()
            with suppress(OSError):  # stderr may be closed
                os.dup2(_STDERR, stream.fileno())
            printed += _read_output(file)


@contextmanager
def send_output_to_stderr() -> Iterator[None]:
    """Send to stderr what the block prints to stdout, in Python, in native code or in a process that it starts."""
    with _replace_stdout(_STDERR), redirect_stdout(sys.stderr):
        yield


@contextmanager
def _replace_stdout(descriptor: int) -> Iterator[None]:
    """Replace the file behind stdout, if there is one."""
    _flush()
    try:
        kept = os.dup(_STDOUT)
    except OSError:  # it is closed
        yield
        return
    try:
        with suppress(OSError):
            os.dup2(descriptor, _STDOUT)
        yield
    finally:
        _flush()
        os.dup2(kept, _STDOUT)
        os.close(kept)


def _flush() -> None:
    """Write out what waits in the buffers of stdout: Python's, and the C library's."""
    with suppress(Exception):  # it may be closed, or a broken pipe
        sys.__stdout__.flush()  # type: ignore[union-attr]
    with suppress(Exception):  # not every system has a C library to be asked like this
        _c_library().fflush(None)


@functools.cache
def _c_library() -> Any:
    import ctypes

    return ctypes.CDLL(None)


@functools.cache
def _stream_for_plugins() -> TextIO:
    """Return the stream that plugins see as stdout while they are loaded; it is never closed."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    return open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _open_unnamed_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("segbench-plugin-output"), "r+b", buffering=0)
    from tempfile import TemporaryFile

    return TemporaryFile(buffering=0)


def _read_output(file: BinaryIO) -> list[str]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    text = file.read(_SHOWN_BYTES).decode(errors="replace").rstrip("\n")
    return [f"{text}\n... and more, {size} bytes in all" if size > _SHOWN_BYTES else text] if size else []
