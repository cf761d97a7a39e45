from __future__ import annotations

import pytest

from segbench.errors import RecordError
from segbench.store.folder import ResultsFolder
from segbench.store.tried import claim_try


def test_of_all_workers_one_tries_a_method(tmp_path):
    assert claim_try(ResultsFolder(tmp_path, "bench"), "0" * 16)
    assert not claim_try(ResultsFolder(tmp_path, "bench"), "0" * 16)
    assert claim_try(ResultsFolder(tmp_path, "bench"), "1" * 16)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "bench").touch()
    with pytest.raises(RecordError, match="cannot write to the results folder"):
        claim_try(ResultsFolder(tmp_path, "bench"), "0" * 16)
