from __future__ import annotations

import json

import numpy as np
import pytest

from segbench.report import load, to_json
from segbench.report.formats.layout import Document, lay_out_all, lay_out_people
from segbench.report.formats.markdown import to_markdown
from segbench.report.formats.terminal import to_terminal
from segbench.report.page.people import people
from segbench.report.ranking.people import judge_voter, rank_by_people
from segbench.stats.preferences import fit_strengths
from segbench.store.judgements import write_ballot, write_plan

from .conftest import by_order, plan_of, vote

ORDER = by_order("good", "fair", "poor")
VOTERS = ("0000000300000000", "0000000900000001", "00000005000000a1")  # at three places, two with sides swapped


def blind(name):
    return 0


def test_sides_and_places_of_voters_change_nothing_of_what_they_prefer(kept):
    plan = plan_of(kept())
    found = [rank_by_people(plan, [vote(plan, ORDER, voter)], (), 20) for voter in VOTERS]
    assert {one.outcomes for one in found} == {found[0].outcomes}
    assert [one.wins for one in found[0].outcomes] == sorted((one.wins for one in found[0].outcomes), reverse=True)
    assert found[0].outcomes[2].wins == found[0].outcomes[0].losses == 0


def test_shares_follow_from_the_wins_of_each_pair(kept):
    plan = plan_of(kept())
    found = rank_by_people(plan, [vote(plan, ORDER, voter) for voter in VOTERS], (), 20)
    wins = [[0.0, 18, 18], [0, 0, 18], [0, 0, 0]]  # six images, three voters
    expected = fit_strengths(np.array(wins))
    assert [found.preferences.strengths[name].value for name in plan.methods] == pytest.approx(expected, abs=1e-4)


def test_a_pair_that_returns_counts_once(kept):
    plan = plan_of(kept((("good", 0), ("poor", 5))), ("good", "poor"))
    found = rank_by_people(plan, [vote(plan, by_order("good", "poor"))], (), 20)
    assert found.preferences.shares["good"].value == pytest.approx(6.5 / 7, abs=1e-4)


def test_identical_label_maps_count_as_ties_of_every_voter(kept):
    plan = plan_of(kept((("good", 0), ("same", 0), ("poor", 5))), ("good", "same", "poor"))
    found = rank_by_people(plan, [vote(plan, by_order("good", "same", "poor"))], (), 20)
    assert found.outcomes[0].ties == found.outcomes[1].ties == 6
    assert found.preferences.shares["good"].value == pytest.approx(found.preferences.shares["same"].value, abs=1e-4)


def test_a_voter_who_prefers_spoilt_label_maps_is_left_out_and_named(kept):
    plan = plan_of(kept())
    careless = vote(plan, lambda name: 9 if name == "spoilt" else ORDER(name), "f" * 16, name="Max")
    found = rank_by_people(plan, [vote(plan, ORDER), careless], (), 20)
    assert [voter.ballot.name for voter in found.used] == [""]
    text = text_of(found)
    assert "Left out: Max (ffff): preferred a spoilt label map, or saw no difference, in 2 of 2 checks." in text


def text_of(found):
    return to_terminal(Document((lay_out_people(found),), (), ()))


def test_a_voter_who_stops_before_a_check_is_left_out(kept):
    plan = plan_of(kept())
    first = next(place for place in range(len(plan.deals)) if plan.deals[place].kind != "sham")
    voter = judge_voter(plan, vote(plan, ORDER, f"{first:08x}00000000", answers=1))
    assert "before the first pair that checks attention" in voter.left_out


def test_without_a_used_voter_there_is_no_ranking(kept):
    plan = plan_of(kept())
    found = rank_by_people(plan, [vote(plan, blind)], (), 20)
    assert found.preferences is None
    assert "No voter's answers can be used" in text_of(found)


def test_repeats_that_are_answered_otherwise_are_counted(kept):
    plan = plan_of(kept())
    always_left = vote(plan, ORDER)
    answers = [answer.model_copy(update={"choice": "left"}) for answer in always_left.answers]
    voter = judge_voter(plan, always_left.model_copy(update={"answers": answers}))
    assert voter.changed == voter.repeats == 4
    assert judge_voter(plan, vote(plan, ORDER)).changed == 0
    assert voter.lefts == 1


def test_the_report_shows_people_beside_scores(kept):
    root = kept()
    plan = plan_of(root)
    write_plan(root / plan.benchmark, plan)
    for voter in VOTERS:
        write_ballot(root / plan.benchmark, vote(plan, ORDER, voter))
    report = load([root])
    text = to_terminal(lay_out_all(report))
    assert "camvid / camvid: what people prefer" in text
    assert "3 of 3 voters used" in text
    assert "+1.00" in text  # good, fair, poor is the order of mIoU as well
    assert "What people prefer" in to_markdown(lay_out_all(report))
    (found,) = json.loads(to_json(report))["people"]
    assert [one["method"] for one in found["methods"]] == ["good", "fair", "poor"]
    assert found["methods"][0]["miou"] > found["methods"][2]["miou"]
    assert found["agreement"]["miou"]["of_methods"]["value"] == pytest.approx(1)
    room = people(report)
    assert [one["name"] for one in room.charts[0].spec["data"]["values"]] == ["good", "fair", "poor"]


def test_a_report_without_votes_has_no_room_of_people(kept):
    report = load([kept()])
    assert people(report) is None
    assert "what people prefer" not in to_terminal(lay_out_all(report))


def test_votes_that_cannot_be_read_are_named_and_the_report_goes_on(kept):
    root = kept()
    plan = plan_of(root)
    write_plan(root / plan.benchmark, plan)
    path = write_ballot(root / plan.benchmark, vote(plan, ORDER))
    path.write_text("{")
    report = load([root])
    assert report.people == ()
    assert any(path.name in str(problem) for problem in report.problems)
