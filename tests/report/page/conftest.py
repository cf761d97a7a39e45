from __future__ import annotations

import pytest


@pytest.fixture
def nothing_printed(capfd):
    """Fail if anything was printed, as the compiler of charts does when it warns."""
    yield
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
