"""What a script or a notebook calls: `segbench.run`, `segbench.load` and the `Results` that they return."""

from __future__ import annotations

from .results import Results, load
from .running import run

__all__ = ["Results", "load", "run"]
