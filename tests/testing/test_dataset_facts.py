from __future__ import annotations

import subprocess
import sys

import pytest

from segbench.testing.dataset_facts import spread_indices


@pytest.mark.parametrize(
    ("length", "most", "indices"), [(3, 16, [0, 1, 2]), (1, 16, [0]), (0, 16, []), (9, 3, [0, 4, 8])]
)
def test_samples_are_spread_over_a_split(length, most, indices):
    assert spread_indices(range(length), most) == indices


def test_they_are_found_without_torch():
    program = "import sys, segbench.testing.dataset_facts; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
