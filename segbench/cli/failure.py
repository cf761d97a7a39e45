"""How an error is told to the user, and the exit code it ends with."""

from __future__ import annotations

import sys

from segbench.errors import SegbenchError

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
    from segbench.execute.blame import blame_for_error
    from segbench.registry.sources import found_sources, named_distributions

    if (name := blame_for_error(error)) is None:
        return None
    return f"plugin {name!r} ({named_distributions(found_sources()[name])})"
