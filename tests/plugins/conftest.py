"""Measures, files and folders that tests of several plugins share."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch.nn import functional


@pytest.fixture
def parameters():
    """Counts the parameters of a module."""

    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    return count


@pytest.fixture
def digest():
    """The SHA-256 of a file."""
    return lambda path: hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def lite_weights(shared_weights):
    """Published weights of timm's tf_efficientnet_lite0."""
    path = shared_weights / "tf_efficientnet_lite0.safetensors"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return path


@pytest.fixture
def hub_cache(monkeypatch, tmp_path):
    """An empty cache of the Hugging Face hub, which itself is out of reach."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def losses_of_two_steps():
    """The training loss before and after one step of gradient descent on a fixed batch of images of 4x4 squares.

    The rate must be small where batch normalisation of an untrained network makes gradients steep, or where a longer
    step may move maxima to other pixels.
    """

    def train(build, square, rate, seed):
        torch.manual_seed(seed)
        network = build()
        images, target = _squares(square)
        images = images.to(next(network.parameters()).dtype)
        optimizer = torch.optim.SGD(network.train().parameters(), rate)
        losses = []
        for _ in range(2):
            # The same dropout in both steps.
            torch.manual_seed(0)
            loss = _loss(network, images, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert all(parameter.grad is not None for parameter in network.parameters())
        return losses

    with torch.random.fork_rng(devices=[]):
        yield train


def _squares(square):
    # Of random colours: the larger they are, the more seldom maxima move; from 16x16 pixels on, the class is known at
    # stride 8 too.
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(2, 3, 4, 4, generator=generator) * 2 - 1
    images = functional.interpolate(colours, scale_factor=square)
    # Texture, since of equal pixels each processor's rounding makes another one the maximum.
    return images + torch.rand(images.shape, generator=generator) - 0.5, (images[:, 0] > 0).long()


def _loss(network, images, target):
    output = network(images)
    logits, *auxiliary = output if isinstance(output, tuple) else (output,)
    logits = functional.interpolate(logits, size=target.shape[-2:], mode="bilinear")
    loss = functional.cross_entropy(logits, target)
    return loss + network.auxiliary_loss(tuple(auxiliary), target) if auxiliary else loss
