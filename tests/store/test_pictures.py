from __future__ import annotations

from segbench.store.pictures import file_name


def test_long_ids_that_begin_alike_have_pictures_of_their_own_and_stay_readable():
    one, other = (file_name("\u7ec6" * 60 + end) for end in "ab")
    assert one != other
    assert one.startswith("\u7ec6" * 30)
    assert file_name("\u80de-1") == "\u80de-1"
