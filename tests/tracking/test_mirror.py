"""Cells are mirrored as they run, and a tracker that fails costs no training."""

from __future__ import annotations

import sys

import pytest

from segbench.errors import SegbenchError
from segbench.store.leases import acquire
from segbench.tracking import mirror
from segbench.tracking.mirror import Mirror, _Live, mirroring

from .conftest import CELL, KEY, make_record, step


class Notes:
    """A tracker that notes what it is told; it fails while `broken`."""

    place, viewer = "notes", "cat"

    def __init__(self):
        self.told, self.digest, self.broken = [], None, False

    def digest_of(self, cell):
        self.check()
        return self.digest

    def begin(self, cell, time):
        self.check()
        self.told.append(cell.label)

    def add(self, cell, points):
        self.check()
        self.told += [(point.step, point.value) for point in points if point.name == "train/loss"]

    def finish(self, cell, content):
        self.told.append(content.status)
        self.digest = content.digest

    def check(self):
        if self.broken:
            raise ConnectionError("no route to\nhost")


@pytest.fixture
def notes(monkeypatch):
    notes = Notes()
    monkeypatch.setattr(mirror, "_open", lambda given: notes)
    return notes


def told(notes):
    """Return what was told since this was asked last."""
    found, notes.told = notes.told, []
    return found


def test_a_cell_is_followed_while_this_process_runs_it_and_replayed_when_it_has_ended(folder, write_events, notes):
    live = _Live(Mirror("notes"), folder, [CELL])
    write_events(step(1, 0.1), attempt="1-0123456789abcdef")
    live.look()
    lease = acquire(folder, KEY)
    live.look()
    assert told(notes) == []  # an earlier run has left that
    write_events(step(1, 0.9), attempt=lease.attempt)
    live.look()
    assert told(notes) == ["shapes / a / seed 3", (1, 0.9)]
    write_events(step(2, 0.8), attempt=lease.attempt)
    live.look()
    live.look()
    assert told(notes) == [(2, 0.8)]
    write_events(step(3, 0.7), attempt=lease.attempt)
    folder.write(make_record(attempt=lease.attempt))
    lease.release()
    live.look()
    assert told(notes) == ["shapes / a / seed 3", (1, 0.9), (2, 0.8), (3, 0.7), "ok"]
    live.look(over=True)
    assert told(notes) == []


def test_cells_that_were_recorded_before_are_mirrored_at_the_end_of_a_run(recorded, notes):
    with mirroring("notes", recorded.folder, [CELL], pytest.fail):
        pass
    assert told(notes)[-1] == "ok"


def test_a_cell_without_a_record_is_left_for_later(folder, notes):
    with mirroring("notes", folder, [CELL], pytest.fail):
        pass
    assert told(notes) == []


def test_a_tracker_that_fails_is_a_warning_that_says_how_to_make_up_for_it(recorded, notes):
    warnings = []
    with mirroring("notes", recorded.folder, [CELL], warnings.append):
        notes.broken = True
    assert warnings == [
        "warning: notes: shapes / a / seed 3 cannot be mirrored: ConnectionError: no route to host; "
        f"`segbench track {recorded.folder.path} --to notes` makes up for it"
    ]


def test_what_failed_meanwhile_is_tried_again(folder, write_events, notes):
    live = _Live(Mirror("notes"), folder, [CELL])
    write_events(step(1, 0.9), attempt=acquire(folder, KEY).attempt)
    notes.broken = True
    with pytest.raises(SegbenchError, match="no route to host"):
        live.look()
    notes.broken = False
    live.look()
    assert told(notes) == ["shapes / a / seed 3", (1, 0.9)]


def test_without_a_tracker_nothing_is_done(folder):
    with mirroring(None, folder, [CELL], pytest.fail):
        pass


def test_an_unknown_tracker_is_told_with_those_there_are():
    with pytest.raises(SegbenchError, match=r"unknown tracker 'wandb'. Available: tensorboard, mlflow."):
        Mirror("wandb=here")


@pytest.mark.parametrize("tool", ["tensorboard", "mlflow"])
def test_a_tracker_that_is_not_installed_is_told_with_its_extra(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, tool, None)
    with pytest.raises(SegbenchError, match=rf"^{tool} needs {tool}, not installed here: pip install .*\[{tool}\]"):
        Mirror(tool)


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(folder, tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    (tmp_path / "file").touch()
    with (
        pytest.raises(SegbenchError, match="it cannot be opened: FileExistsError"),
        mirroring(f"tensorboard={tmp_path / 'file'}", folder, [CELL], pytest.fail),
    ):
        pytest.fail("it ran")
