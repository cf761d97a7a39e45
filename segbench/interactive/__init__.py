"""What a script or a notebook calls: `segbench.run`, `load` and the `Results` that they return, `load_model`."""

from __future__ import annotations

from .model import load_model
from .results import Results, load
from .running import run

__all__ = ["Results", "load", "load_model", "run"]
