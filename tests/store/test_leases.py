from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from segbench.errors import RecordError
from segbench.store import leases as leases_module
from segbench.store.folder import ResultsFolder
from segbench.store.json_file import read_json
from segbench.store.leases import STALE_SECONDS, Leases, acquire, find_abandoned, refuse_older_runs, see_leases

KEY = "0123456789abcdef"
OTHER = "fedcba9876543210"

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


def lease_file(folder):
    (path,) = folder.lease_folder.glob("*.json")
    return path


def rewrite(folder, **changes):
    """Change what the one lease file says of its process, and what the marks of its attempts say."""
    for path in (lease_file(folder), *folder.cell_folder(KEY).glob(".*.lease")):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return lease_file(folder)


def lease_of_an_older_version(folder, **changes):
    """Let the lease file be what older versions write: called as its cell, without more."""
    path, content = lease_file(folder), json.loads(lease_file(folder).read_text())
    del content["cells"]
    shutil.rmtree(folder.cell_folder(KEY))
    return path.rename(path.with_stem(KEY)).write_text(json.dumps({**content, **changes}))


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
    lease = acquire(folder, KEY)
    written = json.loads((folder.path / "claims" / f"{lease.owner.token}.json").read_text())
    assert written["pid"] == os.getpid()
    assert written["host"]
    assert set(written) == {"host", "machine", "pid", "started", "token", "cells"}


def test_a_process_has_one_file_for_all_its_cells_while_it_has_any(folder):
    leases = Leases(folder)
    one, other = leases.acquire(KEY), leases.acquire(OTHER)
    assert json.loads(lease_file(folder).read_text())["cells"] == {KEY: 1, OTHER: 1}
    one.release()
    assert json.loads(lease_file(folder).read_text())["cells"] == {OTHER: 1}
    assert not other.is_lost
    other.release()
    assert list(folder.lease_folder.glob("*.json")) == []


def test_every_attempt_has_the_next_number_and_a_name_of_its_own(folder):
    leases = Leases(folder)
    names = []
    for _ in range(3):
        lease = leases.acquire(KEY)
        names.append(lease.attempt)
        lease.release()
    assert names == [f"{number}-{lease.owner.token}" for number in (1, 2, 3)]


def test_a_lease_may_be_looked_at_in_another_process(folder):
    lease = acquire(folder, KEY)
    copy = pickle.loads(pickle.dumps(lease))
    assert not copy.is_lost
    lease.release()
    assert copy.is_lost


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
        age(lease_file(folder), 100 * STALE_SECONDS)
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


@pytest.mark.parametrize("name", ["marker", "path"])
@pytest.mark.parametrize(("silent", "taken"), [(0, False), (STALE_SECONDS + 30, True)])
def test_so_does_the_file_of_an_attempt_or_of_its_process(folder, name, silent, taken):
    path = getattr(acquire(folder, KEY), name)
    path.write_text('{"host": "el')
    age(path, silent)
    assert (acquire(folder, KEY) is not None) is taken


@pytest.mark.parametrize("cause", [errno.ESTALE, errno.EIO])
def test_the_file_of_an_attempt_that_cannot_be_read_at_this_moment_is_not_abandoned(folder, monkeypatch, cause):
    lease = acquire(folder, KEY)
    age(lease.marker, 100 * STALE_SECONDS)

    def fail(path):
        if path == lease.marker:
            raise OSError(cause, os.strerror(cause))
        return read_json(path)

    monkeypatch.setattr(leases_module, "read_json", fail)
    assert acquire(folder, KEY) is None


def test_a_cell_is_held_elsewhere_though_the_file_of_its_process_is_not_seen_until_that_has_begun_a_minute_ago(folder):
    marker = acquire(folder, KEY).marker
    rewrite(folder, machine="elsewhere").unlink()
    assert acquire(folder, KEY) is None
    age(marker, STALE_SECONDS + 30)
    assert acquire(folder, KEY) is not None


def test_leases_are_renewed_together(folder):
    leases = Leases(folder)
    lease = leases.acquire(KEY)
    age(lease.path, STALE_SECONDS)
    leases.renew()
    assert time.time() - lease.path.stat().st_mtime < STALE_SECONDS / 2


def test_silence_is_measured_by_the_clock_of_the_file_system(folder, monkeypatch):
    acquire(folder, KEY)
    rewrite(folder, host="elsewhere", machine="elsewhere")
    monkeypatch.setattr(time, "time", lambda: 3600.0 + os.stat(folder.path).st_mtime)
    assert acquire(folder, KEY) is None


def test_a_lease_that_was_taken_over_is_lost_and_not_released_by_its_old_owner(folder):
    old = acquire(folder, KEY)
    age(rewrite(folder, host="elsewhere", machine="elsewhere"), STALE_SECONDS + 30)
    new = acquire(folder, KEY)
    assert (old.number, new.number) == (1, 2)
    assert old.is_lost
    assert old.is_taken_over
    old.release()
    assert not new.is_lost
    assert acquire(folder, KEY) is None


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
    assert not lease.is_taken_over
    lease.release()


def test_what_was_leased_before_the_file_was_removed_stays_lost(folder):
    leases = Leases(folder)
    lost = leases.acquire(KEY)
    lost.path.unlink()
    kept = leases.acquire(OTHER)
    assert (lost.is_lost, kept.is_lost) == (True, False)
    lost.release()
    assert not kept.is_lost


def test_a_second_attempt_is_made_beside_one_of_another_machine_and_lost_with_it(folder):
    own = Leases(folder)
    first = own.acquire(KEY)
    assert Leases(folder).join(KEY) is None  # the first is on this machine
    rewrite(folder, host="elsewhere", machine="elsewhere")
    leases = Leases(folder)
    second = leases.join(KEY)
    assert (second.is_second, second.is_lost) == (True, False)
    assert second.number == first.number
    assert second.attempt != first.attempt
    assert acquire(folder, KEY) is None
    age(first.path, STALE_SECONDS + 30)
    third = acquire(folder, KEY)
    assert (third.number, third.is_second, third.is_lost) == (2, False, False)
    assert second.is_lost
    second.release()
    assert not third.is_lost


def test_a_second_attempt_is_lost_when_the_cell_is_finished_or_its_own_file_is_gone(folder):
    acquire(folder, KEY)
    rewrite(folder, host="elsewhere", machine="elsewhere")
    seconds = [Leases(folder).join(KEY) for _ in range(2)]
    seconds[0].path.unlink()
    assert [one.is_lost for one in seconds] == [True, False]
    seconds[1].marker.unlink()  # as once there is a record
    assert seconds[1].is_lost


def test_a_cell_that_nobody_has_is_not_joined(folder):
    assert Leases(folder).join(KEY) is None
    assert list(folder.lease_folder.glob("*.json")) == []


def test_releasing_twice_is_harmless(folder):
    lease = acquire(folder, KEY)
    lease.release()
    lease.release()
    assert lease.is_lost


def test_the_lease_of_an_older_version_is_respected_and_its_run_is_not_joined(folder):
    acquire(folder, KEY)
    lease_of_an_older_version(folder)
    assert acquire(folder, KEY) is None
    with pytest.raises(RecordError, match=rf"an older segbench works in .*tiny \(process {os.getpid()} on "):
        refuse_older_runs(folder)
    lease_file(folder).unlink()
    refuse_older_runs(folder)


def test_the_lease_of_an_older_version_whose_process_is_dead_is_taken_over(folder):
    acquire(folder, KEY)
    lease_of_an_older_version(folder, started=1)
    refuse_older_runs(folder)
    assert acquire(folder, KEY) is not None


def test_of_a_cell_that_was_taken_over_the_latest_lease_is_seen_last(folder):
    leased_by_a_dead_process(folder)
    new = acquire(folder, KEY)
    seen = see_leases(folder, 0.0)
    assert [(lease.key, lease.is_abandoned) for lease in seen] == [(KEY, True), (KEY, False)]
    assert seen[-1].attempt == new.attempt
    assert [numbers for _, numbers in find_abandoned(folder)] == [{KEY: 1}]


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
    assert list(folder.lease_folder.glob("*.json")) == []


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
