from __future__ import annotations

import pytest

from segbench.report.page import seeds_chart
from segbench.report.page.seeds_chart import MOST_DRAWN, draw_seeds

from .drawing import draw, rank, texts, values

pytestmark = pytest.mark.usefixtures("nothing_printed")


def joins(chart, **params):
    """Return the lines between two rows of a chart as [x, x2, rows apart]."""
    rules = [item for item in draw(chart, **params)["rule"] if item.get("y2", item["y"]) != item["y"]]
    return [(item["x"], item["x2"], round((item["y"] - item["y2"]) / 38)) for item in rules]


def test_each_seed_of_each_method_is_a_point_and_in_the_table(trained):
    chart = draw_seeds(rank(*(trained(seed=seed, miou=0.5 + seed / 100) for seed in range(3))))
    (row,) = values(chart)
    assert (row["seed"], row["miou"], row["mean"]) == ([0, 1, 2], [50, 51, 52], 51)
    assert len(draw(chart)["symbol"]) == 3
    assert chart.table.rows == [["unet", "51.00", "-", "50.00 (0), 51.00 (1), 52.00 (2)"]]


def test_a_line_joins_each_seed_with_the_same_seed_of_the_twin(trained, adversarial):
    twins = [trained(seed=seed, miou=0.5 + seed / 100) for seed in range(2)]
    chart = draw_seeds(rank(*twins, *(adversarial(seed=seed, miou=0.6 + seed / 100) for seed in range(1, 3))))
    assert [row["name"] for row in values(chart)] == ["unet", "unet+critic"]
    ((x, x2, apart),) = joins(chart)
    assert x > x2
    assert apart == 1


def test_lines_go_to_the_twin_wherever_it_stands_and_whoever_else_has_a_twin(trained, adversarial):
    chain = adversarial("both", 0, 0.7, recipe={"twin": "unet+critic"})
    others = [trained(f"other {place}", 0, 0.55 - place / 100) for place in range(3)]
    chart = draw_seeds(rank(trained(miou=0.5), adversarial(miou=0.6), chain, *others))
    order = [row["name"] for row in values(chart) if row["seed"]]
    assert order == ["other 0", "other 1", "other 2", "unet", "unet+critic", "both"]
    assert [apart for _, _, apart in joins(chart)] == [1, 1]


def test_without_its_twin_a_method_has_no_line(trained, adversarial):
    chart = draw_seeds(rank(trained(miou=0.5), adversarial(miou=0.6)))
    assert texts(chart, filter="critic") == ["unet+critic"]
    assert joins(chart, filter="critic") == []


def test_of_many_methods_the_first_that_the_filter_keeps_are_drawn(trained):
    chart = draw_seeds(rank(*(trained(f"method {place:03}", 0, 1 - place / 1000) for place in range(50))))
    assert len(texts(chart)) == MOST_DRAWN
    assert texts(chart, filter="049") == ["method 049"]


def test_fewer_methods_are_drawn_where_each_has_many_seeds(trained, monkeypatch):
    monkeypatch.setattr(seeds_chart, "MOST_POINTS", 6)
    chart = draw_seeds(rank(*(trained(f"method {place}", seed, 0.5) for place in range(4) for seed in range(3))))
    assert len(draw(chart)["symbol"]) == 6
    assert "first 2 of 4" in chart.note
