"""Memory: what a process holds and what there is."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from segbench.execute.memory import fair_share, machine_bytes, resident_bytes

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")

SIZE = 64 * 2**20


def test_what_a_process_allocates_counts():
    before = resident_bytes(os.getpid())
    held = bytearray(os.urandom(1)) * SIZE
    assert SIZE * 0.9 < resident_bytes(os.getpid()) - before < SIZE * 1.5
    del held


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
