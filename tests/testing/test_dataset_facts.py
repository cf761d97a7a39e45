from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from segbench.testing.dataset_facts import hash_array, spread_indices


@pytest.mark.parametrize(
    ("length", "most", "indices"), [(3, 16, [0, 1, 2]), (1, 16, [0]), (0, 16, []), (9, 3, [0, 4, 8])]
)
def test_samples_are_spread_over_a_split(length, most, indices):
    assert spread_indices(range(length), most) == indices


def test_the_hash_of_an_array_depends_on_its_values_its_shape_and_its_type():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert hash_array(array.copy()) == hash_array(array)
    others = [array + np.uint8(1), array.reshape(3, 2), array.astype(np.uint16)]
    assert hash_array(array) not in map(hash_array, others)


def test_they_are_found_without_torch():
    program = "import sys, segbench.testing.dataset_facts; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
