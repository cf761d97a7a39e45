from __future__ import annotations

import json

import pytest

from segbench.errors import RecordError
from segbench.report.judging.votes import import_votes
from segbench.store.json_file import sealed_json
from segbench.store.judgements import ballot_paths, read_ballot, read_plan, write_plan

from .conftest import by_order, plan_of, vote

ORDER = by_order("good", "fair", "poor")


@pytest.fixture
def dealt(kept):
    """Return the folder of a benchmark with a plan, and the plan."""
    root = kept()
    plan = plan_of(root)
    write_plan(root / plan.benchmark, plan)
    return root / plan.benchmark, plan


def save(tmp_path, ballot, name="votes.json", **changed):
    path = tmp_path / name
    path.write_bytes(sealed_json({**ballot.model_dump(mode="json"), **changed}))
    return path


def test_votes_are_kept_beside_their_plan(dealt, tmp_path):
    folder, plan = dealt
    ballot = vote(plan, ORDER)
    assert import_votes([folder], [save(tmp_path, ballot)]) == [(folder, plan)]
    (kept,) = ballot_paths(folder, plan)
    assert read_ballot(kept) == ballot


def test_votes_that_are_imported_again_count_once_and_the_longest_counts(dealt, tmp_path):
    folder, plan = dealt
    whole, part = vote(plan, ORDER), vote(plan, ORDER, answers=5)
    import_votes([folder], [save(tmp_path, whole), save(tmp_path, part, "part.json")])
    (kept,) = ballot_paths(folder, plan)
    assert len(read_ballot(kept).answers) == len(plan.deals)


def test_changed_votes_are_refused_by_name_and_nothing_is_kept(dealt, tmp_path):
    folder, plan = dealt
    good = save(tmp_path, vote(plan, ORDER))
    bad = save(tmp_path, vote(plan, ORDER, voter="1" * 16), "changed.json")
    bad.write_bytes(bad.read_bytes().replace(b'"left"', b'"tie" ', 1))
    with pytest.raises(RecordError, match=r"changed\.json: it has changed since it was written"):
        import_votes([folder], [good, bad])
    assert ballot_paths(folder, plan) == []


def test_votes_without_a_checksum_are_refused(dealt, tmp_path):
    path = tmp_path / "bare.json"
    path.write_text(vote(dealt[1], ORDER).model_dump_json())
    with pytest.raises(RecordError, match=r"bare\.json: it has no checksum"):
        import_votes([dealt[0]], [path])


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"seal": 3}', b"\xff\xfe", b"[" * 100_000])
def test_damaged_files_are_one_message(dealt, tmp_path, content):
    path = tmp_path / "votes.json"
    path.write_bytes(content)
    with pytest.raises(RecordError) as raised:
        import_votes([dealt[0]], [path])
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_missing_file_is_named(dealt, tmp_path):
    with pytest.raises(RecordError, match=r"cannot read .*gone\.json: No such file"):
        import_votes([dealt[0]], [tmp_path / "gone.json"])


def test_votes_on_a_plan_that_is_not_there_are_refused(dealt, tmp_path):
    path = save(tmp_path, vote(dealt[1], ORDER), plan="0" * 64)
    with pytest.raises(RecordError, match=r"votes\.json holds votes on the plan 000000000000, which is not in"):
        import_votes([dealt[0]], [path])


def test_answers_to_other_questions_than_were_asked_are_refused(dealt, tmp_path):
    folder, plan = dealt
    answers = vote(plan, ORDER).model_dump(mode="json")["answers"]
    path = save(tmp_path, vote(plan, ORDER), answers=[answers[1], answers[0]])
    with pytest.raises(RecordError, match="answer 1 is to question 1, which this voter was not asked then"):
        import_votes([folder], [path])


@pytest.mark.parametrize(
    ("left", "right", "kind", "cause"),
    [
        (0, 3, "pair", "it deals what it does not have"),
        (1, 1, "pair", "a pair has not two methods"),
        (-1, 1, "repeat", "a pair has not two methods"),
        (0, 1, "sham", "a sham pair has not one spoilt label map"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(dealt, left, right, kind, cause):
    folder, plan = dealt
    deal = plan.deals[0].model_copy(update={"left": left, "right": right, "kind": kind})
    path = write_plan(folder, plan.model_copy(update={"deals": [deal, *plan.deals[1:]]}))
    with pytest.raises(RecordError, match=cause):
        read_plan(path)


def test_a_changed_plan_is_refused(dealt):
    folder, plan = dealt
    path = write_plan(folder, plan)
    content = json.loads(path.read_text())
    content["methods"].reverse()
    path.write_bytes(sealed_json({name: part for name, part in content.items() if name != "seal"}))
    with pytest.raises(RecordError, match="is not what was dealt"):
        read_plan(path)
