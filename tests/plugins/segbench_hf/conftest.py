from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def extra() -> None:
    """Skip, with a notice, where the extra [hf] is not installed."""
    pytest.importorskip("transformers", reason="needs segbench[hf]")
    pytest.importorskip("datasets", reason="needs segbench[hf]")


@pytest.fixture
def hub_cache(monkeypatch, tmp_path):
    """An empty cache of the hub, which itself is out of reach."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"
