from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench import Dataset, Sample
from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.data.synthetic import SyntheticBatches
from segbench.spec.protocol import Augment


def streams(batch_size=4, memory_format=torch.contiguous_format):
    """The real batches, and those whose samples are to be replaced, of six images."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(rng.integers(0, 256, (12, 12, 3), np.uint8), rng.integers(0, 9, (12, 12), np.uint8), f"s{index}")
        for index in range(6)
    ]
    dataset = Dataset([f"c{index}" for index in range(9)], [(0, 0, 0)] * 9, {"train": samples})
    split = ResidentSplit(pack(dataset, "train", "six images"), torch.device("cpu"))
    return (
        TrainingBatches(
            split,
            batch_size=batch_size,
            crop=(8, 8),
            augment=Augment(flip=True),
            ignore_index=255,
            seed=0,
            memory_format=memory_format,
            stream=stream,
        )
        for stream in ("", "synthetic")
    )


def painted(batch, step):
    """Images of the step's number, which no real one has, with the labels of the originals."""
    return torch.full_like(batch.images, 2.0 + step), batch.labels


def forbidden(batch, step):
    raise AssertionError("nothing is to be generated")


def test_a_share_of_zero_changes_nothing():
    real, originals = streams()
    mixed = SyntheticBatches(real, originals, 0.0, forbidden)
    assert mixed.images_per_epoch == 6
    for step in range(4):
        assert all(torch.equal(*pair) for pair in zip(mixed.at(step)[:2], real.at(step)[:2], strict=True))
        assert mixed.at(step).indices == real.at(step).indices


def test_a_share_of_one_leaves_no_real_sample():
    mixed = SyntheticBatches(*streams(), 1.0, painted)
    for step in range(4):
        batch = mixed.at(step)
        assert batch.images.eq(2 + step).all()
        assert len(batch.images) == len(batch.labels) == len(batch.indices) == 4


def test_the_last_samples_are_generated_from_the_other_stream_and_the_first_are_real():
    real, originals = streams()
    mixed = SyntheticBatches(real, originals, 0.5, painted)
    for step in range(4):
        batch, plain, other = mixed.at(step), real.at(step), originals.draw(range(2 * step, 2 * step + 2), step)
        assert torch.equal(batch.images[:2], plain.images[:2])
        assert batch.images[2:].eq(2 + step).all()
        assert torch.equal(batch.labels, torch.cat([plain.labels[:2], other.labels]))
        assert batch.indices == plain.indices[:2] + other.indices


@settings(max_examples=30)
@given(share=st.decimals(0, 1, places=3), batch_size=st.integers(1, 6))
def test_over_time_the_share_is_exact(share, batch_size):
    mixed = SyntheticBatches(*streams(batch_size), float(share), painted)
    counts = [int(mixed.at(step).images[:, 0, 0, 0].ge(2).sum()) for step in range(30)]
    for steps in range(31):
        assert sum(counts[:steps]) == int(steps * batch_size * Fraction(share))


def test_every_image_is_an_original_once_an_epoch():
    mixed = SyntheticBatches(*streams(), 0.5, painted)
    used = [index for step in range(6) for index in mixed.at(step).indices[2:]]
    assert sorted(used[:6]) == sorted(used[6:]) == list(range(6))


def test_a_step_gives_the_same_batch_whenever_it_is_asked_for():
    first, again = (SyntheticBatches(*streams(), 0.5, painted) for _ in range(2))
    again.at(0)
    assert all(torch.equal(*pair) for pair in zip(first.at(3)[:2], again.at(3)[:2], strict=True))
    assert first.at(3).indices == again.at(3).indices


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_samples_generated_without_gradients_can_be_trained_on(memory_format, share):
    mixed = SyntheticBatches(*streams(memory_format=memory_format), share, torch.inference_mode()(painted))
    batch = mixed.at(0)
    assert batch.images.is_contiguous(memory_format=memory_format)
    network = torch.nn.Conv2d(3, 9, 1)
    torch.nn.functional.cross_entropy(network(batch.images), batch.labels).backward()
    assert network.weight.grad.abs().sum() > 0
