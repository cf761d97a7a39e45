"""The processes that a process has started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.execute.descendants import Process, children, descendants, parent_of, process

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(flush=True); input()'])"


@pytest.fixture
def family():
    """A child of this process that has a child; both end when their input does."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        yield child
        child.stdin.close()


def test_children_and_theirs_are_found_each_after_its_parent(family):
    assert family.pid in [one.pid for one in children(os.getpid())]
    (grandchild,) = descendants(family.pid)
    assert parent_of(grandchild.pid) == process(family.pid)
    pids = [one.pid for one in descendants(os.getpid())]
    assert pids.index(family.pid) < pids.index(grandchild.pid)
    assert "input()" in grandchild.command


def test_a_process_that_has_ended_lives_no_more_nor_has_it_a_command_or_children(family):
    seen = process(family.pid)
    assert seen.lives
    family.stdin.close()
    family.wait()
    assert not seen.lives
    assert (seen.command, children(seen.pid), process(seen.pid), parent_of(seen.pid)) == ("", [], None, None)
    seen.kill()


def test_a_process_that_has_got_the_number_of_an_ended_one_is_left_alone(family):
    found = process(family.pid)
    earlier = Process(found.pid, found.started - 1)
    assert not earlier.lives
    earlier.kill()
    assert found.lives
