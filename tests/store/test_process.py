from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.store.process import Process, find_process

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")


@pytest.fixture
def child():
    """A process that this one has started; it ends when its input does."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.stdin.close()


def test_a_running_process_is_known_with_its_parent_and_its_command(child):
    found = find_process(child.pid)
    assert found.is_alive
    assert found.command == f"{sys.executable} -c input()"


def test_a_process_that_has_ended_is_not_alive_and_has_neither_command_nor_parent(child):
    seen = find_process(child.pid)
    child.stdin.close()
    child.wait()
    assert not seen.is_alive
    assert (seen.command, find_process(seen.pid)) == ("", None)
    seen.kill()


def test_a_process_that_ended_and_was_not_waited_for_is_not_alive(child):
    seen = find_process(child.pid)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not seen.is_alive
    assert find_process(child.pid) == seen


def test_a_process_that_has_got_the_number_of_an_ended_one_is_left_alone(child):
    found = find_process(child.pid)
    earlier = Process(found.pid, found.started - 1)
    assert not earlier.is_alive
    earlier.kill()
    assert found.is_alive
