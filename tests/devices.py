"""On which devices a test runs."""

from __future__ import annotations

import pytest

# For a test that takes the fixture `device` of tests/engine, or one that does, such as `training`.
ON_CPU_AND_GPU = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)], indirect=True
)
