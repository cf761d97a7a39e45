from __future__ import annotations

from dataclasses import replace

import pytest

from segbench.engine.data.dataset import clusters_of
from segbench.errors import DataError


def test_each_image_is_in_the_group_that_the_dataset_says(dataset):
    by_number = replace(dataset, cluster=lambda name: name[-1])
    assert clusters_of(by_number, ("image 0", "image 1")) == ("0", "1")


def test_a_dataset_may_know_of_no_groups(dataset):
    assert clusters_of(dataset, ("image 0",)) is None


@pytest.mark.parametrize("returned", [3, None, ""])
def test_what_is_no_name_of_a_group_is_refused(dataset, returned):
    broken = replace(dataset, cluster=lambda name: returned)
    with pytest.raises(DataError, match=rf"the dataset's cluster function returned {returned!r} for .* 'image 0'"):
        clusters_of(broken, ("image 0",))
