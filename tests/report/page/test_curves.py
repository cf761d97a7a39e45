from __future__ import annotations

import json

import pytest

from segbench.report import load
from segbench.report.page.curves import MOST_POINTS, draw_curves, draw_game, find_curves, most_points
from segbench.report.page.events import Course
from segbench.store.folder import EVENTS
from segbench.store.record import Health, HealthPoint

from .drawing import draw, rank, texts, values

pytestmark = pytest.mark.usefixtures("nothing_printed")


@pytest.fixture
def report(trained, counted, results):
    """One method with three seeds, whose losses are 3, 2 and 4 at step 10, and 1, 2 and 0 at step 20."""
    cells = [counted(trained(seed=seed), [0.5, 0.6]) for seed in range(3)]
    found = load([results(*cells)])
    for record, (first, last) in zip(found.groups[0].rows[0].records, ((3, 1), (2, 2), (4, 0)), strict=True):
        events = [{"event": "step", "step": 10, "loss": first}, {"event": "step", "step": 20, "loss": last}]
        (found.folder_of(record) / EVENTS).write_text("\n".join(map(json.dumps, events)))
    return found


def played(*points):
    return {"health": Health(verdict="healthy", reason="", numbers={}, curve=[HealthPoint(**one) for one in points])}


def test_a_curve_is_the_median_of_the_seeds_and_its_band_holds_all(report):
    (chart,) = draw_curves(report, report.groups[0])
    (row,) = values(chart)
    assert chart.id == "loss"
    assert row["step"] == [10, 20]
    assert row["loss"] == [[3, 1], [2, 0], [4, 2]]
    assert chart.table.rows == [["unet", "20", "3.00", "1.00", "1.00", "1.00", "3.00"]]
    assert len(draw(chart)["area"]) == 2
    assert texts(chart) == ["unet"]


def test_seeds_that_were_measured_at_other_steps_are_interpolated_inside_their_own():
    found = find_curves({"loss": [Course((0, 10), (0.0, 10.0)), Course((5, 20), (7.0, 22.0))]}, 10)
    assert found.steps == [0, 5, 10, 20]
    assert found.bands["loss"].middle == [0, 6, 11, 22]
    assert found.bands["loss"].low == [0, 5, 10, 22]


def test_a_curve_has_no_more_points_than_the_page_can_bear():
    course = Course(tuple(range(5000)), tuple(map(float, range(5000))))
    found = find_curves({"loss": [course]}, MOST_POINTS)
    assert len(found.steps) == MOST_POINTS
    assert (found.steps[0], found.steps[-1]) == (0, 4999)
    assert found.bands["loss"].middle == found.steps
    assert most_points(1) == MOST_POINTS
    assert 10 * most_points(10) <= 2000


def test_one_seed_has_no_band(adversarial):
    chart = draw_game(rank(adversarial(fields=played({"step": 0, "ratio": 0.5}, {"step": 10, "ratio": 0.25}))))
    (row,) = values(chart)
    assert row["ratio"] == [[0.5, 0.25], [], []]
    assert draw(chart).get("area", []) == []


def test_a_reader_chooses_the_quantity_of_the_game(adversarial):
    curve = ({"step": 0, "ratio": 0.5, "critic_loss": 1.0}, {"step": 10, "ratio": 0.25, "critic_loss": 2.0})
    chart = draw_game(rank(adversarial(fields=played(*curve))))
    (choice,) = chart.choices
    assert list(choice.options) == ["ratio", "critic_loss"]
    assert [row[1] for row in chart.table.rows] == ["adversarial over supervised gradient", "loss of the discriminator"]
    first, other = ([item["y"] for item in draw(chart, quantity=name)["symbol"]] for name in choice.options)
    assert first[0] < first[1]
    assert other[0] > other[1]


def test_the_scores_of_reals_and_fakes_are_in_one_picture(adversarial):
    curve = [{"step": step, "ratio": 0.5, "real": 1.0 + step, "fake": -1.0 - step} for step in (0, 10)]
    chart = draw_game(rank(adversarial(fields=played(*curve))))
    assert texts(chart) == ["unet+critic"]
    assert texts(chart, quantity="score") == ["unet+critic, reals", "unet+critic, fakes"]
    assert [row[:2] for row in chart.table.rows[1:]] == [
        [f"unet+critic, {kind}", "score by the discriminator"] for kind in ("reals", "fakes")
    ]


def test_a_single_measurement_between_the_points_of_a_curve_is_no_curve():
    long = Course(tuple(range(0, 5000, 10)), tuple(map(float, range(500))))
    found = find_curves({"loss": [long], "miou": [Course((4321,), (0.5,))]}, 20)
    assert list(found.bands) == ["loss"]


def test_a_ranking_without_events_and_games_has_no_curves(trained, counted, results):
    report = load([results(counted(trained(), [0.5, 0.6]))])
    assert draw_curves(report, report.groups[0]) == []
