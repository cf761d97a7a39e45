import pytest
import torch
from torch import nn

from segbench_realtime.blocks import PooledBatchNorm2d, resized_to


def test_a_pooled_map_at_batch_1_is_normalised_with_running_statistics():
    norm = PooledBatchNorm2d(2)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 9.0]))
    normalised = norm(torch.tensor([5.0, 8.0]).view(1, 2, 1, 1))
    assert normalised.flatten().tolist() == pytest.approx([2.0, 2.0], abs=1e-4)
    assert norm.running_mean.tolist() == [1.0, 2.0]


def test_a_pooled_map_at_batch_1_trains_the_scale():
    norm = PooledBatchNorm2d(2)
    norm(torch.ones(1, 2, 1, 1)).sum().backward()
    assert (norm.weight.grad != 0).all()


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 3, 2, 2)])
def test_otherwise_it_is_batch_normalisation(shape):
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    norm, reference = PooledBatchNorm2d(3), nn.BatchNorm2d(3)
    assert torch.equal(norm(features), reference(features))
    assert torch.equal(norm.running_var, reference.running_var)
    assert torch.equal(norm.eval()(features), reference.eval()(features))


def test_resizing_keeps_a_plane():
    columns = torch.arange(4.0).expand(1, 1, 4, 4)
    # Pixel centres: 0.5 + 2 i in the new grid's units of a quarter of the width.
    assert resized_to(columns, (2, 2))[0, 0, 0].tolist() == [0.5, 2.5]


def test_features_of_the_size_asked_for_are_returned_as_they_are():
    features = torch.zeros(1, 1, 3, 5)
    assert resized_to(features, (3, 5)) is features
