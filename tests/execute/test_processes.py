"""The processes that a process has started, the memory they hold, and how much there is."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.execute import processes
from segbench.execute.processes import children, descendants, fair_share, free_bytes, machine_bytes, resident_bytes

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
    assert "input()" in grandchild.command
    pids = [one.pid for one in descendants(os.getpid())]
    assert pids.index(family.pid) < pids.index(grandchild.pid)


def test_a_process_that_has_ended_has_no_children(family):
    family.stdin.close()
    family.wait()
    assert children(family.pid) == []


SIZE = 64 * 2**20


ALLOCATE = f"""
import os
from segbench.execute.processes import resident_bytes
before = resident_bytes(os.getpid())
held = bytearray(os.urandom(1)) * {SIZE}
print(resident_bytes(os.getpid()) - before)
"""


def test_memory_that_a_process_allocates_counts():
    # In a process of its own: servers that other tests left behind are descendants of this one, and come and go.
    done = subprocess.run([sys.executable, "-c", ALLOCATE], capture_output=True, text=True, check=True)
    assert SIZE * 0.9 < int(done.stdout) < SIZE * 1.5


def test_pages_of_a_mapped_file_do_not_count(tmp_path):
    file = tmp_path / "cache"
    file.write_bytes(bytes(SIZE))
    before = resident_bytes(os.getpid())
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0
        assert resident_bytes(os.getpid()) - before < SIZE / 4


def test_a_process_that_is_gone_holds_nothing():
    assert resident_bytes(2**22 + 1) == 0


def test_workers_share_nine_tenths_of_the_machine():
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < machine_bytes() <= total
    assert fair_share(3) == int(machine_bytes() * 0.9 / 3)


def test_what_is_free_is_what_the_system_says_is_available_within_a_limit(tmp_path, monkeypatch):
    assert 0 < free_bytes() <= fair_share(1)
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:       4 kB\n")
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert free_bytes() == 4096
    (tmp_path / "meminfo").unlink()
    assert free_bytes() == fair_share(1)
