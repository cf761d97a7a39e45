from __future__ import annotations

import re

import pytest

from segbench.report import load, render
from segbench.report.ranking.groups import rank_records
from segbench.report.ranking.trade_off import front, recommend
from segbench.report.records import Sources
from segbench.store.record import Timing


def ranking(*records):
    (group,) = rank_records(Sources(records, (), ()))
    return group


@pytest.fixture
def timed(trained, timing):
    """Make the record of a method by its mIoU and its images a second at the protocol's batch of 8."""

    def make(method, miou, speed, blocks=(), session="one", seed=0, **choices):
        row = timing(8, 8000 / speed).model_copy(update={"blocks": [speed * block for block in blocks]})
        how = Timing(session=session, rivals=[], threads=8, steady=True) if blocks else None
        return trained(method, seed, miou, inference=[row], fields={"timing": how}, **choices)

    return make


def test_a_row_is_beaten_by_the_best_row_that_has_more_miou_and_more_speed(timed):
    group = ranking(timed("a", 0.7, 100), timed("b", 0.6, 200), timed("c", 0.5, 150), timed("d", 0.4, 90))
    assert {row.name: row.beaten_by for row in group.rows} == {"a": "", "b": "", "c": "b", "d": "a"}
    assert front(group.rows) == ("a", "b")


def test_speeds_that_differ_by_chance_beat_nothing(timed):
    unsteady, steady = (1.0, 0.8, 1.2, 1.0), (1.0, 0.95, 1.0, 0.9)
    group = ranking(timed("a", 0.7, 100, unsteady), timed("b", 0.6, 98, steady))
    assert front(group.rows) == ("a", "b")


def test_speeds_of_two_sessions_beat_only_from_a_tenth_on(timed):
    near = ranking(timed("a", 0.7, 109, (1, 1, 1), "one"), timed("b", 0.6, 100, (1, 1, 1), "two"))
    far = ranking(timed("a", 0.7, 111, (1, 1, 1), "one"), timed("b", 0.6, 100, (1, 1, 1), "two"))
    assert (front(near.rows), front(far.rows)) == (("a", "b"), ("a",))


def test_placebos_and_rows_without_speed_neither_beat_nor_are_beaten(timed, trained, scored):
    placebo = timed("a~frozen", 0.8, 500, recipe={"placebo_of": "a"})
    group = ranking(timed("a", 0.7, 100), placebo, trained("b", 0, 0.1, inference=[]), scored(miou=0.9))
    assert not any(row.beaten_by for row in group.rows)
    assert front(group.rows) == ("a",)


def test_the_fastest_row_within_one_point_of_the_best_is_recommended(timed):
    rows = [timed("best", 0.72, 100, (1, 1.1)), timed("near", 0.715, 250, (1, 1.1)), timed("far", 0.7, 900, (1, 1.1))]
    assert recommend(ranking(*rows, timed("nearest", 0.7195, 90, (1, 1.1)))) == (
        "Within 1 point of the best (best, 72.00 %), 2.50 times as fast: near, -0.50 points."
    )


def test_of_equally_fast_rows_the_one_with_more_miou_is_recommended(timed):
    rows = [timed("best", 0.72, 100, (1, 1)), timed("twin", 0.715, 400, (1, 1)), timed("other", 0.712, 404, (1, 1))]
    assert ": twin, " in recommend(ranking(*rows))


def test_speeds_of_two_sessions_are_told_without_a_ratio(timed):
    one, other = timed("best", 0.72, 100, (1, 1), "one"), timed("near", 0.715, 250, (1, 1), "two")
    assert recommend(ranking(one, other)) == (
        "Within 1 point of the best (best, 72.00 %), 250 against 100 images/s: near, -0.50 points."
    )


def test_where_nothing_faster_is_near_it_says_so(timed):
    best = timed("best", 0.72, 100)
    assert recommend(ranking(best, timed("far", 0.7, 900))) == (
        "No faster row comes within 1 point of the best (best, 72.00 %)."
    )
    assert recommend(ranking(best, timed("slow", 0.7, 50))) == "No row is faster than the best (best, 72.00 %)."


def test_where_all_are_equally_fast_or_not_timed_nothing_is_recommended(timed, trained):
    assert recommend(ranking(timed("a", 0.7, 100), timed("b", 0.69, 101))) is None
    assert recommend(ranking(trained("a", inference=[]), trained("b", inference=[]))) is None


def test_label_maps_that_are_better_than_all_timed_rows_are_not_passed_over(timed, scored):
    group = ranking(timed("a", 0.7, 100), timed("b", 0.695, 400), scored(miou=0.9))
    assert recommend(group).startswith("Within 1 point of the best timed row (a, 70.00 %), ")


def test_a_recommended_row_has_its_difference_with_the_interval_among_all_pairs(timed, counted, results):
    shares = [0.5, 0.6, 0.7, 0.8]
    cells = [
        counted(timed(name, 0.5, speed, (1, 1), seed=seed), [share - loss * (1 + seed) for share in shares])
        for name, speed, loss in (("best", 100, 0.0), ("near", 400, 0.002))
        for seed in range(2)
    ]
    sentence = recommend(load([results(*cells)]).groups[0])
    assert re.search(r"4\.00 times as fast: near, -0\.\d\d points \[-\d\.\d\d, [+-]\d\.\d\d\]\.$", sentence)


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_beaten_rows_are_marked_in_every_text_and_named(timed, results, whole_text, format):
    folder = results(timed("a", 0.7, 100), timed("b", 0.6, 50))
    texts = [whole_text(folder, format), *([render([folder])] if format == "table" else [])]
    mark = r"$\dagger$" if format == "latex" else "†"
    for text in texts:
        assert f"b {mark}" in text
        assert f"{mark} Another row has a higher mean mIoU and is faster: b by a." in text
