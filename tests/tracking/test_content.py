"""What trackers are told of a cell."""

from __future__ import annotations

from segbench.report.cells import RecordedCell
from segbench.tracking.content import name_recorded, points_of, read_content, tidy

from .conftest import BEGAN, FAILED, KEY, make_record, step


def courses(content):
    found = {}
    for point in content.points:
        found.setdefault(point.name, []).append((point.step, point.value))
    return found


def test_curves_are_those_of_the_events_and_numbers_of_the_whole_stand_at_the_last_step(recorded):
    content = read_content(recorded)
    assert courses(content) == {
        "train/loss": [(3, 0.9), (5, 0.7), (9, 0.6)],
        "train/images_per_second": [(3, 2.0), (5, 2.0), (9, 2.0)],
        "val/miou": [(9, 0.25)],
        "health/ratio": [(4, 0.01)],
        "test/miou": [(9, 0.5)],
        "test/pixel_accuracy": [(9, 0.9)],
        "test iou/0 sky/sea": [(9, 0.25)],
        "test iou/1 road": [(9, 0.75)],
        "cost/steps": [(9, 9)],
        "cost/seconds": [(9, 1.5)],
        "cost/shares/data": [(9, 0.5)],
    }
    assert (content.began, content.ended) == (BEGAN, BEGAN + 10)


def test_the_recipe_is_what_a_cell_is_and_facts_are_how_it_went(recorded):
    content = read_content(recorded)
    assert content.recipe == {
        **{"dataset": "shapes", "subset": "all", "method": "a", "seed": 3},
        **{"generator.use": "basic/fcn", "generator.options.width": 2, "losses": '[{"use": "losses/dice"}]'},
    }
    assert content.facts["health"] == "inert"
    assert content.facts["definitions"] == "miou/union@1, pixel_accuracy@1"
    assert name_recorded(recorded.record) == (KEY, "bench", "shapes / a / seed 3")


def test_a_cell_that_failed_has_its_cause_and_no_scores(folder):
    content = read_content(RecordedCell(make_record(**FAILED), folder))
    assert (content.status, content.points) == ("failed", [])
    assert content.facts["cause"] == "out of memory \\u001b"


def test_the_digest_is_another_one_as_soon_as_anything_is(recorded, write_events):
    before = read_content(recorded).digest
    assert read_content(recorded).digest == before
    write_events({"time": BEGAN + 11, "event": "validation", "step": 9, "miou": 0.5})
    assert read_content(recorded).digest != before


def test_numbers_that_no_tracker_could_store_are_left_out():
    wrong = [{"step": -1}, {"step": 2**63}, {"step": 1.5}, {"time": 1e30}, {"time": -1}, {"loss": "low"}]
    events = [{**step(1, 0.5), "images_per_second": None, **one} for one in wrong]
    assert list(points_of(events)) == []


def test_a_name_keeps_within_what_all_trackers_take():
    assert tidy("a\ud800\n/b") == "a__/b"
    assert tidy("/".join([".."] * 3)) == "_/_/_"
    assert len(tidy("x" * 1000)) == 200
