from __future__ import annotations

import pytest

from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire
from segbench.store.removal import remove_cell, size_of_cell

from .conftest import KEY


@pytest.fixture
def folder(tmp_path, make_record):
    """A folder with one cell, of 3 bytes beside its record."""
    folder = ResultsFolder(tmp_path, "tiny")
    folder.write(make_record())
    (folder.cell_folder(KEY) / "samples").mkdir(parents=True)
    (folder.cell_folder(KEY) / "samples" / "a.png").write_bytes(b"abc")
    return folder


def test_the_size_is_that_of_the_record_and_of_all_files_below(folder):
    assert size_of_cell(folder, KEY) == folder.record_path(KEY).stat().st_size + 3
    assert size_of_cell(folder, "f" * 16) == 0


def test_a_removed_cell_leaves_neither_record_nor_folder_nor_lease(folder, make_record):
    folder.write(make_record("f" * 16))
    assert remove_cell(folder, KEY)
    assert not folder.cell_folder(KEY).exists()
    assert not list(folder.lease_folder.glob("*.json"))
    assert [record.key for record in folder.records()] == ["f" * 16]


def test_a_cell_that_another_process_has_is_kept(folder):
    lease = acquire(folder, KEY)
    assert not remove_cell(folder, KEY)
    assert folder.read(KEY) is not None
    assert size_of_cell(folder, KEY) > 3
    lease.release()
    assert remove_cell(folder, KEY)


def test_a_cell_that_failed_is_removed_too(folder, make_record):
    folder.unfinished_path("f" * 16).write_text(make_record("f" * 16, status="failed").model_dump_json())
    assert size_of_cell(folder, "f" * 16) > 3
    assert remove_cell(folder, "f" * 16)
    assert [record.key for record in folder.records()] == [KEY]


def test_what_links_lead_to_stays(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    folder.cell_folder(KEY).rename(elsewhere)
    folder.cell_folder(KEY).symlink_to(elsewhere)
    size = size_of_cell(folder, KEY)
    assert size == folder.record_path(KEY).stat().st_size
    assert remove_cell(folder, KEY)
    assert not folder.cell_folder(KEY).is_symlink()
    assert (elsewhere / "samples" / "a.png").read_bytes() == b"abc"
