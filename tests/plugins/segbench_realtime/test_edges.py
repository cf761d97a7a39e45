import pytest
import torch
from torch.nn import functional

from segbench_realtime.edges import class_boundaries, class_laplacian


def labels(*rows):
    return torch.tensor([rows])


@pytest.mark.parametrize(("radius", "columns"), [(1, [2, 3]), (2, [1, 2, 3, 4])])
def test_boundaries_are_as_wide_as_their_radius_on_either_side(radius, columns):
    boundary = class_boundaries(labels([0, 0, 0, 4, 4, 4]), radius)
    assert boundary[0, 0].nonzero().flatten().tolist() == columns


def test_ignored_pixels_and_the_image_border_make_no_boundary():
    assert not class_boundaries(labels([2, 2, -100, 2], [2, 2, -100, -100]), 1).any()
    assert not class_laplacian(labels([2, 2, -100, 2], [2, 2, -100, -100])).any()


def test_the_laplacian_is_nonzero_where_that_of_two_class_numbers_is():
    target = torch.randint(2, (2, 7, 9), generator=torch.Generator().manual_seed(0))
    kernel = torch.full((1, 1, 3, 3), -1.0)
    kernel[..., 1, 1] = 8
    padded = functional.pad(target.unsqueeze(1).float(), (1, 1, 1, 1), mode="replicate")
    laplacian = functional.conv2d(padded, kernel).abs().squeeze(1)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    assert class_laplacian(target)[inner].equal(laplacian[inner].long())


def test_the_laplacian_does_not_depend_on_class_numbers():
    target = torch.randint(4, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    renumbered = torch.tensor([3, 0, 7, 1])[target]
    assert class_laplacian(target).equal(class_laplacian(renumbered))
