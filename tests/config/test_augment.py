from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.config.augment import Augment


def test_a_scale_range_goes_upwards():
    with pytest.raises(ValidationError, match="the smaller factor comes first"):
        Augment(scale=(1.5, 0.5))
