"""Measures that tests of networks of several plugins share."""

from __future__ import annotations

import pytest


@pytest.fixture
def parameters():
    """Counts the parameters of a module."""

    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    return count
