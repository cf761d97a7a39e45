"""Batch norm of several processes; that two of them train as one does is in test_ranks.py."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm

from segbench.engine import batch_norm as batch_norm_module
from segbench.engine.batch_norm import Arguments, NormaliseTogether, batch_norm_by_formula, batch_norm_together


def run(images, layer):
    """Return the output of a layer, the gradients of images and weights, and its running statistics."""
    images = images.clone().requires_grad_()
    output = layer(images)
    (output * torch.arange(output.numel(), dtype=output.dtype).view_as(output).sin()).sum().backward()
    gradients = [parameter.grad for parameter in layer.parameters()]
    return [output, images.grad, *gradients, *layer.buffers()]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 5, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_among_the_images_of_one_process_it_is_torchs(monkeypatch, affine, shape, training):
    monkeypatch.setattr(batch_norm_module, "_sum_over_processes", torch.clone)
    kind = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[len(shape)]
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = run(images, kind(3, affine=affine).double().train(training))
    with NormaliseTogether(1, batch_norm_together):
        found = run(images, kind(3, affine=affine).double().train(training))
    torch.testing.assert_close(found, expected)


def test_half_precision_is_normalised_in_float32(monkeypatch):
    monkeypatch.setattr(batch_norm_module, "_sum_over_processes", torch.clone)
    images = 100 + torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = functional.batch_norm(images.bfloat16().float(), None, None, training=True)
    with NormaliseTogether(1, batch_norm_together):
        found = functional.batch_norm(images.bfloat16(), None, None, training=True)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize(("batch_norm", "fast"), [(batch_norm_together, 1), (batch_norm_by_formula, 0)])
def test_a_gpu_takes_torchs_own_function_where_that_is_differentiable_enough(monkeypatch, batch_norm, fast):
    taken = []
    monkeypatch.setattr(batch_norm_module, "_sum_over_processes", torch.clone)
    monkeypatch.setattr(batch_norm_module, "_normalise_on_cuda", lambda images, *_: taken.append(images) or images)
    with FakeTensorMode():
        images = torch.empty(4, 3, 8, 8, device="cuda")
        assert batch_norm(2, Arguments(images, None, None, training=True)).device == images.device
    assert len(taken) == fast


def test_torchs_own_function_for_gpus_is_given_everything_in_its_place(monkeypatch):
    _, *names = inspect.signature(SyncBatchNorm.forward).parameters
    taken = []
    monkeypatch.setattr(batch_norm_module, "_normalise_on_cuda", lambda *given: taken.append(given) or given[0])
    with FakeTensorMode():
        images = torch.empty(4, 3, 8, 8, device="cuda")
        layer = {"running_mean": "mean", "running_var": "variance", "weight": "scale", "bias": "shift"}
        batch_norm_together(2, Arguments(images, **layer, training=True, momentum=0.5, eps=0.25))
    found = dict(zip(names, *taken, strict=True))
    assert found.pop("input") is images
    assert found == {**layer, "momentum": 0.5, "eps": 0.25, "process_group": dist.group.WORLD, "world_size": 2}


def test_a_layer_may_call_it_by_the_names_of_torch():
    images = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    named = {"input": images, "running_mean": torch.zeros(3), "running_var": torch.ones(3)}
    with NormaliseTogether(2, batch_norm_together):
        found = functional.batch_norm(**named)
    assert torch.equal(found, functional.batch_norm(**named))
