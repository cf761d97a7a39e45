"""The fork server, from which workers are forked, imports libraries once, so that no worker has to.

Importing this module inside the server starts it. Plugins are left out: a plugin module may run anything, and a CUDA
call or a multi-threaded torch operation before the fork would break every worker.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import sys
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from .processes import adopt_orphans

if TYPE_CHECKING:
    from collections.abc import Iterable


PRELOAD_VARIABLE = "SEGBENCH_PRELOAD"
# Any optimiser imports torch._dynamo, which takes seconds; pandas and pyarrow write the counts at a cell's end.
ALWAYS_PRELOADED = (
    "torch",
    "torch._dynamo",
    "pandas",
    "pyarrow.parquet",
    "safetensors.torch",
    "segbench.engine.cell",
    "segbench.engine.device",
    "segbench.engine.timing.session",
)


def modules_to_preload(distributions: Iterable[str]) -> tuple[str, ...]:
    """Return the modules that workers share: the engine's, and those of the named distributions."""
    return (*ALWAYS_PRELOADED, *(name for one in sorted(distributions) for name in import_names(one)))


def import_names(name: str) -> list[str]:
    """Return the top-level packages a distribution installs; none if it is not installed.

    >>> import_names("pydantic"), import_names("no-such-distribution")
    (['pydantic'], [])
    """
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return []
    main = name.replace("-", "_").lower()  # other packages beside the main one are often its tests
    if Path(str(installed.locate_file(f"{main}/__init__.py"))).is_file():  # the list of all files of torch is long
        return [main]
    if (listed := installed.read_text("top_level.txt")) is not None:
        names = set(listed.split())
    else:
        names = {file.parts[0] for file in installed.files or () if file.name == "__init__.py"}
    return [main] if main in names else sorted(name for name in names if name.isidentifier() and name[0] != "_")


def import_all(names: Iterable[str]) -> None:
    """Import modules; one that fails is left to the cells that need it, which then fail with its own message."""
    for name in names:
        try:
            import_module(name)
        except Exception:  # a plain preload list would end the server at anything but an ImportError
            continue
    gc.collect()
    gc.freeze()  # workers then need not copy the pages of all these objects only to look through them


def discard_output() -> None:
    """Discard stdout and stderr from now on: who reads a run's output to its end must not wait for this process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def prepare(instructions: str) -> None:
    """Take over the parent's import path, then import; `instructions` is JSON with "path" and "modules"."""
    given = json.loads(instructions)
    discard_output()
    adopt_orphans()  # what a crashed worker has started is the server's child then, where it is found
    warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")  # that is, one of those
    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a worker may be asked for its stacks before it has a handler
    # A library that asks on import whether there is a GPU would otherwise make CUDA unusable in every worker.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    sys.path[:] = given["path"]
    import_all(given["modules"])
    atexit.register(os._exit, 0)  # libraries may complain on stderr while they are torn down, and it takes time


# Set for the fork server alone; elsewhere importing this module does nothing.
if PRELOAD_VARIABLE in os.environ:
    prepare(os.environ.pop(PRELOAD_VARIABLE))
