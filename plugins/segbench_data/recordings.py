"""Which frames of videos are alike, as neighbours in time."""

from __future__ import annotations

# What a driving camera sees is another scene after so long: the class shares of labelled CamVid frames correlate by
# 0.64 after 1 s, 0.15 after 10 s and not at all after 20 s (both videos of the test split). A whole video would be a
# group too large: the test images come from two.
SECONDS = 20


def stretch(frame: str, frames_a_second: int) -> str:
    """Return the name of the stretch of 20 s of a video that a frame belongs to; its number comes last in its id.

    >>> stretch("Seq05VD_f00630", 30), stretch("Seq05VD_f00570", 30)
    ('Seq05VD 20 s', 'Seq05VD 0 s')
    """
    video, _, last = frame.rpartition("_")
    number = last.removeprefix("f")
    if not number.isdecimal():
        return frame
    return f"{video} {int(number) // frames_a_second // SECONDS * SECONDS} s"
