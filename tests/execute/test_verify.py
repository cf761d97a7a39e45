"""Cells run again by real worker processes, whose scores are always the same: what was recorded is changed instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from run_functions import FUNCTIONS, make_cell, ran, run_all

from segbench.errors import DataError
from segbench.execute.progress import NoProgress
from segbench.execute.verify import Asked, compared_score, judge, verify
from segbench.store.counts import Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import Generation
from segbench.store.verification import read_verification, write_verification


class Repeats:
    """Everything can be run again, but for a method called missing; no library has changed unless it is said."""

    def __init__(self, *versions):
        self.versions, self.upstream = versions, {}

    def cell(self, record, folder):
        if record.method == "missing":
            raise DataError("the data is gone")
        return make_cell(record.method, record.seed, self.upstream.get(record.method))

    def dataset(self, cell):
        return None

    def other_versions(self, cell):
        return self.versions


@pytest.fixture
def recorded(tmp_path, workers, monkeypatch):
    """Run cells and return what is asked of them."""
    monkeypatch.setattr("segbench.execute.verify.read_cell", lambda record: make_cell(record.method, record.seed))
    monkeypatch.setattr("segbench.execute.run.decode_splits", lambda *arguments: None)

    def recorded(*cells, scores=(0.5, 0.4, 0.6)):
        records = run_all(cells, tmp_path, workers=workers).records
        return [Asked(record, tmp_path / "bench" / record.key, scores) for record in records]

    return recorded


def verify_all(asked, workers, repeats=None):
    return verify(
        asked, repeats or Repeats(), device="auto", listener=NoProgress(), workers=workers, functions=FUNCTIONS
    )


def test_a_cell_that_comes_out_with_the_same_bits_is_reproduced_and_its_record_stays(recorded, tmp_path, workers):
    asked = recorded(make_cell("plain"), make_cell("other"))
    path = ResultsFolder(tmp_path, "bench").record_path(asked[0].record.key)
    before = path.read_bytes()
    answers = verify_all(asked, workers)
    assert [answer.mark.outcome for answer in answers] == ["same bits"] * 2
    assert [answer.mark.before for answer in answers] == [0.5, 0.5]
    assert path.read_bytes() == before
    assert len(ran(tmp_path)) == 2  # those of the recording alone


def test_a_cell_that_cannot_be_run_says_why_and_the_others_go_on(recorded, workers):
    answers = verify_all(recorded(make_cell("missing"), make_cell("plain")), workers)
    assert (answers[0].mark, answers[0].cause) == (None, "the data is gone")
    assert answers[1].mark.is_reproduced


def test_a_cell_that_fails_this_time_has_no_mark(recorded, workers):
    (asked,) = recorded(make_cell("plain"))
    failing = replace(asked, record=asked.record.model_copy(update={"method": "raise"}))
    repeats = Repeats()
    repeats.cell = lambda record, folder: make_cell("raise").model_copy(update={"key": record.key})
    (answer,) = verify_all([failing], workers, repeats)
    assert answer.cause == "it failed this time: ValueError: no such thing"


def test_what_a_cell_builds_on_is_taken_from_its_record_or_trained_again(recorded, tmp_path, workers, monkeypatch):
    base = make_cell("plain")
    asked = recorded(base, make_cell("child", upstream=base))
    repeats = Repeats()
    repeats.upstream = {"child": base}
    monkeypatch.setattr(
        "segbench.execute.verify.read_cell",
        lambda record: make_cell(record.method, 0, repeats.upstream.get(record.method)),
    )
    assert verify_all(asked[1:], workers, repeats)[0].mark.outcome == "same bits"  # no weights are there
    (asked[0].folder).mkdir(exist_ok=True)
    (asked[0].folder / "model.safetensors").touch()
    assert [answer.mark.outcome for answer in verify_all(asked, workers, repeats)] == ["same bits"] * 2
    asked[0].folder.with_suffix(".json").unlink()
    (answer,) = verify_all(asked[1:], workers, repeats)
    assert answer.cause.startswith(f"start_from needs the cell {base.key}, whose record cannot be read")


def changed(asked, **scores):
    return replace(
        asked, record=asked.record.model_copy(update={"scores": asked.record.scores.model_copy(update=scores)})
    )


def test_other_bits_on_the_same_kind_of_processor_are_not_reproduced(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"))
    mark = judge(changed(asked, miou=0.51), asked.record, tmp_path, Repeats())
    assert (mark.outcome, mark.differences) == ("not reproduced", ("miou 0.51, now 0.5",))


def test_elsewhere_a_score_within_that_of_its_seeds_is_reproduced(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"))
    # t(0.975, 2 degrees of freedom) = 4.3027 times sd 0.1 times sqrt(1 + 1/3)
    again = asked.record.model_copy(update={"environment": {"device": "cpu", "cpu": "another"}})
    there = replace(asked, record=asked.record.model_copy(update={"environment": {"device": "cpu", "cpu": "one"}}))
    mark = judge(changed(there, miou=0.4), again, tmp_path, Repeats())
    assert mark.outcome == "within seeds"
    assert (mark.low, mark.high) == pytest.approx((0.5 - 0.49683, 0.5 + 0.49683), abs=1e-4)
    assert mark.differences == ("cpu: another, was one", "miou 0.4, now 0.5")
    far = replace(changed(there, miou=0.4), scores=(0.39, 0.4, 0.41))
    assert judge(far, again, tmp_path, Repeats()).outcome == "not reproduced"


@pytest.mark.parametrize("versions", [("torch 2.15.0, now 2.16.0",)])
def test_with_other_libraries_other_bits_are_to_be_expected(recorded, tmp_path, versions):
    (asked,) = recorded(make_cell("plain"))
    assert judge(changed(asked, miou=0.4), asked.record, tmp_path, Repeats(*versions)).outcome == "within seeds"


def test_one_seed_decides_nothing_elsewhere(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"), scores=(0.5,))
    mark = judge(changed(asked, miou=0.4), asked.record, tmp_path, Repeats("torch"))
    assert (mark.outcome, mark.is_reproduced, mark.low) == ("undecided", False, None)


def test_equal_scores_of_other_counts_are_not_the_same_bits(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"))
    confusion = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    write_counts(asked.folder, Counts(("a", "b"), "test", confusion))
    write_counts(tmp_path / "again", Counts(("a", "b"), "test", confusion[:, ::-1].copy()))
    mark = judge(asked, asked.record, tmp_path / "again", Repeats())
    assert (mark.outcome, mark.differences) == ("not reproduced", ("the counts of 2 of 2 images",))
    write_counts(tmp_path / "again", Counts(("a", "b"), "test", confusion))
    assert judge(asked, asked.record, tmp_path / "again", Repeats()).outcome == "same bits"


def test_images_are_compared_where_there_are_no_labels(recorded):
    (asked,) = recorded(make_cell("plain"))
    record = asked.record.model_copy(update={"scores": None, "generation": Generation(features="x", images=2)})
    assert compared_score(asked.record) == "miou"
    assert compared_score(record) == "pixel_statistics"
    assert (
        compared_score(record.model_copy(update={"generation": Generation(features="x", images=2, kid=0.1)})) == "kid"
    )


def test_a_mark_counts_only_for_the_record_that_it_was_made_of(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"))
    mark = judge(asked, asked.record, tmp_path, Repeats())
    assert read_verification(asked.folder, asked.record) is None
    write_verification(asked.folder, mark)
    assert read_verification(asked.folder, asked.record) == mark
    assert read_verification(asked.folder, changed(asked, miou=0.7).record) is None
