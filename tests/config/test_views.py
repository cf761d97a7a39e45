from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.config.views import View, Views


def test_each_scale_is_seen_both_ways_with_flip():
    found = Views(flip=True, scales=(0.75, 1.0)).views
    assert found == [View(0.75, False), View(0.75, True), View(1.0, False), View(1.0, True)]
    assert Views(scales=(0.5, 1.5)).views == [View(0.5, False), View(1.5, False)]
    assert Views(flip=True).views == [View(1.0, False), View(1.0, True)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "this is the image alone; give flip: true or scales"),
        ({"scales": (1.0,)}, "this is the image alone"),
        ({"scales": (1.0, 0.5, 1.0)}, r"a scale is there twice in \[1.0, 0.5, 1.0\]"),
        ({"scales": ()}, "at least 1 item"),
        ({"scales": (0.0, 1.0)}, "greater than 0"),
        ({"scales": (1.0, 5.0)}, "less than or equal to 4"),
        ({"scales": (float("nan"),)}, "less than or equal to 4"),
    ],
)
def test_what_is_no_set_of_views_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        Views(**given)
