"""segbench: benchmark semantic segmentation methods under one protocol.

These names are what a plugin needs, and `run`, `load`, `load_model` and `Results` what a script or a notebook calls;
everything else is internal.
"""

from __future__ import annotations

import sys

# Only `python -m segbench` has "-m" here, and it puts the working folder first: a random.py or copy.py there would be
# taken for the standard library's by all that follows, and by the workers, which take over this path.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and "segbench" in sys.orig_argv:
    del sys.path[0]

from typing import TYPE_CHECKING, Any

from .contract import Component, Dataset, Sample, hookimpl
from .errors import DataError, SegbenchError, WeightsError

if TYPE_CHECKING:
    from .interactive import Results, load, load_model, run

__all__ = [
    "Component",
    "DataError",
    "Dataset",
    "Results",
    "Sample",
    "SegbenchError",
    "WeightsError",
    "hookimpl",
    "load",
    "load_model",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import what scripts call once it is asked for: plugins, which every command imports, do without."""
    if name in ("Results", "load", "load_model", "run"):
        from . import interactive

        return getattr(interactive, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
