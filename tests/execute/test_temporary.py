"""Temporary folders of processes that live, and of those that were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from segbench.execute.temporary import remove_leftovers, temporary_folder

MAKER = """
import sys
from segbench.execute.temporary import temporary_folder

with temporary_folder() as folder:
    open(f"{folder}/file", "w").close()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def makers():
    """Start processes that make a temporary folder each and wait."""
    started = []

    def makers(number):
        new = [
            subprocess.Popen([sys.executable, "-c", MAKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(number)
        ]
        started.extend(new)
        return [(process, Path(process.stdout.readline().strip())) for process in new]

    yield makers
    for process in started:
        process.kill()
        process.communicate()


def test_only_folders_of_processes_that_were_killed_are_removed(makers):
    (dead, left), (_, used) = makers(2)
    dead.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # a zombie is dead
    where = left.parent
    machine, pid, started = left.name.split("-")[1:4]
    others = [
        f"segbench-{'0' * 8}-{pid}-{started}-abcdefgh",
        "segbench-0",
        "segbench-abcdefgh",
        f"pymp-{machine}-{pid}",
    ]
    for name in others:
        (where / name).mkdir()
    (where / f"{left.name}x").symlink_to(used)
    (where / f"{left.name}y").touch()
    remove_leftovers(where)
    assert not left.exists()
    assert (used / "file").exists()
    assert {*others, f"{left.name}x", f"{left.name}y"} <= {path.name for path in where.iterdir()}


def test_a_number_that_another_process_has_by_now_proves_that_the_first_is_dead(tmp_path):
    with temporary_folder() as mine:
        machine, pid, started, _ = Path(mine).name.split("-")[1:]
    earlier = tmp_path / f"segbench-{machine}-{pid}-{int(started) - 1}-abcdefgh"
    unknown = tmp_path / f"segbench-{machine}-{pid}--abcdefgh"
    earlier.mkdir()
    unknown.mkdir()
    remove_leftovers(tmp_path)
    assert not earlier.exists()
    assert unknown.exists()


def test_a_folder_is_private_and_gone_at_the_end():
    with temporary_folder() as folder:
        assert Path(folder).parent == Path(tempfile.gettempdir())
        assert Path(folder).stat().st_mode & 0o077 == 0
        assert len(Path(folder).name) <= 44  # as the sockets in it have little room
    assert not Path(folder).exists()


def test_a_folder_that_is_missing_holds_no_leftovers(tmp_path):
    remove_leftovers(tmp_path / "missing")
