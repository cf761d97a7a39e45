from __future__ import annotations

import inspect
import re

import pytest

from segbench import errors
from segbench.errors import OptionError, SegbenchError, alternatives, nearest


def test_the_tree_at_the_top_shows_every_error_below_its_base_with_its_meaning():
    shown, path = {}, []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"([ │├└─]+)(\w+Error)\b *(.*)", line):
            del path[(len(found[1]) - 4) // 4 :]
            shown[found[2]] = (path[-1] if path else "Exception", bool(found[3]))
            path.append(found[2])
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    assert shown == {one.__name__: (one.__base__.__name__, one is not SegbenchError) for one in classes}


def test_an_error_names_the_plugin_and_the_option_to_blame_where_they_are_known():
    error = OptionError("wrong", plugin="toy", option="width")
    assert (str(error), error.plugin, error.option) == ("wrong", "toy", "width")
    assert (OptionError("wrong").plugin, OptionError("wrong").option, SegbenchError("wrong").plugin) == (None,) * 3


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("unett", ["fpn", "unet"], " Did you mean 'unet'?"),
        ("unet", ["segformer"], ""),
        ("unet", [], ""),
        ("UNet", ["fpn", "unet"], " Did you mean 'unet'?"),
        (
            "tv/lraspp_mobilenet_v3_large",
            ["smp/mobilenet_v3_large", "tv/fcn", "tv/lraspp"],
            " Did you mean 'tv/lraspp'?",
        ),
        ("deeplab", ["unet", "deeplabv3plus", "deeplabv3"], " Did you mean 'deeplabv3'?"),
        ("budgets", ["bud", "budget"], " Did you mean 'budget'?"),
        ("adam", ["a", "sgd"], ""),
    ],
)
def test_a_similar_name_or_one_that_begins_alike_is_suggested_before_all_are_listed(name, known, hint):
    assert nearest(name, known) == hint
    assert alternatives(name, known) == f"{hint} Available: {', '.join(known) or 'none'}."
