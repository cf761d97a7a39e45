"""Memory: what a process holds and what there is."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segbench.execute.memory import fair_share, machine_bytes, resident_bytes

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")

SIZE = 64 * 2**20


ALLOCATE = f"""
import os
from segbench.execute.memory import resident_bytes
before = resident_bytes(os.getpid())
held = bytearray(os.urandom(1)) * {SIZE}
print(resident_bytes(os.getpid()) - before)
"""


def test_what_a_process_allocates_counts():
    # In a process of its own: servers that other tests left behind are descendants of this one, and come and go.
    told = subprocess.run([sys.executable, "-c", ALLOCATE], capture_output=True, text=True, check=True)
    assert SIZE * 0.9 < int(told.stdout) < SIZE * 1.5


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
