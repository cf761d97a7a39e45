from __future__ import annotations

import pytest
import torch

from segbench.engine.devices import devices


def test_the_cpu_comes_first_and_computes():
    first, *others = devices()
    assert first["device"] == "cpu"
    assert first["name"]
    assert first["error"] is None
    assert len(others) == torch.cuda.device_count()


@pytest.mark.gpu
def test_every_cuda_device_is_tried():
    assert all(found["error"] is None and found["bf16"] in ("native", "emulated") for found in devices()[1:])
