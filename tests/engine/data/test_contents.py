from __future__ import annotations

import numpy as np

from segbench.engine.data.contents import ContentsCounter
from segbench.images.notes import FileNote

PNG, JPEG = FileNote("image", "PNG", "8-bit RGB"), FileNote("image", "JPEG", "8-bit RGB")
MASK = FileNote("mask", "PNG", "8-bit LA", "the alpha channel differs")


def test_ranges_formats_and_remarks_of_a_split_are_counted():
    counter = ContentsCounter()
    for name, level, notes in (("a", 7, [PNG, MASK]), ("b", 3, [JPEG, MASK]), ("c", 9, [PNG])):
        counter.add(name, [np.full((2, 3), level, np.uint8)], notes)
    contents = counter.contents()
    assert (contents.lowest, contents.highest) == (3, 9)
    assert [(one.kind, one.format, one.count) for one in contents.files] == [
        ("image", "JPEG", 1),
        ("image", "PNG", 2),
        ("mask", "PNG", 2),
    ]
    assert [str(remark) for remark in contents.remarks] == ["in 2 masks (such as a) the alpha channel differs"]


def test_digests_tell_images_apart_by_pixels_and_shape():
    counter = ContentsCounter()
    pixels = np.arange(6, dtype=np.uint8)
    for image in (pixels.reshape(2, 3), pixels.reshape(2, 3), pixels.reshape(3, 2), pixels[::-1].reshape(2, 3)):
        counter.add("x", [np.ascontiguousarray(image)], [])
    first, again, turned, other = counter.contents().digests
    assert first == again
    assert len({first, turned, other}) == 3
