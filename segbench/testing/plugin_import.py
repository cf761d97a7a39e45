"""What importing a plugin brings along, seen in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from .check import CheckFailed, CheckSkipped

if TYPE_CHECKING:
    from segbench.registry import Offer

_SECONDS = 120

# Ends with the names of the modules that import each other until one imports the module looked for; [] if none does.
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
from segbench.registry.loading import HOOKS
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
            [sys.executable, "-c", _PROGRAM, question], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"importing the plugin took more than {_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise CheckFailed(f"in a process of its own the plugin cannot be imported: {last[0]}") from error
    importers: list[str] = json.loads(done.stdout)
    return importers
