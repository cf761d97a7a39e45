"""What all parts of a process share is put back where a plugin changes it, and the change is named.

What numpy keeps for the whole process, where it has been loaded; it is not loaded for it.

What Python and its standard library keep for the whole process.

What torch keeps for the whole process, where it has been loaded; it is not loaded for it.

A thing that is global to the process: how it is read, and put back where someone has changed it.
"""

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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import eq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType


def kept_on_import() -> AbstractContextManager[list[str]]:
    """Put back at the end of the block what importing a plugin has changed; the list then says what that was."""
    return kept(lambda: [*_lasting(), *import_settings(), *torch_random_settings(), *numpy_random_settings()])


def kept_while_building() -> AbstractContextManager[list[str]]:
    """Put back at the end of the block what building a component has changed; the list then says what that was.

    Random numbers are not put back, since weights are drawn from them, nor is what libraries set for themselves.
    """
    return kept(_lasting)


def _lasting() -> list[Setting]:
    return [*lasting_settings(), *torch_settings(), *numpy_settings()]


# https://numpy.org/doc/stable/reference/generated/numpy.seterr.html
_INITIAL_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def numpy_settings() -> list[Setting]:
    """Return what neither importing a plugin nor building a component may change."""
    numpy: Any = sys.modules.get("numpy")
    if not hasattr(numpy, "seterr"):
        return []
    return [Setting("numpy's error handling", numpy.geterr, lambda before: numpy.seterr(**before), _INITIAL_ERRORS)]


def numpy_random_settings() -> list[Setting]:
    """Return the state of its global random numbers."""
    random: Any = sys.modules.get("numpy.random")
    if not hasattr(random, "get_state"):
        return []

    def state() -> tuple[Any, ...]:
        name, words, *rest = random.get_state(legacy=True)
        return name, words.tobytes(), rest

    def put_back(before: tuple[Any, ...]) -> None:
        import numpy as np

        name, words, rest = before
        random.set_state((name, np.frombuffer(words, dtype=np.uint32), *rest))

    return [Setting("numpy's random numbers", state, put_back)]


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


_CUDNN = ("enabled", "benchmark", "deterministic")


def torch_settings() -> list[Setting]:
    """Return what neither importing a plugin nor building a component may change."""
    torch = _loaded_torch()
    return [] if torch is None else [*_modes(torch), *_precisions(torch)]


def torch_random_settings() -> list[Setting]:
    """Return the state of the random numbers that a build draws weights from."""
    torch = _loaded_torch()
    if torch is None:
        return []

    def put_back(state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))

    return [Setting("torch's random numbers", lambda: torch.get_rng_state().numpy().tobytes(), put_back)]


def _loaded_torch() -> Any:
    """Return torch if it has been imported to its end."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "get_default_device") else None


def _modes(torch: Any) -> Iterator[Setting]:
    def put_device_back(device: Any) -> None:
        # A default device that is set, be it the usual one, slows every call of torch down.
        torch.set_default_device(None if device.type == "cpu" else device)

    def determinism() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    def put_determinism_back(before: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])

    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32)
    yield Setting("torch's default device", torch.get_default_device, put_device_back, torch.device("cpu"))
    yield Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled, initial=True)
    yield Setting("torch's anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, False)
    yield Setting("torch's deterministic algorithms", determinism, put_determinism_back, (False, False))
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads)


def _precisions(torch: Any) -> Iterator[Setting]:
    """Yield what decides how float32 numbers are multiplied, the widest first: narrower ones are put back behind it."""
    backends = torch.backends
    if hasattr(backends, "fp32_precision"):  # torch 2.9
        yield _torch_attribute("torch.backends.fp32_precision", backends, "fp32_precision")
    yield Setting(
        "torch's float32 matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    )
    if hasattr(backends.mkldnn, "matmul"):  # torch 2.9; the call above sets it as well
        yield _torch_attribute("torch.backends.mkldnn.matmul.fp32_precision", backends.mkldnn.matmul, "fp32_precision")
    yield _torch_attribute("torch.backends.cuda.matmul.allow_tf32", backends.cuda.matmul, "allow_tf32")
    yield _torch_attribute("torch.backends.cudnn.allow_tf32", backends.cudnn, "allow_tf32")
    for name in _CUDNN:
        yield _torch_attribute(f"torch.backends.cudnn.{name}", backends.cudnn, name)


def _torch_attribute(name: str, owner: Any, attribute: str) -> Setting:
    return Setting(name, lambda: getattr(owner, attribute), lambda before: setattr(owner, attribute, before))


# The value of what cannot be read now, such as a working folder that is gone; also of what was never looked at.
UNKNOWN = object()


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting; what `read` returns can be compared and is what `put_back` takes.

    `initial` is its value in a process that has just loaded the library it belongs to. `same` compares two values,
    `parts` names what in them differs.
    """

    name: str
    read: Callable[[], Any]
    put_back: Callable[[Any], object]
    initial: Any = UNKNOWN
    same: Callable[[Any, Any], bool] = eq
    parts: Callable[[Any, Any], Iterable[str]] | None = None


@contextmanager
def kept(find: Callable[[], Sequence[Setting]]) -> Iterator[list[str]]:
    """Put back at the end of the block what it has changed; the list then says what that was.

    `find` returns the settings there are; libraries that are loaded in the block have some more at its end.
    """
    before = {setting.name: _value(setting) for setting in find()}
    changes: list[str] = []
    try:
        yield changes
    finally:
        settings = {setting: before.get(setting.name, setting.initial) for setting in find()}
        # All are looked at before the first is put back, since some change along with others.
        changes += [_told(setting, value) for setting, value in settings.items() if _is_changed(setting, value)]
        for setting, value in settings.items():
            if _is_changed(setting, value):
                _put_back(setting, value)


def _is_changed(setting: Setting, before: Any) -> bool:
    after = _value(setting)
    return before is not UNKNOWN and (after is UNKNOWN or not setting.same(before, after))


def _told(setting: Setting, before: Any) -> str:
    after = _value(setting)
    parts = [] if setting.parts is None or after is UNKNOWN else sorted(setting.parts(before, after))
    return f"{setting.name}: {', '.join(parts)}" if parts else setting.name


def _put_back(setting: Setting, before: Any) -> None:
    with suppress(Exception):  # such as a working folder that is gone: the block must not fail for it
        setting.put_back(before)


def _value(setting: Setting) -> Any:
    try:
        return setting.read()
    except Exception:  # torch refuses to read settings that contradict each other
        return UNKNOWN


def differing(before: dict[Any, Any], after: dict[Any, Any]) -> list[Any]:
    """Return the keys whose values differ or that only one has.

    >>> differing({"a": 1, "b": 2}, {"b": 3, "c": 4})
    ['a', 'b', 'c']
    """
    keys = {**before, **after}
    return [key for key in keys if before.get(key, UNKNOWN) != after.get(key, UNKNOWN)]


def replace_items(target: MutableMapping[Any, Any], wanted: dict[Any, Any]) -> None:
    """Let a mapping hold just what is wanted, and touch no item that it holds already."""
    for key in differing(dict(target), wanted):
        if key in wanted:
            target[key] = wanted[key]
        else:
            del target[key]
