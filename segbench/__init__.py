"""segbench: benchmark semantic segmentation methods under one protocol.

These names are what a plugin needs; everything else is internal.
"""

from __future__ import annotations

from .component import Component
from .contracts import Dataset, Sample
from .errors import DataError, SegbenchError, WeightsError
from .hookspecs import hookimpl

__all__ = ["Component", "DataError", "Dataset", "Sample", "SegbenchError", "WeightsError", "hookimpl"]
