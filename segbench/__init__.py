"""segbench: benchmark semantic segmentation methods under one protocol.

These names are what a plugin needs; everything else is internal.
"""

from __future__ import annotations

from .contract import Component, Dataset, Sample, hookimpl
from .errors import DataError, SegbenchError, WeightsError

__all__ = ["Component", "DataError", "Dataset", "Sample", "SegbenchError", "WeightsError", "hookimpl"]
