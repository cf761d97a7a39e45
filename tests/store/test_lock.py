from __future__ import annotations

import os

import pytest

from segbench.errors import RecordError
from segbench.store.lock import open_lock, try_lock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "device.lock"


def test_a_lock_is_held_by_one_opening_at_a_time(path):
    with open_lock(path) as first, open_lock(path) as second:
        assert try_lock(first)
        assert not try_lock(second)


def test_a_lock_is_free_again_at_the_end_and_after_an_error(path):
    with pytest.raises(RuntimeError), open_lock(path) as first:
        raise RuntimeError(try_lock(first))
    with open_lock(path) as second:
        assert try_lock(second)


def test_a_file_that_may_only_be_read_can_be_locked(path):
    path.touch(0o444)
    with open_lock(path) as lock:
        assert try_lock(lock)


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.with_name("elsewhere"))])
def test_a_lock_is_no_link_or_pipe_that_somebody_has_put_there(path, plant):
    plant(path)
    with pytest.raises(RecordError, match=f"cannot use the lock {path}: it is a .*; remove what is there"):
        open_lock(path).__enter__()
    assert not path.with_name("elsewhere").exists()
