"""Which plugin is to blame for an error or a crash: the one whose source file is innermost in the stack."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import CellError
from segbench.registry.plugin_files import given_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import EntryPoint


# As faulthandler writes the stacks of a process; "Current" is the thread that crashed, or the main thread.
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_CURRENT_THREAD = "Current thread 0x"


class Frame(NamedTuple):
    """A line of a stack as faulthandler writes it."""

    file: str
    line: str
    function: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}, line {self.line}, in {self.function}"


def blame_for_error(error: BaseException) -> str | None:
    """Return the plugin whose code raised the error or called what raised it, or None."""
    return blame_for_files(source_files(error))


def blame_for_crash(log: str) -> str | None:
    """Return the plugin in the stacks that faulthandler dumped into a log, the crashed thread's first, or None."""
    return blame_for_files(frame.file for frame in _frames(log))


def describe_place(stacks: str) -> str:
    """Return which line a process runs, from the stacks that faulthandler has written; "" if there are none.

    It is the innermost line in a plugin's code, or the innermost of all.

    >>> describe_place('Current thread 0x7f (most recent call first):\\n  File "/lib/queue.py", line 171 in get\\n')
    'queue.py, line 171, in get'
    """
    frames = _frames(stacks)
    if not frames:
        return ""
    plugin = blame_for_files(frame.file for frame in frames)
    if plugin is None:
        return str(frames[0])
    innermost = next(frame for frame in frames if blame_for_files([frame.file]) == plugin)
    return f"plugin {plugin!r}: {innermost}"


def blame_for_files(files: Iterable[str]) -> str | None:
    """Return the plugin that owns the first file that any plugin owns, or None."""
    owners = plugin_sources()
    for file in files:
        path = Path(file)
        matches = [(len(source.parts), name) for name, source in owners if path.is_relative_to(source)]
        if matches:
            return max(matches)[1]
    return None


def source_files(error: BaseException) -> Iterator[str]:
    """Yield the source files of an error's frames, innermost first, then those of its cause.

    A CellError names a cause that the engine itself has found, so the search ends there: no plugin is to blame.
    """
    current: BaseException | None = error
    while current is not None:
        frames = [frame.f_code.co_filename for frame, _ in walk_tb(current.__traceback__)]
        yield from reversed(frames)
        current = None if isinstance(current, CellError) else current.__cause__


def plugin_sources() -> list[tuple[str, Path]]:
    """Return (plugin, folder or file of its source) for every plugin; none is imported for it."""
    sources = [(file.stem, file) for file in given_files()]
    for point in entry_points(group="segbench"):
        top, *rest = _module(point).split(".")
        if top != "segbench" and (source := _find_source(top)) is not None:
            sources.append((point.name, _narrow(source, rest)))
    return sources


def _frames(stacks: str) -> list[Frame]:
    """Return the frames of all threads, those of the current thread first, each innermost first."""
    others, _, current = stacks.partition(_CURRENT_THREAD)
    return [Frame(*found) for found in (*_FRAME.findall(current), *_FRAME.findall(others))]


def _module(point: EntryPoint) -> str:
    """Return the module of an entry point; an empty text for one that is malformed."""
    try:
        return point.module
    except (AttributeError, ValueError):  # the latter where importlib_metadata, as MLflow does, has taken its place
        return ""


def _find_source(top_level: str) -> Path | None:
    try:
        spec = find_spec(top_level)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def _narrow(folder: Path, modules: list[str]) -> Path:
    """Follow a dotted path into a package, so that two plugins of one package can be distinguished."""
    nested = folder.joinpath(*modules)
    if not modules or nested.is_dir():
        return nested
    file = nested.with_suffix(".py")
    return file if file.is_file() else folder
