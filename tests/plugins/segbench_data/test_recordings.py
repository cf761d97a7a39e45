from __future__ import annotations

import pytest

from segbench_data.recordings import stretch


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("0001TP_008550", "0001TP 280 s"),
        ("0001TP_009000", "0001TP 300 s"),
        ("Seq05VD_f00000", "Seq05VD 0 s"),
        ("aachen_000000_000019", "aachen_000000 0 s"),
        ("aachen_000001_000019", "aachen_000001 0 s"),
        ("lindau", "lindau"),
        ("my_picture", "my_picture"),
    ],
)
def test_frames_are_grouped_by_recording_and_20_seconds(frame, expected):
    assert stretch(frame, 30) == expected


def test_the_rate_tells_how_many_frames_that_is():
    assert stretch("frankfurt_000000_000339", 17) == "frankfurt_000000 0 s"
    assert stretch("frankfurt_000000_000340", 17) == "frankfurt_000000 20 s"
