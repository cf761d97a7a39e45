from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from segbench.errors import RecordError
from segbench.store.folder import ResultsFolder
from segbench.store.leases import STALE_SECONDS, Lease, acquire

KEY = "0123456789abcdef"

# Asks for a lease at a line on stdin, says whether it got it, and lives until stdin ends.
HOLDER = """
import sys
from pathlib import Path
from segbench.store.leases import acquire
from segbench.store.folder import ResultsFolder

folder = ResultsFolder(Path(sys.argv[1]), "tiny")
print("ready", flush=True)
sys.stdin.readline()
lease = acquire(folder, "0123456789abcdef")
print("lost" if lease is None else "won", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "tiny")


@contextmanager
def holders(folder, number):
    """Start processes that are ready to ask for a lease."""
    command = [sys.executable, "-c", HOLDER, str(folder.root)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(number)
    ]
    try:
        assert [process.stdout.readline() for process in started] == ["ready\n"] * number
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def have_them_acquire(processes):
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.stdout.readline().strip() for process in processes]


def leased_by_a_dead_process(folder):
    with holders(folder, 1) as (process,):
        assert have_them_acquire([process]) == ["won"]
        process.send_signal(signal.SIGKILL)
        process.wait()


def rewrite(folder, **changes):
    path = folder.lease_folder / f"{KEY}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_cell_is_leased_once_and_again_after_its_release(folder):
    lease = acquire(folder, KEY)
    assert lease is not None
    assert acquire(folder, KEY) is None
    lease.release()
    assert acquire(folder, KEY) is not None


def test_the_lease_file_names_host_and_process(folder):
    acquire(folder, KEY)
    written = json.loads((folder.path / "claims" / f"{KEY}.json").read_text())
    assert written["pid"] == os.getpid()
    assert written["host"]
    assert set(written) == {"host", "machine", "pid", "started", "token"}


def test_another_cell_may_be_leased(folder):
    acquire(folder, KEY)
    assert acquire(folder, "fedcba9876543210") is not None


def test_leases_are_no_records(folder):
    acquire(folder, KEY)
    assert folder.records() == []
    assert folder.problems == []


def test_of_many_processes_one_gets_a_free_cell(folder):
    with holders(folder, 6) as processes:
        assert sorted(have_them_acquire(processes)) == ["lost"] * 5 + ["won"]


def test_of_many_processes_one_takes_over_from_a_dead_one(folder):
    leased_by_a_dead_process(folder)
    with holders(folder, 6) as processes:
        assert sorted(have_them_acquire(processes)) == ["lost"] * 5 + ["won"]


def test_a_living_process_keeps_its_lease_however_long_it_is_silent(folder):
    with holders(folder, 1) as processes:
        assert have_them_acquire(processes) == ["won"]
        age(folder.lease_folder / f"{KEY}.json", 100 * STALE_SECONDS)
        assert acquire(folder, KEY) is None


def test_a_killed_process_that_was_not_waited_for_is_dead(folder):
    with holders(folder, 1) as (process,):
        assert have_them_acquire([process]) == ["won"]
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and left a zombie
        assert acquire(folder, KEY) is not None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times of processes are read from /proc")
def test_a_process_id_that_was_used_again_is_not_the_holder(folder):
    acquire(folder, KEY)
    rewrite(folder, started=1)
    assert acquire(folder, KEY) is not None


@pytest.mark.parametrize(("silent", "taken"), [(STALE_SECONDS - 30, False), (STALE_SECONDS + 30, True)])
def test_a_lease_from_another_host_is_abandoned_after_a_minute_of_silence(folder, silent, taken):
    acquire(folder, KEY)
    age(rewrite(folder, host="elsewhere", machine="elsewhere"), silent)
    assert (acquire(folder, KEY) is not None) is taken


@pytest.mark.parametrize(
    "content",
    ['{"host": "el', "[" * 10**6, "[]", '{"host": "a", "machine": "a", "pid": 1e999, "started": null, "token": "a"}']
    + [json.dumps(dict.fromkeys(("host", "machine", "started", "token"), "a") | {"pid": pid}) for pid in (10**30, "x")],
)
@pytest.mark.parametrize(("silent", "taken"), [(0, False), (STALE_SECONDS + 30, True)])
def test_a_lease_that_was_cut_short_or_is_none_counts_by_its_age(folder, content, silent, taken):
    folder.lease_folder.mkdir(parents=True)
    path = folder.lease_folder / f"{KEY}.json"
    path.write_text(content)
    age(path, silent)
    assert (acquire(folder, KEY) is not None) is taken


def test_a_lease_is_renewed(folder):
    lease = acquire(folder, KEY)
    age(lease.path, STALE_SECONDS)
    assert lease.renew()
    assert time.time() - lease.path.stat().st_mtime < STALE_SECONDS / 2


def test_a_lease_that_was_taken_over_is_neither_renewed_nor_released_by_its_old_owner(folder):
    old = acquire(folder, KEY)
    age(rewrite(folder, host="elsewhere", machine="elsewhere"), STALE_SECONDS + 30)
    new = acquire(folder, KEY)
    assert not old.renew()
    old.release()
    assert new.renew()
    assert acquire(folder, KEY) is None


def test_while_a_lease_is_held_nobody_takes_it_over(folder):
    lease = acquire(folder, KEY)
    age(rewrite(folder, host="elsewhere", machine="elsewhere"), STALE_SECONDS + 30)
    abandoned = Lease(lease.path, replace(lease.owner, host="elsewhere", machine="elsewhere"))
    with abandoned.held() as held, holders(folder, 1) as (process,):
        assert held
        process.stdin.write("go\n")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], 0.2)[0] == []
        assert not abandoned.is_lost
    with abandoned.held() as held:
        assert held
    assert acquire(folder, KEY) is not None
    with abandoned.held() as held:
        assert not held


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: shutil.rmtree(path.parents[1]),
        lambda path: path.write_text("{"),
        lambda path: (shutil.rmtree(path.parent), path.parent.touch()),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_lease_that_was_removed_or_replaced_is_lost_and_released_without_a_word(folder, change):
    lease = acquire(folder, KEY)
    change(lease.path)
    assert lease.is_lost
    assert not lease.renew()
    with lease.held() as held:
        assert not held
    lease.release()


def test_releasing_twice_is_harmless(folder):
    lease = acquire(folder, KEY)
    lease.release()
    lease.release()
    assert not lease.renew()


def test_a_folder_that_cannot_hold_leases_is_a_clear_error(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(RecordError, match=r"cannot write to the results folder .*claims"):
        acquire(ResultsFolder(tmp_path / "results", "tiny"), KEY)


def test_a_full_disk_leaves_no_empty_lease(mount, fill_up):
    root = mount()
    folder = ResultsFolder(root, "tiny")
    folder.lease_folder.mkdir(parents=True)
    fill_up(root)
    with pytest.raises(RecordError, match="the disk or quota is full"):
        acquire(folder, KEY)
    assert not (folder.lease_folder / f"{KEY}.json").exists()


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_lease_does_not_keep_a_cell_from_running(folder, plant):
    folder.lease_folder.mkdir(parents=True)
    plant(folder.lease_folder / f"{KEY}.json")
    assert acquire(folder, KEY) is not None
    assert acquire(folder, KEY) is None


def test_leases_do_not_leave_the_results_folder_through_a_link(folder, tmp_path):
    folder.path.mkdir()
    (tmp_path / "elsewhere").mkdir()
    folder.lease_folder.symlink_to(tmp_path / "elsewhere")
    assert acquire(folder, KEY) is not None
    assert list((tmp_path / "elsewhere").iterdir()) == []
