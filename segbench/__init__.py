"""segbench: benchmark semantic segmentation methods under one protocol.

These names are what a plugin needs; everything else is internal.
"""

from __future__ import annotations

import sys

# Only `python -m segbench` has "-m" here, and it puts the working folder first: a random.py or copy.py there would be
# taken for the standard library's by all that follows, and by the workers, which take over this path.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and "segbench" in sys.orig_argv:
    del sys.path[0]

from .contract import Component, Dataset, Sample, hookimpl
from .errors import DataError, SegbenchError, WeightsError

__all__ = ["Component", "DataError", "Dataset", "Sample", "SegbenchError", "WeightsError", "hookimpl"]
