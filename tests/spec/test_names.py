from __future__ import annotations

from pathlib import Path

import pytest

from segbench.errors import SpecError
from segbench.spec.names import check_name
from segbench.spec.node import Place

HERE = Place("bench.yaml", Path(), 1)


@pytest.mark.parametrize("name", ["unet", "unet+critic", "deeplabv3plus-r18", "lr0.1", "3_layers", "unet++"])
def test_names_may_hold_what_names_of_methods_do(name):
    check_name(name, HERE)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "-x", "a\n", "é", "m~frozen"])
def test_names_that_cannot_be_a_folder_or_are_derived_are_refused(name):
    with pytest.raises(SpecError, match="cannot be a name: use letters, digits"):
        check_name(name, HERE)
