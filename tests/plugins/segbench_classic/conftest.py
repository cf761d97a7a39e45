"""Measures that tests of every network share."""

import pytest
import torch
from torch.nn import functional


@pytest.fixture
def losses_of_two_steps():
    """The training loss before and after one step of gradient descent on a fixed batch of 32x32 images.

    In float64 and at a tiny rate: a step long enough to move maxima to other pixels may raise the loss.
    """

    def train(build, seed):
        torch.manual_seed(seed)
        network = build().double()
        # Squares of 8x8 pixels and random colours: the finer, the more often maxima move.
        colours = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
        images = functional.interpolate(colours, scale_factor=8).double()
        target = (images[:, 0] > 0).long()
        optimizer = torch.optim.SGD(network.train().parameters(), 1e-8)
        losses = []
        for _ in range(2):
            loss = functional.cross_entropy(network(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert all(parameter.grad is not None for parameter in network.parameters())
        return losses

    with torch.random.fork_rng(devices=[]):
        yield train
