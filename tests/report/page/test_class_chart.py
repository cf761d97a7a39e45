from __future__ import annotations

import pytest

from segbench.report.page.class_chart import MOST_CELLS, draw_classes
from segbench.store.record import Evaluated, PerClass

from .drawing import draw, rank, texts, values

pytestmark = pytest.mark.usefixtures("nothing_printed")
CLASSES = ["sky", '<b>"road"</b>', "pole"]


@pytest.fixture
def group(trained):
    """Two methods with scores of three classes, the last of which does not occur."""
    evaluated = Evaluated(split="test", images=233, classes=CLASSES)

    def fields(iou, boundary):
        return {"per_class": PerClass(iou=iou, boundary_iou=boundary), "evaluated": evaluated}

    return rank(
        trained("unet", 0, 0.7, fields=fields([0.9, 0.5, None], [0.4, 0.3, None])),
        trained("fcn", 0, 0.6, fields=fields([0.8, 0.4, None], [0.2, 0.1, None])),
    )


def test_a_ranking_without_scores_by_class_has_no_chart(trained):
    assert draw_classes(rank(trained(fields={"per_class": None}))) is None


def test_chart_and_table_hold_the_mean_scores_of_the_classes(group):
    chart = draw_classes(group)
    assert [(row["name"], row["iou"], row["boundary_iou"]) for row in values(chart)] == [
        ("unet", [90, 50, None], [40, 30, None]),
        ("fcn", [80, 40, None], [20, 10, None]),
    ]
    assert chart.table.headers == ["class", "unet", "fcn"]
    assert chart.table.rows[0] == ["sky", "90.00 / 40.00", "80.00 / 20.00"]
    assert [row[0] for row in chart.table.rows] == CLASSES


def test_the_score_that_a_reader_chooses_is_written_into_the_cells(group):
    assert [text for text in texts(draw_classes(group)) if text] == ["90.0", "50.0", "80.0", "40.0"]
    assert [text for text in texts(draw_classes(group), score="boundary_iou") if text] == [
        "40.0",
        "30.0",
        "20.0",
        "10.0",
    ]


def test_colours_stand_for_no_score_below_0_or_above_100(trained):
    chart = draw_classes(rank(trained(fields={"per_class": PerClass(iou=[0.0, 1.0])})))
    assert next(one["value"] for one in chart.spec["params"] if one["name"] == "domains") == {"iou": [0, 100]}


def test_of_many_methods_the_first_that_the_filter_keeps_are_drawn(trained):
    number = MOST_CELLS // 3 + 20
    chart = draw_classes(rank(*(trained(f"method {place:03}", 0, 1 - place / 1000) for place in range(number))))
    assert len(draw(chart)["rect"]) == MOST_CELLS // 3 * 3
    assert len(draw(chart, filter=f"{number - 1:03}")["rect"]) == 3
    assert str(number) in chart.note
