"""The one module that the fork server is told to import: it imports what workers share, and survives what fails."""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from .descendants import adopt_orphans

if TYPE_CHECKING:
    from collections.abc import Iterable

VARIABLE = "SEGBENCH_PRELOAD"


def import_all(names: Iterable[str]) -> None:
    """Import modules; one that fails is left to the cells that need it, which then fail with its own message."""
    for name in names:
        try:
            import_module(name)
        except Exception:  # a plain preload list would end the server at anything but an ImportError
            continue
    gc.collect()
    gc.freeze()  # workers then need not copy the pages of all these objects only to look them over


def let_go_of_output() -> None:
    """Write nowhere from now on: whoever reads a run's output to its end must not wait for this process to end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def prepare(instructions: str) -> None:
    """Take over the parent's import path, then import; `instructions` is JSON with "path" and "modules"."""
    given = json.loads(instructions)
    let_go_of_output()
    adopt_orphans()  # what a worker that crashed has started then lies with the server, where it is found
    warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")  # that is, one of those
    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a worker may be asked where it stands before it can tell
    # A library that asks on import whether there is a GPU would otherwise make CUDA unusable in every worker.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    sys.path[:] = given["path"]
    import_all(given["modules"])
    atexit.register(os._exit, 0)  # libraries may complain on stderr while they are torn down, and it takes time


# Set for the fork server alone; elsewhere importing this module does nothing.
if VARIABLE in os.environ:
    prepare(os.environ.pop(VARIABLE))
