"""What belongs to a record joins the folder of its cell with it, or not at all."""

from __future__ import annotations

import pytest

from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire
from segbench.store.publication import make_output_folder, output_folder, publish

KEY = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "tiny")


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def content(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_output_takes_the_place_of_older_files_and_the_others_stay(folder, make_record):
    lease, cell_folder = acquire(folder, KEY), folder.cell_folder(KEY)
    write(cell_folder, {"counts": "old", "samples/last": "old", "samples/first": "old", "log": "old"})
    write(output_folder(folder, KEY, lease), {"counts": "new", "samples/last": "new"})
    assert publish(folder, lease, make_record(), [])
    assert content(cell_folder) == {"counts": "new", "samples/last": "new", "samples/first": "old", "log": "old"}
    assert folder.read(KEY) == make_record()
    assert not output_folder(folder, KEY, lease).exists()


def test_what_a_failed_cell_has_written_is_not_published(folder, make_record):
    lease = acquire(folder, KEY)
    write(output_folder(folder, KEY, lease), {"counts": "new"})
    assert publish(folder, lease, make_record(status="failed"), [])
    assert content(folder.cell_folder(KEY)) == {}
    assert folder.read(KEY).status == "failed"


def test_nothing_is_published_without_the_lease(folder, make_record):
    lost = acquire(folder, KEY)
    lost.path.unlink()
    lease = acquire(folder, KEY)
    write(output_folder(folder, KEY, lease), {"counts": "theirs"})
    assert publish(folder, lease, make_record(miou=0.4), [])
    write(output_folder(folder, KEY, lost), {"counts": "mine"})
    assert not publish(folder, lost, make_record(miou=0.6), [])
    assert content(folder.cell_folder(KEY)) == {"counts": "theirs"}
    assert folder.read(KEY).scores.miou == 0.4


def test_links_that_were_put_in_the_place_of_files_and_folders_are_replaced(folder, make_record, tmp_path):
    lease, cell_folder, elsewhere = acquire(folder, KEY), folder.cell_folder(KEY), tmp_path / "elsewhere"
    write(elsewhere, {"counts": "of somebody else"})
    write(output_folder(folder, KEY, lease), {"counts": "new", "samples/last": "new"})
    (cell_folder / "counts").symlink_to(elsewhere / "counts")
    (cell_folder / "samples").symlink_to(elsewhere)
    assert publish(folder, lease, make_record(), [])
    assert content(cell_folder) == {"counts": "new", "samples/last": "new"}
    assert content(elsewhere) == {"counts": "of somebody else"}


def test_what_killed_processes_left_is_removed_and_nothing_else(folder):
    lease, cell_folder = acquire(folder, KEY), folder.cell_folder(KEY)
    kept = {"counts": "", ".notes": "", "checkpoint": "", ".0123.tmp": ""}
    write(cell_folder, {**kept, f".{KEY}/counts": "", f".{KEY}.tmp": ""})
    assert list(make_output_folder(folder, KEY, lease).iterdir()) == []
    assert content(cell_folder) == kept


def test_what_lies_in_the_place_of_files_and_folders_of_a_cell_is_set_aside(folder, make_record):
    lease, cell_folder = acquire(folder, KEY), folder.cell_folder(KEY)
    cell_folder.write_text("mine")
    output = make_output_folder(folder, KEY, lease)
    write(cell_folder, {"counts/mine": "", "samples": "mine"})
    write(folder.record_path(KEY), {"mine": ""})
    write(output, {"counts": "new", "samples/last": "new"})
    assert publish(folder, lease, make_record(), [])
    assert content(cell_folder) == {
        "counts": "new",
        "samples/last": "new",
        "counts.corrupt/mine": "",
        "samples.corrupt": "mine",
    }
    assert folder.read(KEY) == make_record()
    assert cell_folder.with_name(f"{KEY}.corrupt").read_text() == "mine"
    assert [problem.cause for problem in folder.problems] == ["it is a folder, not a record"]
