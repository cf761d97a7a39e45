from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench.engine.prediction.parity import (
    Parity,
    measure_parity,
    of_size,
    open_scored_split,
    require_any_size,
    require_parity,
)
from segbench.engine.recorded import load_segmenter, read_cell
from segbench.errors import DataError, RecordError


@pytest.fixture
def recorded(trained_cell):
    """The network of a recorded cell."""
    return load_segmenter(trained_cell, torch.device("cpu"))


@pytest.fixture
def packed(trained_cell):
    """The split that it was scored on."""
    return open_scored_split(read_cell(trained_cell), None)


def network_labels(recorded, images):
    with torch.no_grad():
        return recorded.network(torch.from_numpy(images) / 127.5 - 1).argmax(dim=1).numpy()


def test_the_labels_of_the_network_itself_are_equal(recorded, packed):
    parity = measure_parity(lambda images: network_labels(recorded, images), recorded, packed, range(2))
    assert (parity.images, parity.equal) == (2, 1)
    assert parity.miou == parity.expected_miou
    require_parity(parity)


def test_shares_and_scores_are_those_of_other_labels(recorded, packed):
    truth = packed.labels(0)
    parity = measure_parity(lambda images: truth[None], recorded, packed, [0])
    expected = network_labels(recorded, packed.image(0)[None])[0]
    assert parity.miou == 1
    assert parity.equal == pytest.approx((expected == truth).mean())
    unions = [np.sum((truth == k) | (expected == k)) for k in range(packed.num_classes)]
    common = [np.sum((truth == k) & (expected == k)) for k in range(packed.num_classes)]
    ious = [part / whole for part, whole in zip(common, unions, strict=True) if whole]
    assert parity.expected_miou == pytest.approx(np.mean(ious))


@pytest.mark.parametrize(
    ("parity", "holds"),
    [
        (Parity(1, 0.999, 0.5, 0.5004), True),
        (Parity(1, 0.9989, 0.5, 0.5), False),
        (Parity(1, 1.0, 0.5, 0.4994), False),
        (Parity(1, 1.0, None, None), True),
    ],
)
def test_999_labels_in_a_thousand_and_the_score_to_0_05_points_are_asked_for(parity, holds):
    assert parity.holds == holds
    if not holds:
        with pytest.raises(RecordError, match="does not do what the network does: on 1 images"):
            require_parity(parity)


def test_a_size_that_no_image_has_is_an_error(packed):
    assert len(of_size(packed, None)) == len(packed)
    with pytest.raises(DataError, match="no image of split test is of size 7x9, but of "):
        of_size(packed, (7, 9))


def test_a_model_for_one_size_alone_is_found_out(recorded, packed):
    image = packed.image(0)

    def label(images):
        labels = network_labels(recorded, images)
        return labels if images.shape[1:] == image.shape else 2 - labels

    require_any_size(lambda images: network_labels(recorded, images), recorded, image)
    with pytest.raises(RecordError, match=r"other labels than the network for an image of .* such as --size "):
        require_any_size(label, recorded, image)


def test_a_model_that_does_not_run_is_refused_with_the_cause(recorded, packed):
    def label(images):
        raise RuntimeError("expected 32\nat line 7")

    with pytest.raises(RecordError, match=r"does not run for an image of \d+x\d+: RuntimeError: expected 32; write"):
        measure_parity(label, recorded, packed, [0])
