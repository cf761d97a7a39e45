from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import confusion_matrix

from segbench.engine.evaluation.label_counts import Rules, concatenate, label_counts

VOID = 255


def test_confusions_of_all_pixels_and_of_small_objects_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    truth, prediction = random.integers(0, 3, (2, 2, 12, 15))
    truth[:, :2] = VOID
    small = random.random(truth.shape) < 0.1
    tensors = (torch.from_numpy(values) for values in (prediction, truth, small))
    counts = concatenate([label_counts(*tensors, Rules(num_classes=3, ignore_index=VOID))])
    for name, counted in (("confusion", truth != VOID), ("small", small & (truth != VOID))):
        for index in range(2):
            of_image = truth[index][counted[index]], prediction[index][counted[index]]
            np.testing.assert_array_equal(counts[name][index], confusion_matrix(*of_image, labels=[0, 1, 2]))
    assert counts["void"].tolist() == [2 * 15, 2 * 15]
