from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def extra() -> None:
    """Skip, with a notice, where the extra [hf] is not installed."""
    pytest.importorskip("transformers", reason="needs segbench[hf]")
    pytest.importorskip("datasets", reason="needs segbench[hf]")
