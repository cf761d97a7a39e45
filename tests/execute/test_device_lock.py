"""The lock of a device."""

from __future__ import annotations

import pytest

from segbench.execute.device_lock import device_lock, lock_path


def never():
    raise AssertionError("there was nothing to wait for")


def give_up():
    return False


def test_a_free_device_is_had_at_once():
    with device_lock("cuda:0", never) as had:
        assert had


def test_a_device_in_use_is_waited_for_until_told_to_stop():
    with device_lock("cpu", never), device_lock("cpu", give_up) as had:
        assert not had


def test_another_device_is_free():
    with device_lock("cuda:0", never), device_lock("cuda:1", never) as had:
        assert had


def test_a_device_is_free_again_after_an_error():
    with pytest.raises(RuntimeError), device_lock("cpu", never):
        raise RuntimeError
    with device_lock("cpu", never) as had:
        assert had


def test_another_users_lock_file_is_only_read():
    lock_path("cpu").touch(0o444)
    with device_lock("cpu", never) as had:
        assert had
