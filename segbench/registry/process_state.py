"""Notice and put back what a plugin changes for the whole process, so that it changes no other plugin's results.

Watched is what results or output depend on: settings of torch and numpy, random numbers, warnings, logging, the
standard streams, the working folder, environment variables and the import path. No library is loaded for it.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import eq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager


def restore_after_import() -> AbstractContextManager[list[str]]:
    """Put back at the end of the block what importing a plugin has changed; the list then says what that was."""
    return _restore(lambda: [*_common_settings(), *_import_settings(), *_random_settings(), *_torch_random_settings()])


def restore_after_build() -> AbstractContextManager[list[str]]:
    """Put back at the end of the block what building a component has changed; the list then says what that was.

    Random numbers are not put back, since weights are drawn from them, nor is what libraries set for themselves.
    """
    return _restore(_common_settings)


def restore_random_numbers() -> AbstractContextManager[list[str]]:
    """Put back the random numbers of Python and numpy, which no network may draw; the list names those drawn."""
    return _restore(_random_settings)


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
def _restore(find: Callable[[], Sequence[Setting]]) -> Iterator[list[str]]:
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
        changes += [_describe(setting, value) for setting, value in settings.items() if _is_changed(setting, value)]
        for setting, value in settings.items():
            if _is_changed(setting, value):
                with suppress(Exception):  # such as a working folder that is gone: the block must not fail for it
                    setting.put_back(value)


def _value(setting: Setting) -> Any:
    try:
        return setting.read()
    except Exception:  # torch refuses to read settings that contradict each other
        return UNKNOWN


def _is_changed(setting: Setting, before: Any) -> bool:
    after = _value(setting)
    return before is not UNKNOWN and (after is UNKNOWN or not setting.same(before, after))


def _describe(setting: Setting, before: Any) -> str:
    after = _value(setting)
    parts = [] if setting.parts is None or after is UNKNOWN else sorted(setting.parts(before, after))
    return f"{setting.name}: {', '.join(parts)}" if parts else setting.name


def _attribute(name: str, owner: Any, attribute: str) -> Setting:
    return Setting(name, lambda: getattr(owner, attribute), lambda before: setattr(owner, attribute, before))


def _common_settings() -> list[Setting]:
    """Return what neither importing a plugin nor building a component may change."""
    return [
        Setting("the working folder", os.getcwd, os.chdir),
        Setting("the filters of warnings", lambda: [*warnings.filters], _put_filters_back, same=_equal_broad_filters),
        _attribute("warnings.showwarning", warnings, "showwarning"),
        *(_attribute(f"sys.{name}", sys, name) for name in ("stdin", "stdout", "stderr")),
        *_logging_settings(),
        *_torch_settings(),
        *_numpy_settings(),
    ]


def _import_settings() -> list[Setting]:
    """Return what importing a plugin may not change either; libraries that a build imports set variables of their own.

    An import path that grows at its end is no change: later imports of the plugin may rest on that.
    """
    return [
        Setting("environment variables", lambda: dict(os.environ), _put_environment_back, parts=_differing_keys),
        Setting(
            "the import path",
            lambda: [*sys.path],
            _put_path_back,
            same=lambda before, after: after[: len(before)] == before,
        ),
    ]


def _put_environment_back(before: dict[str, str]) -> None:
    for name in _differing_keys(before, dict(os.environ)):
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


def _differing_keys(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]


def _put_path_back(before: list[str]) -> None:
    sys.path[:] = [*before, *(folder for folder in sys.path if folder not in before)]


# Filters of warnings.

Filter = tuple[str, re.Pattern[str] | str | None, type[Warning], re.Pattern[str] | str | None, int]


def _equal_broad_filters(before: list[Filter], after: list[Filter]) -> bool:
    """Compare the filters that concern all warnings.

    Those for one message, one module or a class of warnings of its own are what libraries set for themselves.
    """
    return [one for one in before if _is_broad(one)] == [one for one in after if _is_broad(one)]


def _is_broad(one: Filter) -> bool:
    _, message, category, module, _ = one
    return category.__module__ == "builtins" and all(map(_matches_everything, (message, module)))


def _matches_everything(pattern: re.Pattern[str] | str | None) -> bool:
    if isinstance(pattern, re.Pattern):
        return pattern.match("") is not None
    return not pattern


def _put_filters_back(before: list[Filter]) -> None:
    added: list[Any] = [one for one in warnings.filters if one not in before and not _is_broad(one)]  # type: ignore[arg-type]
    warnings.filters[:] = [*added, *before]  # type: ignore[index]
    with warnings.catch_warnings():
        pass  # on leaving, it has Python forget what the former filters decided


# Libraries, where they have been loaded.


def _logging_settings() -> list[Setting]:
    loaded = sys.modules.get("logging")
    if loaded is None:
        return []
    root: logging.RootLogger = loaded.getLogger()

    def put_handlers_back(before: list[logging.Handler]) -> None:
        root.handlers[:] = before

    return [
        Setting("the level of the root logger", lambda: root.level, root.setLevel, loaded.WARNING),
        Setting("the handlers of the root logger", lambda: [*root.handlers], put_handlers_back, []),
        Setting("logging.disable", lambda: root.manager.disable, loaded.disable, 0),
    ]


def _random_settings() -> list[Setting]:
    """Return the state of the global random numbers of Python and numpy."""
    settings = []
    if (random := sys.modules.get("random")) is not None:
        settings.append(Setting("Python's random numbers", random.getstate, random.setstate))
    numpy: Any = sys.modules.get("numpy.random")
    if hasattr(numpy, "get_state"):

        def read() -> tuple[Any, ...]:
            name, words, *rest = numpy.get_state(legacy=True)
            return name, words.tolist(), *rest

        settings.append(Setting("numpy's random numbers", read, numpy.set_state))
    return settings


def _numpy_settings() -> list[Setting]:
    numpy: Any = sys.modules.get("numpy")
    if not hasattr(numpy, "seterr"):
        return []
    # https://numpy.org/doc/stable/reference/generated/numpy.seterr.html
    initial = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
    return [Setting("numpy's error handling", numpy.geterr, lambda before: numpy.seterr(**before), initial)]


def _loaded_torch() -> Any:
    """Return torch if it has been imported to its end."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "get_default_device") else None


def _torch_random_settings() -> list[Setting]:
    """Return the state of the random numbers that a build draws weights from."""
    torch = _loaded_torch()
    if torch is None:
        return []

    def put_back(state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))

    return [Setting("torch's random numbers", lambda: torch.get_rng_state().numpy().tobytes(), put_back)]


def _torch_settings() -> list[Setting]:
    torch = _loaded_torch()
    return [] if torch is None else [*_torch_modes(torch), *_torch_precisions(torch)]


def _torch_modes(torch: Any) -> Iterator[Setting]:
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


def _torch_precisions(torch: Any) -> Iterator[Setting]:
    """Yield what decides how float32 numbers are multiplied, the widest first: narrower ones are put back behind it."""
    backends = torch.backends
    if hasattr(backends, "fp32_precision"):  # torch 2.9
        yield _attribute("torch.backends.fp32_precision", backends, "fp32_precision")
    yield Setting(
        "torch's float32 matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    )
    if hasattr(backends.mkldnn, "matmul"):  # torch 2.9; the call above sets it as well
        yield _attribute("torch.backends.mkldnn.matmul.fp32_precision", backends.mkldnn.matmul, "fp32_precision")
    yield _attribute("torch.backends.cuda.matmul.allow_tf32", backends.cuda.matmul, "allow_tf32")
    for name in ("allow_tf32", "enabled", "benchmark", "deterministic"):
        yield _attribute(f"torch.backends.cudnn.{name}", backends.cudnn, name)
