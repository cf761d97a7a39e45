from __future__ import annotations

import torch

from segbench.engine.prediction import predict_image
from segbench.spec.protocol import Budget, Protocol, Window

IMAGE = torch.randint(0, 256, (3, 6, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def network(images):
    return torch.cat([images * 3, -images[:, :1]], dim=1)


def predict(**protocol):
    return predict_image(network, IMAGE, 255, Protocol(budget=Budget(steps=1), **protocol))


def test_probabilities_are_the_softmax_of_the_logits():
    prediction = predict()
    expected = network(IMAGE[None] / 127.5 - 1)
    torch.testing.assert_close(prediction.logits, expected)
    torch.testing.assert_close(prediction.probabilities, expected.softmax(dim=1))
    assert prediction.labels.tolist() == expected.argmax(dim=1)[0].tolist()


def test_probabilities_of_a_window_are_not_put_through_the_softmax_again():
    whole, windowed = predict(), predict(window=Window(size=(4, 4), stride=(2, 3)))
    torch.testing.assert_close(windowed.probabilities, whole.probabilities)
    torch.testing.assert_close(windowed.logits.softmax(dim=1), whole.probabilities)
    assert (windowed.labels == whole.labels).all()


def test_a_class_of_probability_zero_has_a_finite_logit():
    prediction = predict_image(
        lambda images: network(images) * 1e4,
        IMAGE,
        255,
        Protocol(budget=Budget(steps=1), window=Window(size=(8, 8), stride=(8, 8))),
    )
    assert prediction.probabilities.min() == 0
    assert prediction.logits.isfinite().all()
