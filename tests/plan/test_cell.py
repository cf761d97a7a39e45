from __future__ import annotations

import pytest

from .conftest import cell


@pytest.mark.parametrize(
    ("subset", "label"),
    [
        ("all", "shapes / net / seed 0"),
        ("labels 0.125", "shapes / net / labels 0.125 / seed 0"),
        ("labels 0.125, fold 1/5", "shapes / net / labels 0.125, fold 1/5 / seed 0"),
    ],
)
def test_a_label_names_the_subset_where_it_is_not_everything(subset, label):
    assert cell(subset=subset).label == label
