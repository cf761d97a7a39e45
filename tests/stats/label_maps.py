"""Label maps of three images in which classes are absent, only predicted, or ignored, and their confusion counts."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix

IGNORE = 255
K = 6


def label_maps(seed):
    """Truth with an ignored stripe and without class 4, and a prediction that is right in most pixels."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 4, (3, 20, 30))
    truth[0] = generator.integers(0, 2, (20, 30))  # not every image has every class
    prediction = np.where(generator.random(truth.shape) < 0.7, truth, generator.integers(0, 4, truth.shape))
    prediction[0, 0, :5] = 5  # class 5 is predicted and never right
    truth[:, 10:12] = IGNORE
    return truth, prediction


def count(truth, prediction, num_classes=K):
    """Return the confusion matrix of all labelled pixels."""
    valid = truth != IGNORE
    return confusion_matrix(truth[valid], prediction[valid], labels=range(num_classes)).astype(np.int64)
