from __future__ import annotations

import pytest

from segbench.cli.options import parse_seeds
from segbench.errors import SpecError


def test_seeds_are_parsed():
    assert parse_seeds("0,1, 2") == (0, 1, 2)
    assert parse_seeds(None) is None


@pytest.mark.parametrize("text", ["", "a", "0,", "1.5", "0-3"])
def test_seeds_that_are_no_numbers_are_refused(text):
    with pytest.raises(SpecError, match="write whole numbers with commas between"):
        parse_seeds(text)
