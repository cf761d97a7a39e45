"""Checks of every component, of any kind; one of them imports its plugin in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from segbench.errors import ComponentError
from segbench.registry.options import check_requirements, coerce_options, read_docstrings

from .check import CheckFailed, CheckSkipped, check

if TYPE_CHECKING:
    from segbench.registry import Offer

    from .check import Check


# What must not be imported before a component is built: it would slow every command down.
HEAVY = "torch"


@check(
    "Write one line in Component(summary=...) that says what this is, such as 'U-Net (Ronneberger 2015)'.", builds=False
)
def summary_is_one_line(offer: Offer) -> None:
    """The summary has some text and no line break."""
    summary = offer.component.summary
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        raise CheckFailed(f"the summary is {summary!r}")


@check(
    "Install them, as the message says; `requires` names distributions as pip does, not modules. Name the `extra` that "
    "brings them if your package does not depend on them.",
    builds=False,
)
def requirements_are_installed(offer: Offer) -> None:
    """All that `requires` names is installed, unless the component names the extra that brings it."""
    try:
        check_requirements(offer)
    except ComponentError as error:
        raise (CheckSkipped if offer.component.extra else CheckFailed)(str(error)) from error


@check(
    "Import torch, and your modules that import it, inside `build`; in annotations, import it under "
    "`if TYPE_CHECKING:` with `from __future__ import annotations` on top.",
    builds=False,
)
def plugin_import_leaves_torch_alone(offer: Offer) -> None:
    """Neither importing the plugin nor calling its hooks imports torch: `segbench list` would take seconds."""
    importers = importers_of(HEAVY, offer)
    if importers:
        raise CheckFailed(f"importing the plugin imports {HEAVY}: {' -> '.join((*importers, HEAVY))}")


@check(
    "Say what each option means, with its name in `backticks`, in the docstring of `build`, of its module or of the "
    "plugin's package: `segbench show` prints it.",
    builds=False,
)
def options_are_documented(offer: Offer) -> None:
    """Every option's name stands in backticks in a docstring that its users get to read."""
    texts = read_docstrings(offer.component.build)
    missing = [
        option.name for option in offer.signature.options if not any(f"`{option.name}`" in text for text in texts)
    ]
    if missing:
        raise CheckFailed(f"not documented: {', '.join(missing)}")


@check(
    "Give every option that has no default a value in Component(example_options=...), and let defaults and examples "
    "be of the types that `build` states.",
    builds=False,
)
def options_have_valid_values(offer: Offer) -> None:
    """The defaults and `example_options` are what the options' types allow."""
    coerce_options(offer, offer.component.example_options)


@check("Use the names of checks as keys of known_failures, and say why each cannot be passed.", builds=False)
def known_failures_are_checks_with_a_reason(offer: Offer) -> None:
    """Every key of `known_failures` is a check of this kind of component, and its reason is not empty."""
    from .catalogue import checks_for

    names = [one.name for one in checks_for(offer)]
    unknown = [name for name in offer.component.known_failures if name not in names]
    if unknown:
        raise CheckFailed(f"known_failures names no check: {', '.join(unknown)}. The checks are {', '.join(names)}")
    bare = [name for name, reason in offer.component.known_failures.items() if not str(reason).strip()]
    if bare:
        raise CheckFailed(f"known_failures gives no reason for {', '.join(bare)}")


CHECKS: tuple[Check, ...] = (
    summary_is_one_line,
    known_failures_are_checks_with_a_reason,
    options_are_documented,
    options_have_valid_values,
    requirements_are_installed,
    plugin_import_leaves_torch_alone,
)

_SECONDS = 120

# Prints the chain of modules that leads to the import of the module `wanted`, outermost first; [] if none imports it.
_PROGRAM = """
import contextlib, json, os, sys

def look_out():
    frame, names = sys._getframe(2), []
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in names and not name.startswith(("importlib", "_frozen_importlib", "__main__")):
            names.append(name)
        frame = frame.f_back
    return [name for name in reversed(names) if name.partition(".")[0] not in ("segbench", "contextlib")]

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == wanted:
            answer(look_out())

def answer(names):
    os.write(pipe, json.dumps(names).encode())
    os._exit(0)

wanted, plugin, file, path = json.loads(sys.argv[1])
pipe = os.dup(1)
os.dup2(2, 1)  # what the plugin prints
sys.path[:] = path
from segbench.contract import HOOKS
sys.meta_path.insert(0, Finder)
if file:
    import importlib.util
    spec = importlib.util.spec_from_file_location(plugin, file)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[plugin] = loaded
    spec.loader.exec_module(loaded)
else:
    from importlib.metadata import entry_points
    loaded = next(iter(entry_points(group="segbench", name=plugin))).load()
for hook in HOOKS:
    if hasattr(loaded, hook):
        list(getattr(loaded, hook)())
answer([])
"""


def importers_of(module: str, offer: Offer) -> list[str]:
    """Return the modules, outermost first, through which importing the offer's plugin imports `module`; [] if it won't.

    The hooks are called as well. Raises CheckFailed if the plugin cannot be imported on its own, CheckSkipped if it
    is neither installed nor a file.
    """
    if offer.file is None and not entry_points(group="segbench", name=offer.plugin):
        raise CheckSkipped("the plugin is not installed, so that it cannot be imported on its own")
    file = None if offer.file is None else str(offer.file)
    question = json.dumps([module, offer.plugin, file, sys.path])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, question],  # -P: nothing is imported from the working folder
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"importing the plugin took more than {_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise CheckFailed(f"in a process of its own the plugin cannot be imported: {last[0]}") from error
    importers: list[str] = json.loads(done.stdout)
    return importers
