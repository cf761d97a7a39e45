"""How an error is told to the user, and the exit code it ends with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from segbench.errors import SegbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "--debug shows where"


def report_failure(error: Exception, debug: bool) -> int:
    """Print the error to stderr, with its traceback if debugging, and return the exit code."""
    if debug:
        import traceback

        traceback.print_exception(error)
    message, code = explain(error)
    print(f"error: {message}", file=sys.stderr)
    return code


def explain(error: Exception) -> tuple[str, int]:
    """Return the message for an error and its exit code: 2 where the user can mend it, 1 for a bug."""
    if isinstance(error, SegbenchError):
        return str(error), 2
    what = f"{type(error).__name__}: {error}"
    plugin = blamed_plugin(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error}{f', in {plugin}' if plugin else ''} ({HINT})", 2
    if plugin:
        return f"{plugin} failed with {what} ({HINT})", 1
    return f"a bug in segbench: {what} ({HINT}; please report it with that)", 1


def blamed_plugin(error: Exception) -> str | None:
    """Name the plugin whose code the traceback passed through last, if any."""
    from importlib.metadata import entry_points

    packages = {point.module.partition(".")[0]: point for point in entry_points(group="segbench")}
    blamed = [packages[package] for package in _packages(error) if package in packages]
    if not blamed:
        return None
    point = blamed[-1]
    source = f" ({point.dist.name} {point.dist.version})" if point.dist else ""
    return f"plugin {point.name!r}{source}"


def _packages(error: Exception) -> Iterator[str]:
    frame = error.__traceback__
    while frame is not None:
        yield str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        frame = frame.tb_next
