from __future__ import annotations

import mmap
import os

import pytest
import torch
from torch import nn

from segbench.engine.model.cost import PeakMemory, count_parameters, flops

CPU = torch.device("cpu")
MIB = 2**20


def image(*shape: int) -> tuple[torch.Tensor]:
    """Return what a network that takes one image (C, H, W) is given."""
    return (torch.zeros(1, *shape),)


class WithAuxiliaryHead(nn.Module):
    """Head and backbone share a layer; the auxiliary head answers in training only."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3)
        self.head = nn.Conv2d(4, 2, 1)
        self.auxiliary = nn.Conv2d(4, 2, 1)

    def forward(self, images):
        features = self.backbone(images)
        return (self.head(features), self.auxiliary(features)) if self.training else self.head(features)


def test_a_convolution_has_two_operations_for_each_multiply_add():
    # 5 x 6 pixels, 8 output channels, 3 input channels, 3 x 3 weights
    network = nn.Conv2d(3, 8, 3, padding=1)
    assert flops(network, image(3, 5, 6)) == 2 * 5 * 6 * 8 * 3 * 3 * 3


def test_operations_are_the_same_under_channels_last():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    plain = flops(network, image(3, 16, 16))
    assert plain == flops(network.to(memory_format=torch.channels_last), image(3, 16, 16))


def test_operations_that_the_counter_does_not_know_are_unknown_and_not_zero():
    assert flops(nn.AvgPool2d(2), image(3, 8, 8)) is None


def test_operations_of_a_network_that_cannot_run_are_unknown():
    assert flops(nn.Conv2d(3, 8, 3), image(1, 8, 8)) is None


def test_shared_parameters_count_once():
    layer = nn.Conv2d(4, 4, 3)
    assert count_parameters(nn.Sequential(layer, layer), image(4, 8, 8)) == 4 * 4 * 9 + 4


def test_an_auxiliary_head_is_no_part_of_inference():
    network = WithAuxiliaryHead().train()
    assert count_parameters(network, image(3, 8, 8)) == (3 * 4 * 9 + 4) + (4 * 2 + 2)


def test_frozen_parameters_are_part_of_inference():
    network = WithAuxiliaryHead()
    network.backbone.requires_grad_(False)
    assert count_parameters(network, image(3, 8, 8)) == (3 * 4 * 9 + 4) + (4 * 2 + 2)


def test_a_network_without_parameters_has_none():
    assert count_parameters(nn.AvgPool2d(2), image(3, 8, 8)) == 0


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak cannot be reset here")
def test_the_resident_peak_covers_what_was_given_back_meanwhile():
    memory = PeakMemory(CPU)
    before = memory.bytes()
    # Mapped, because an array may come from what the process freed and still holds.
    with mmap.mmap(-1, 64 * MIB) as pages:
        pages.write(bytes(64 * MIB))
    # Half of the pages, because the process may give others back meanwhile.
    assert memory.bytes() - before >= 32 * MIB


class Allocator:
    """The memory of a CUDA device as torch counts it, which knows no peak before CUDA has started."""

    def __init__(self):
        self.started, self.held, self.peak = False, 0, 0

    def init(self):
        self.started = True

    def reset_peak_memory_stats(self, device):
        assert self.started
        self.peak = self.held

    def max_memory_allocated(self, device):
        return self.peak

    def memory_allocated(self, device):
        return self.held

    def use(self, size):
        self.peak = max(self.peak, self.held + size)


@pytest.fixture
def allocator(monkeypatch):
    made = Allocator()
    for name in ("init", "reset_peak_memory_stats", "max_memory_allocated", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, getattr(made, name))
    return made


def test_a_peak_begins_anew_after_the_warm_up_and_leaves_out_what_pauses_take(allocator):
    memory = PeakMemory(torch.device("cuda", 0))
    allocator.use(900)  # the search for kernels
    memory.forget()
    allocator.use(300)
    with memory.paused():
        allocator.use(700)  # a validation
    assert memory.bytes() == 300
    allocator.use(200)
    assert memory.bytes() == 300
    allocator.use(400)
    assert memory.bytes() == 400


def test_what_a_pause_leaves_on_the_device_counts_as_if_it_had_always_been_there(allocator):
    memory = PeakMemory(torch.device("cuda", 0))
    allocator.use(300)
    with memory.paused():
        allocator.held = 50  # such as the pixels of the split that is validated on
    assert memory.bytes() == 350
    allocator.use(400)
    assert memory.bytes() == 450


@pytest.mark.gpu
def test_the_peak_on_a_cuda_device_is_what_torch_allocated_there():
    device = torch.device("cuda", 0)
    memory = PeakMemory(device)
    before = memory.bytes()
    torch.empty(8 * MIB, dtype=torch.uint8, device=device)
    assert memory.bytes() - before == 8 * MIB
