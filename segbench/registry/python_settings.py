"""What Python and its standard library keep for the whole process."""

from __future__ import annotations

import builtins
import faulthandler
import gc
import os
import re
import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from .setting import Setting, differing, replace_items

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from types import ModuleType

_STREAMS_AND_HOOKS = ("stdin", "stdout", "stderr", "excepthook", "unraisablehook", "displayhook")

_LOGGING_WARNING = 30  # the root logger's level at the start

Handlers = dict[signal.Signals, Any]
Filter = tuple[str, re.Pattern[str] | str | None, type[Warning], re.Pattern[str] | str | None, int]


def lasting_settings() -> list[Setting]:
    """Return what neither importing a plugin nor building a component may change."""
    return [
        Setting("the working folder", os.getcwd, os.chdir),
        Setting("signal handlers", _handlers, _set_handlers, parts=_signal_names),
        Setting("the alarm clock", _alarm_is_set, lambda was_set: None if was_set else _stop_alarm()),
        Setting("the filters of warnings", lambda: [*warnings.filters], _set_filters, same=_same_for_all),
        _attribute(warnings, "showwarning"),
        *(_attribute(sys, name) for name in _STREAMS_AND_HOOKS),
        _attribute(threading, "excepthook"),
        Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Setting("garbage collection", gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
        Setting("the fault handler", faulthandler.is_enabled, _set_fault_handler),
        *_logging_settings(),
    ]


def import_settings() -> list[Setting]:
    """Return what importing a plugin may not change either; libraries that a build imports set variables of their own.

    An import path that grows at its end is no change: later imports of the plugin may rest on that.
    """
    return [
        Setting(
            "environment variables",
            lambda: dict(os.environ),
            lambda before: replace_items(os.environ, before),
            parts=differing,
        ),
        Setting(
            "built-in names",
            lambda: dict(vars(builtins)),
            lambda before: replace_items(vars(builtins), before),
            parts=differing,
        ),
        Setting("the import path", lambda: [*sys.path], _restore_path, same=_only_grew),
        *_random_settings(),
    ]


def _attribute(module: ModuleType, name: str) -> Setting:
    return Setting(
        f"{module.__name__}.{name}", lambda: getattr(module, name), lambda before: setattr(module, name, before)
    )


def _handlers() -> Handlers:
    return {number: signal.getsignal(number) for number in signal.Signals}


def _set_handlers(before: Handlers) -> None:
    now = _handlers()
    for number in differing(before, now):
        if before[number] is not None:  # it was not set from Python, so Python cannot set it
            signal.signal(number, before[number])


def _signal_names(before: Handlers, after: Handlers) -> list[str]:
    return [number.name for number in differing(before, after)]


def _alarm_is_set() -> bool:
    return hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _stop_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def _same_for_all(before: list[Filter], after: list[Filter]) -> bool:
    """Compare the filters that concern whatever warns.

    Those for one message, one module or a class of warnings of its own are what libraries set for themselves.
    """
    return [one for one in before if _is_broad(one)] == [one for one in after if _is_broad(one)]


def _is_broad(one: Filter) -> bool:
    _, message, category, module, _ = one
    return category.__module__ == "builtins" and all(map(_fits_everything, (message, module)))


def _fits_everything(pattern: re.Pattern[str] | str | None) -> bool:
    if isinstance(pattern, re.Pattern):
        return pattern.match("") is not None
    return not pattern


def _set_filters(before: list[Filter]) -> None:
    added: list[Any] = [one for one in warnings.filters if one not in before and not _is_broad(one)]  # type: ignore[arg-type]
    warnings.filters[:] = [*added, *before]  # type: ignore[index]
    with warnings.catch_warnings():
        pass  # on leaving, it has Python forget what the former filters decided


def _set_fault_handler(enabled: bool) -> None:
    if enabled:
        faulthandler.enable(file=2)
    else:
        faulthandler.disable()


def _logging_settings() -> list[Setting]:
    loaded = sys.modules.get("logging")
    if loaded is None:
        return []
    root: logging.RootLogger = loaded.getLogger()
    return [
        Setting("the level of the root logger", lambda: root.level, root.setLevel, _LOGGING_WARNING),
        Setting("the handlers of the root logger", lambda: [*root.handlers], _set_handlers_of(root), []),
        Setting("logging.disable", lambda: root.manager.disable, loaded.disable, 0),
    ]


def _set_handlers_of(root: logging.RootLogger) -> Callable[[list[logging.Handler]], None]:
    def put_back(before: list[logging.Handler]) -> None:
        root.handlers[:] = before

    return put_back


def _only_grew(before: list[str], after: list[str]) -> bool:
    return after[: len(before)] == before


def _restore_path(before: list[str]) -> None:
    sys.path[:] = [*before, *(folder for folder in sys.path if folder not in before)]


def _random_settings() -> list[Setting]:
    random = sys.modules.get("random")
    return [] if random is None else [Setting("Python's random numbers", random.getstate, random.setstate)]
