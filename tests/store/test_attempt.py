"""Attempts keep to their own folders; a later one takes over what it needs, and what nobody needs is removed."""

from __future__ import annotations

import errno
import io
import os
import signal
from functools import partial

import pytest

from segbench.checksum import UNSEALED, seal
from segbench.store import leases
from segbench.store.atomic import replacing
from segbench.store.attempt import attempt_folder, begin_attempt, sweep, tidy
from segbench.store.folder import CHECKPOINT, EVENTS, ResultsFolder
from segbench.store.leases import Leases, acquire
from segbench.store.publication import publish

KEY = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "tiny")


def save_checkpoint(place, text, at):
    with replacing(place / CHECKPOINT) as file:
        file.write(f"{UNSEALED} {text}".encode())
        seal(file)
    os.utime(place / CHECKPOINT, (at, at))


def begin_after(folder, lease):
    """Begin the next attempt once the lease of the one before has been removed."""
    lease.path.unlink()
    following = acquire(folder, KEY)
    return following, begin_attempt(folder, following)


def content(place):
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def ends(place):
    """Return what is written at the end of the checkpoint of an attempt."""
    return (place / CHECKPOINT).read_text().rpartition(" ")[2]


def test_an_attempt_continues_from_the_newest_checkpoint_and_writes_to_none_of_the_earlier(folder):
    first = acquire(folder, KEY)
    place = begin_attempt(folder, first)
    save_checkpoint(place, "old", at=100)
    second, other = begin_after(folder, first)
    save_checkpoint(other, "new", at=200)
    (other / EVENTS).write_text("told\n")
    (other / "samples").mkdir()
    (other / "samples" / "step-000010.png").write_text("picture")
    (other / "samples" / "last.png").write_text("of the end")
    (other / "counts.parquet").write_text("counts")
    before = content(place), content(other)
    _, fresh = begin_after(folder, second)
    assert ends(fresh) == "new"
    assert content(fresh).keys() == {CHECKPOINT, EVENTS, "samples/step-000010.png"}
    with (fresh / EVENTS).open("a") as events:
        events.write("more\n")
    save_checkpoint(fresh, "newer", at=300)
    assert (content(place), content(other)) == before


def test_an_attempt_whose_mark_was_removed_goes_on_under_its_number(folder):
    own = Leases(folder)
    first = own.acquire(KEY)
    save_checkpoint(begin_attempt(folder, first), "first", at=100)
    first.marker.unlink()
    assert first.is_lost
    first.release()
    again = own.acquire(KEY)
    assert again.attempt == first.attempt
    assert ends(begin_attempt(folder, again)) == "first"


def test_a_second_attempt_beside_another_begins_anew(folder, beside):
    first = acquire(folder, KEY)
    save_checkpoint(begin_attempt(folder, first), "first", at=100)
    assert content(begin_attempt(folder, beside(folder, first))) == {}
    assert ends(attempt_folder(folder, first)) == "first"


def test_a_damaged_checkpoint_is_passed_over_for_an_older_whole_one(folder):
    first = acquire(folder, KEY)
    save_checkpoint(begin_attempt(folder, first), "whole", at=100)
    second, place = begin_after(folder, first)
    save_checkpoint(place, "damaged", at=200)
    path = place / CHECKPOINT
    path.write_text(path.read_text().replace("damaged", "changed"))
    os.utime(path, (200, 200))
    assert ends(begin_after(folder, second)[1]) == "whole"


def test_the_checkpoint_of_an_older_version_is_taken_over(folder):
    lease = acquire(folder, KEY)
    save_checkpoint(folder.cell_folder(KEY), "older", at=100)
    assert ends(begin_attempt(folder, lease)) == "older"


def test_where_files_have_one_name_only_the_checkpoint_is_copied(folder, monkeypatch):
    def link(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    first = acquire(folder, KEY)
    save_checkpoint(begin_attempt(folder, first), "copied", at=100)
    assert ends(begin_after(folder, first)[1]) == "copied"


def test_links_and_pipes_in_earlier_attempts_are_not_followed(folder, tmp_path):
    first = acquire(folder, KEY)
    place = begin_attempt(folder, first)
    save_checkpoint(tmp_path, "theirs", at=100)
    (place / CHECKPOINT).symlink_to(tmp_path / CHECKPOINT)
    os.mkfifo(place / EVENTS)
    assert content(begin_after(folder, first)[1]) == {}


def test_an_attempt_that_has_told_its_end_is_removed_by_the_next_and_one_that_may_go_on_is_not(folder, make_record):
    first = acquire(folder, KEY)
    place = begin_attempt(folder, first)
    second, ended = begin_after(folder, first)
    publish(folder, second, make_record(status="failed"))
    begin_after(folder, second)
    assert (place.exists(), ended.exists()) == (True, False)


def test_the_attempt_of_a_dead_process_is_removed_unless_it_was_published(folder, make_record, monkeypatch):
    first = acquire(folder, KEY)
    place = begin_attempt(folder, first)
    second, other = begin_after(folder, first)
    publish(folder, second, make_record())
    monkeypatch.setattr("segbench.store.leases.is_alive", lambda pid, started: False)
    third, _ = begin_after(folder, second)
    assert (place.exists(), other.exists()) == (True, True)
    folder.record_path(KEY).unlink()
    begin_after(folder, third)
    assert (place.exists(), other.exists()) == (False, False)


def test_beside_a_finished_record_nothing_stays_but_its_own_attempt(folder, make_record):
    first = acquire(folder, KEY)
    save_checkpoint(begin_attempt(folder, first), "old", at=100)
    save_checkpoint(folder.cell_folder(KEY), "older", at=50)
    second, place = begin_after(folder, first)
    (place / "counts").write_text("counts")
    tidy(folder, KEY)
    assert attempt_folder(folder, first).exists()
    publish(folder, second, make_record())
    tidy(folder, KEY)
    assert content(folder.cell_folder(KEY)) == {f"{second.attempt}/counts": "counts"}


def test_what_a_killed_process_left_is_removed_once_nobody_needs_it(folder, make_record, monkeypatch):
    lease = acquire(folder, KEY)
    save_checkpoint(begin_attempt(folder, lease), "left", at=100)
    monkeypatch.setattr("segbench.store.leases.is_alive", lambda pid, started: False)
    sweep(folder)
    assert lease.path.exists()  # who watches is told of the cell that was abandoned
    publish(folder, lease, make_record())
    sweep(folder)
    assert not lease.path.exists()
    assert content(folder.cell_folder(KEY)) == {}


def killed_at(step, action):
    """Do something in a process that is killed before one of its steps on files; return whether it came to that."""
    pid = os.fork()
    if pid == 0:
        left = iter(range(step, 0, -1))

        def counted(real):
            def call(*arguments, **options):
                if next(left, 0) == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        for place, name in ((io, "open"), *((os, name) for name in ("link", "mkdir", "replace", "unlink", "fsync"))):
            setattr(place, name, counted(getattr(place, name)))
        try:
            action()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_whoever_was_killed_wherever_the_next_leaves_one_record_and_what_belongs_to_it(
    tmp_path, make_record, monkeypatch
):
    monkeypatch.setattr(leases, "STALE_SECONDS", -1.0)  # for what was not written to its end

    def finish(folder):
        lease = acquire(folder, KEY)
        if folder.read(KEY) is None:
            (begin_attempt(folder, lease) / "counts").write_text("counts")
            publish(folder, lease, make_record())
        tidy(folder, KEY)
        lease.release()

    was_killed = [True]
    while was_killed[-1]:
        folder = ResultsFolder(tmp_path / str(len(was_killed)), "tiny")
        was_killed.append(killed_at(len(was_killed), partial(finish, ResultsFolder(folder.root, "tiny"))))
        folder.check_writable()
        finish(folder)
        sweep(folder)
        record = folder.read(KEY)
        assert set(content(folder.path)) - {"claims/.lock"} == {f"{KEY}.json", f"{KEY}/{record.attempt}/counts"}
    assert len(was_killed) > 10
