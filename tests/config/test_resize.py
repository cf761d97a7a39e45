from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.resize import Resize

lengths = st.integers(1, 5000)


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        (Resize(factor=0.5), (360, 480), (180, 240)),
        (Resize(factor=0.5), (361, 479), (181, 240)),
        (Resize(factor=0.1), (4, 100), (0, 10)),
        (Resize(short_side=512), (1024, 2048), (512, 1024)),
        (Resize(short_side=512), (500, 333), (769, 512)),
        (Resize(size=(100, 200)), (360, 480), (100, 200)),
        (Resize(size=(100, 200), keep_aspect=True), (360, 480), (100, 133)),
        (Resize(size=(400, 200), keep_aspect=True), (360, 480), (150, 200)),
        (Resize(size=(10, 10), keep_aspect=True), (1, 1000), (0, 10)),
    ],
)
def test_an_image_is_given_the_size_that_is_asked_for(resize, size, expected):
    assert resize.size_of(size) == expected


@given(lengths, lengths, lengths)
def test_the_short_side_is_exact_and_the_long_one_keeps_the_aspect_ratio_to_half_a_pixel(side, height, width):
    found = Resize(short_side=side).size_of((height, width))
    assert min(found) == side
    assert abs(max(found) - side * max(height, width) / min(height, width)) <= 0.5 + 1e-6


@given(lengths, lengths, lengths, lengths)
def test_an_image_that_keeps_its_aspect_ratio_fills_a_side_of_the_box_and_leaves_none(high, wide, height, width):
    found = Resize(size=(high, wide), keep_aspect=True).size_of((height, width))
    assert found[0] <= high
    assert found[1] <= wide
    assert found[0] == high or found[1] == wide


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of factor, short_side, size; got none"),
        ({"factor": 0.5, "short_side": 9}, "got factor, short_side"),
        ({"factor": 0.5, "keep_aspect": True}, "keep_aspect belongs to size: factor keeps"),
        ({"factor": 0.0}, "greater than 0"),
        ({"factor": float("nan")}, "less than or equal to 100"),
        ({"factor": float("inf")}, "less than or equal to 100"),
        ({"size": (0, 9)}, "greater than 0"),
        ({"short_side": 0}, "greater than 0"),
    ],
)
def test_what_states_no_one_size_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        Resize(**given)


@pytest.mark.parametrize(
    ("resize", "text"),
    [
        (Resize(factor=0.5), "factor 0.5"),
        (Resize(short_side=512), "short_side 512"),
        (Resize(size=(90, 80), keep_aspect=True), "size [90, 80], keep_aspect True"),
    ],
)
def test_it_says_what_it_does(resize, text):
    assert str(resize) == text


def test_a_protocol_tells_at_which_sizes_a_network_sees_and_is_scored():
    plain = TrainingProtocol(budget=Budget(steps=1))
    native = plain.model_copy(update={"resize": Resize(factor=0.5)})
    resized = native.model_copy(update={"score_at": "resized"})
    sizes = [(one.seen_size((8, 6)), one.scored_size((8, 6))) for one in (plain, native, resized)]
    assert sizes == [((8, 6), (8, 6)), ((4, 3), (8, 6)), ((4, 3), (4, 3))]
