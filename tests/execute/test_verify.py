"""Cells run again by real worker processes, whose scores are always the same: what was recorded is changed instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from run_functions import FUNCTIONS, make_cell, ran, run_all

from segbench.errors import DataError
from segbench.execute.judge import Asked, compared_score, judge
from segbench.execute.progress import NoProgress
from segbench.execute.run import Summary
from segbench.execute.verify import verify
from segbench.store.compaction import compact
from segbench.store.counts import Counts, write_counts
from segbench.store.folder import ResultsFolder, files_of, record_of
from segbench.store.record import Generation
from segbench.store.verification import read_verification, write_verification


class Repeats:
    """Everything can be run again, but for a method called missing."""

    def __init__(self):
        self.upstream = {}

    def cell(self, record, folder):
        if record.method == "missing":
            raise DataError("the data is gone")
        return make_cell(record.method, record.seed, self.upstream.get(record.method))

    def dataset(self, cell):
        return None


@pytest.fixture
def recorded(tmp_path, workers, monkeypatch):
    """Run cells and return what is asked of them."""
    for module in ("verify", "judge"):
        name = f"segbench.execute.{module}.read_cell"
        monkeypatch.setattr(name, lambda record: make_cell(record.method, record.seed))
    monkeypatch.setattr("segbench.execute.run.decode_splits", lambda *arguments: None)

    def recorded(*cells, others=((0.4, 0.6),)):
        records = run_all(cells, tmp_path, workers=workers).records
        return [Asked(record, files_of(tmp_path / "bench", record), others) for record in records]

    return recorded


def verify_all(asked, workers, repeats=None, **settings):
    settings = {"device": "auto", "listener": NoProgress(), "workers": workers, "functions": FUNCTIONS, **settings}
    return verify(asked, repeats or Repeats(), **settings)


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
    for module in ("verify", "judge"):
        name = f"segbench.execute.{module}.read_cell"
        monkeypatch.setattr(name, lambda record: make_cell(record.method, 0, repeats.upstream.get(record.method)))
    assert verify_all(asked[1:], workers, repeats)[0].mark.outcome == "same bits"  # no weights are there
    (asked[0].folder).mkdir(exist_ok=True)
    (asked[0].folder / "model.safetensors").touch()
    assert [answer.mark.outcome for answer in verify_all(asked, workers, repeats)] == ["same bits"] * 2
    record_of(asked[0].folder).unlink()
    (answer,) = verify_all(asked[1:], workers, repeats)
    assert answer.cause.startswith(f"start_from needs the cell {base.key}, whose record cannot be read")


def test_what_is_kept_is_not_run_again(recorded, tmp_path, workers):
    asked = recorded(make_cell("plain"), make_cell("other"))
    first = verify_all(asked[:1], workers, results=tmp_path / "again")
    both = verify_all(asked, workers, results=tmp_path / "again")
    assert [answer.mark.outcome for answer in (*first, *both)] == ["same bits"] * 3
    assert (tmp_path / "again" / "bench-cpu" / "ran").read_text().count(asked[0].record.key) == 1


def test_a_kept_copy_of_another_record_is_not_built_on(recorded, tmp_path, workers, monkeypatch):
    base, repeats = make_cell("plain"), Repeats()
    asked, repeats.upstream = recorded(base, make_cell("child", upstream=base)), {"child": base}
    (asked[0].folder).mkdir(exist_ok=True)
    (asked[0].folder / "model.safetensors").touch()
    for _ in range(2):
        (answer,) = verify_all(asked[1:], workers, repeats, results=tmp_path / "again")
        assert answer.mark.outcome == "same bits"
    record = record_of(asked[0].folder)
    record.write_text(record.read_text() + " ")
    (answer,) = verify_all(asked[1:], workers, repeats, results=tmp_path / "again")
    assert answer.cause.endswith(f"is not that of {record}; name another folder with --results")


def test_a_cell_that_builds_on_one_trained_by_other_code_has_another_key(recorded, tmp_path, workers):
    base = make_cell("plain").model_copy(update={"fingerprint": "f" * 32})
    asked, repeats = recorded(base, make_cell("child", upstream=base)), Repeats()
    changed = base.model_copy(update={"key": "c" * 16})
    cells = {"plain": changed, "child": make_cell("child", upstream=base).model_copy(update={"fingerprint": "f" * 32})}
    repeats.cell = lambda record, folder: cells[record.method]
    (answer,) = verify_all(asked[1:], workers, repeats, results=tmp_path / "again")
    assert answer.mark.key == asked[1].record.key
    (ran,) = {line.split()[0] for line in (tmp_path / "again" / "bench-cpu" / "ran").read_text().splitlines()} - {
        "c" * 16
    }
    assert ran != asked[1].record.key


def test_a_cell_runs_on_the_kind_of_device_that_it_was_recorded_on_and_none_after_a_stop(
    recorded, monkeypatch, workers
):
    cpu, cuda = recorded(make_cell("plain"), make_cell("other"))
    cuda = replace(cuda, record=cuda.record.model_copy(update={"environment": {"device": "cuda:3"}}))
    devices = []

    def run(cells, folder, options, **settings):
        devices.append(options.device)
        return Summary((), interrupted=True)

    monkeypatch.setattr("segbench.execute.verify.run", run)
    answers = verify_all([cuda, cpu], workers)
    assert devices == ["cuda"]
    assert [answer.interrupted for answer in answers] == [True, True]


def changed(asked, **scores):
    return replace(
        asked, record=asked.record.model_copy(update={"scores": asked.record.scores.model_copy(update=scores)})
    )


def elsewhere(asked):
    """Return what is asked as if another processor had recorded it."""
    return replace(asked, record=asked.record.model_copy(update={"environment": {"device": "cpu", "cpu": "another"}}))


def test_other_bits_on_the_same_kind_of_processor_are_not_reproduced(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"))
    mark = judge(changed(asked, miou=0.51), make_cell("plain"), asked.record, tmp_path)
    assert (mark.outcome, mark.differences, mark.low) == ("not reproduced", ("miou 0.51, now 0.5",), None)


def test_elsewhere_a_score_as_near_as_seeds_are_is_reproduced(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"), others=((0.49, 0.5, 0.51),))
    there = elsewhere(changed(asked, miou=0.45))
    mark = judge(there, make_cell("plain"), asked.record, tmp_path)
    # t(0.975, 2 degrees of freedom) = 4.3027 times sd 0.01 times sqrt(2)
    assert (mark.outcome, mark.seeds, mark.together) == ("within seeds", 4, 1)
    assert (mark.low, mark.high) == pytest.approx((0.45 - 0.06085, 0.45 + 0.06085), abs=1e-4)
    assert mark.differences == ("cpu: None, was another", "miou 0.45, now 0.5")
    assert judge(elsewhere(changed(asked, miou=0.43)), make_cell("plain"), asked.record, tmp_path).outcome == (
        "not reproduced"
    )


def test_the_more_cells_are_verified_together_the_wider_is_the_interval_of_each(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"), others=((0.49, 0.5, 0.51),))
    mark = judge(elsewhere(changed(asked, miou=0.45)), make_cell("plain"), asked.record, tmp_path, together=5)
    # t(0.995, 2 degrees of freedom) = 9.9248 times sd 0.01 times sqrt(2)
    assert (mark.low, mark.high) == pytest.approx((0.45 - 0.14036, 0.45 + 0.14036), abs=1e-4)


@pytest.mark.parametrize("wrong", [0.6, 0.9, 1.0])
def test_a_wrong_score_however_far_off_does_not_widen_its_own_interval(recorded, tmp_path, wrong):
    (asked,) = recorded(make_cell("plain"), others=((0.49, 0.5, 0.505, 0.495, 0.51),))
    mark = judge(elsewhere(changed(asked, miou=wrong)), make_cell("plain"), asked.record, tmp_path)
    assert mark.outcome == "not reproduced"


@pytest.mark.parametrize(
    ("versions", "sources", "told"),
    [
        ({"torch": "1.0"}, {}, "torch: None, was 1.0"),
        ({}, {"loss x/y": "a"}, "the source code of loss x/y has changed"),
    ],
)
def test_with_other_libraries_or_sources_other_bits_are_to_be_expected(
    recorded, tmp_path, monkeypatch, versions, sources, told
):
    (asked,) = recorded(make_cell("plain"), others=((0.38, 0.4, 0.42),))
    monkeypatch.setattr(
        "segbench.execute.judge.read_cell", lambda record: make_cell("plain").model_copy(update={"versions": versions})
    )
    now = make_cell("plain").model_copy(update={"key": "c" * 16, "sources": sources})
    mark = judge(changed(asked, miou=0.4), now, asked.record, tmp_path)
    assert (mark.outcome, mark.differences[0]) == ("within seeds", told)


@pytest.mark.parametrize("others", [(), ((0.5,), (0.6,)), ((0.3, 0.7),)])
def test_where_seeds_allow_any_score_nothing_is_decided(recorded, tmp_path, others):
    (asked,) = recorded(make_cell("plain"), others=others)
    mark = judge(elsewhere(changed(asked, miou=0.4)), make_cell("plain"), asked.record, tmp_path)
    assert (mark.outcome, mark.is_reproduced, mark.low) == ("undecided", False, None)


def test_equal_scores_of_other_counts_are_not_the_same_bits(recorded, tmp_path):
    (asked,) = recorded(make_cell("plain"))
    confusion = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    write_counts(asked.folder, Counts(("a", "b"), "test", confusion))
    write_counts(tmp_path / "again", Counts(("a", "b"), "test", confusion[:, ::-1].copy()))
    mark = judge(asked, make_cell("plain"), asked.record, tmp_path / "again")
    assert (mark.outcome, mark.differences) == ("not reproduced", ("the counts of 2 of 2 images",))
    write_counts(tmp_path / "again", Counts(("a", "b"), "test", confusion))
    assert judge(asked, make_cell("plain"), asked.record, tmp_path / "again").outcome == "same bits"


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
    mark = judge(asked, make_cell("plain"), asked.record, tmp_path)
    assert read_verification(asked.folder, asked.record) is None
    write_verification(asked.folder, mark)
    assert read_verification(asked.folder, asked.record) == mark
    assert read_verification(asked.folder, changed(asked, miou=0.7).record) is None


def test_cells_in_segments_are_verified_and_no_run_runs_them_again(recorded, tmp_path, workers):
    base = make_cell("plain")
    cells = [base, make_cell("child", upstream=base)]
    asked, repeats = recorded(*cells), Repeats()
    repeats.upstream = {"child": base}
    compact(ResultsFolder(tmp_path, "bench"))
    assert not list((tmp_path / "bench").glob("*.json"))
    assert [record.key for record in run_all(cells, tmp_path, workers=workers).records] == [
        one.record.key for one in asked
    ]
    assert len(ran(tmp_path)) == 2
    (answer,) = verify_all(asked[1:], workers, repeats)
    assert answer.mark.outcome == "same bits"
