"""The first to finish a cell is recorded, in whatever order processes take their steps, and nothing replaces that."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil

import pytest

from segbench.errors import RecordError
from segbench.store import folder as folder_module
from segbench.store.attempt import attempt_folder, begin_attempt, tidy
from segbench.store.folder import ResultsFolder, files_of
from segbench.store.leases import acquire
from segbench.store.lock import try_lock
from segbench.store.publication import publish
from segbench.store.record import Record

from .interleaving import Interleaving, explore

KEY = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "tiny")


def two_attempts(folder):
    """Return the leases of two attempts, of which the second took over from the first."""
    first = acquire(folder, KEY)
    (begin_attempt(folder, first) / "counts").touch()
    first.path.unlink()
    second = acquire(folder, KEY)
    (begin_attempt(folder, second) / "counts").touch()
    return first, second


def test_the_record_names_its_attempt_and_its_files_lie_there(folder, make_record):
    lease = acquire(folder, KEY)
    (begin_attempt(folder, lease) / "counts").write_text("new")
    record = publish(folder, lease, make_record())
    assert record == folder.read(KEY) == make_record().model_copy(update={"attempt": lease.attempt})
    assert (files_of(folder.path, record) / "counts").read_text() == "new"


def test_of_two_that_finish_the_first_is_recorded_also_if_it_had_lost_its_lease(folder, make_record):
    first, second = two_attempts(folder)
    assert first.is_lost
    record = publish(folder, first, make_record(miou=0.4))
    assert publish(folder, second, make_record(miou=0.6)) == record == folder.read(KEY)


def test_a_failure_counts_only_with_the_newest_lease_and_never_beside_a_finished_record(folder, make_record):
    first, second = two_attempts(folder)
    assert publish(folder, first, make_record(status="failed")) is None
    assert folder.read(KEY) is None
    assert publish(folder, second, make_record(status="interrupted")).status == "interrupted"
    assert folder.read(KEY).status == "interrupted"
    finished = publish(folder, second, make_record())
    assert publish(folder, second, make_record(status="failed")) == folder.read(KEY) == finished
    assert not folder.unfinished_path(KEY).exists()


def test_a_second_attempt_is_recorded_if_it_finishes_first_and_not_if_it_fails(folder, make_record, beside):
    first = acquire(folder, KEY)
    begin_attempt(folder, first)
    second = beside(folder, first)
    begin_attempt(folder, second)
    assert publish(folder, second, make_record(status="failed")) is None
    assert folder.read(KEY) is None
    record = publish(folder, second, make_record(miou=0.6))
    assert record.attempt == second.attempt
    assert publish(folder, first, make_record(miou=0.4)) == record == folder.read(KEY)


def test_a_failure_that_an_older_version_recorded_under_the_name_of_a_finished_cell_is_replaced(folder, make_record):
    folder.write(make_record(status="failed"))
    lease = acquire(folder, KEY)
    begin_attempt(folder, lease)
    assert publish(folder, lease, make_record(status="interrupted")).status == "interrupted"
    assert folder.read(KEY).status == "interrupted"
    assert publish(folder, lease, make_record()).status == "ok"
    assert sorted(path.name for path in folder.path.glob("*.json")) == [f"{KEY}.json"]


@pytest.mark.parametrize(
    "plant",
    [
        lambda path: path.write_text("{"),
        lambda path: (path / "mine").mkdir(parents=True),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
    ],
)
def test_what_lies_in_the_place_of_a_record_is_set_aside(folder, make_record, plant):
    lease = acquire(folder, KEY)
    begin_attempt(folder, lease)
    plant(folder.record_path(KEY))
    assert publish(folder, lease, make_record()) == folder.read(KEY)
    assert len(list(folder.path.glob(f"{KEY}.json*.corrupt"))) == 1


def test_an_attempt_whose_folder_is_gone_is_not_recorded(folder, make_record):
    lease = acquire(folder, KEY)
    begin_attempt(folder, lease)
    shutil.rmtree(attempt_folder(folder, lease))
    with pytest.raises(RecordError, match="cannot write to the results folder"):
        publish(folder, lease, make_record())
    assert folder.read(KEY) is None


@pytest.fixture
def one_name_a_file(monkeypatch):
    def link(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_where_files_have_one_name_only_the_first_is_recorded_too(folder, make_record, one_name_a_file):
    first, second = two_attempts(folder)
    record = publish(folder, first, make_record(miou=0.4))
    assert publish(folder, second, make_record(miou=0.6)) == record == folder.read(KEY)


def is_free(descriptor):
    """Tell whether nobody has the lock of a file."""
    if free := try_lock(descriptor):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return free


OK, FAILED = "ok", "failed"
BEFORE = {
    "nothing": lambda folder, make: None,
    "a failure of an older version": lambda folder, make: folder.write(make(status="failed")),
    "a damaged record": lambda folder, make: folder.record_path(KEY).write_text("{"),
}


@pytest.fixture
def tried(tmp_path, make_record, monkeypatch):
    """Let two attempts publish in every order of their steps; returns how many there were."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    real = {name: getattr(os, name) for name in ("link", "replace", "unlink", "listdir")}
    inspect, turns, number = folder_module._inspect, [], iter(range(10**6))

    def hooked(name):
        def call(*paths, **options):
            if any(os.path.basename(path).startswith(KEY) for path in paths):
                turns[-1].step()
            return real[name](*paths, **options)

        return call

    def look_in_turn(path):
        turns[-1].step()
        return inspect(path)

    def lock_in_turn(descriptor):
        turns[-1].step(lambda: is_free(descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    for name in real:
        monkeypatch.setattr(os, name, hooked(name))
    monkeypatch.setattr(folder_module, "_inspect", look_in_turn)
    monkeypatch.setattr(folder_module, "lock", lock_in_turn)

    def tried(statuses, before, switches):
        def attempt(order):
            folder = ResultsFolder(tmp_path / str(next(number)), "tiny")
            turns.append(Interleaving([], lambda: None))
            leases = two_attempts(folder)
            BEFORE[before](folder, make_record)
            finished, told = [], [None, None]

            def check():
                """What was recorded as finished once stays so, with its files, whoever is halted or killed wherever."""
                found = inspect(folder.record_path(KEY))
                if isinstance(found, Record) and found.status == "ok":
                    finished.append(found)
                    assert (files_of(folder.path, found) / "counts").exists()
                assert finished[:1] in ([], [found])

            def act(place):
                own = ResultsFolder(folder.root, "tiny")  # as of another process
                told[place] = publish(own, leases[place], make_record(status=statuses[place]))
                tidy(own, KEY)

            turns.append(Interleaving(order, check))
            turns[-1].run(lambda: act(0), lambda: act(1))
            assert finished
            assert all(record == finished[0] for record in told if record is not None and record.status == "ok")
            shutil.rmtree(folder.root)
            return turns[-1]

        return explore(attempt, switches)

    return tried


# Of two processes one is halted at any step, while the other goes to its end, and then continues.
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("statuses", [(OK, OK), (OK, FAILED)])
def test_no_order_of_two_publishers_steps_loses_or_replaces_a_finished_record(tried, statuses, before):
    assert tried(statuses, before, switches=1) > 5


@pytest.mark.slow
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("statuses", [(OK, OK), (OK, FAILED)])
def test_nor_does_any_order_with_more_switches(tried, statuses, before):
    assert tried(statuses, before, switches=3) > 100
