from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from segbench.engine.prediction.runtimes import OPENERS, to_onnx
from segbench.engine.prediction.tracing import trace_alone
from segbench.errors import RecordError


@pytest.fixture(autouse=True)
def _libraries():
    for library in ("onnx", "onnxscript"):
        pytest.importorskip(library)


@pytest.mark.parametrize("runtime", OPENERS)
def test_a_runtime_returns_what_the_network_does(runtime):
    pytest.importorskip(runtime)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear")).eval()
    images = torch.randn(2, 3, 7, 9)
    run = OPENERS[runtime](to_onnx(trace_alone(network, (images,)), {"key": "k"}), 1)
    with torch.no_grad():
        np.testing.assert_allclose(run(images.numpy()), network(images).numpy(), rtol=1e-4, atol=1e-5)


class Ranks(nn.Module):
    """Sorts pixels by an operator that ONNX does not have."""

    def forward(self, images):
        return torch.linalg.eigvals(images)


def test_an_operator_that_onnx_lacks_is_named():
    with pytest.raises(RecordError, match=r"cannot be written as ONNX: .*linalg_eig"):
        to_onnx(trace_alone(Ranks(), (torch.zeros(1, 3, 4, 4),)), {})
