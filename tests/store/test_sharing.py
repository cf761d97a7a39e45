"""Cells that share a GPU."""

from __future__ import annotations

import pytest

from segbench.errors import RecordError
from segbench.store.folder import EVENTS
from segbench.store.sharing import note_jobs, read_jobs, read_usage, shares_gpu


@pytest.mark.parametrize(
    ("environment", "shared"),
    [
        ({"device": "cuda:1", "jobs": 2}, True),
        ({"device": "cuda", "jobs": 8}, True),
        ({"device": "cuda:1", "jobs": 1}, False),
        ({"device": "cpu", "jobs": 2}, False),
        ({"device": "cuda:0"}, False),
        ({}, False),
    ],
)
def test_only_cells_that_run_at_once_on_a_gpu_share_it(environment, shared):
    assert shares_gpu(environment) == shared


def test_the_most_cells_at_once_of_all_attempts_are_known(tmp_path):
    assert read_jobs(tmp_path) == 1
    note_jobs(tmp_path, 4)
    note_jobs(tmp_path, 2)
    with (tmp_path / EVENTS).open("a") as file:
        file.write('{"time": 1, "event": "jobs", "jobs": "many"}\n{"time": 1}\n')
    assert read_jobs(tmp_path) == 4


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(RecordError, match="gone"):
        note_jobs(tmp_path / "gone", 2)


def test_what_a_cell_took_is_what_it_told_last_as_far_as_it_was_known(tmp_path):
    assert read_usage(tmp_path) == {}
    with (tmp_path / EVENTS).open("a") as file:
        file.write('{"time": 1, "event": "usage", "host_bytes": 5}\n')
        file.write(
            '{"time": 2, "event": "usage", "host_bytes": 7, "busy": null, "device_bytes": "many"}\n{"time": 3}\n'
        )
    assert read_usage(tmp_path) == {"time": 2, "host_bytes": 7}
