from __future__ import annotations

import numpy as np
import pytest

from segbench.report.page.pareto import draw_trade_off, find_axes, find_front
from segbench.store.record import Cost, Scores

from .drawing import draw, rank, texts, values

pytestmark = pytest.mark.usefixtures("nothing_printed")
RANDOM = np.random.default_rng(7)


@pytest.fixture
def ranking(trained, timing):
    """Make a ranking of methods from their mIoU and milliseconds a batch."""

    def make(*points, record=trained):
        return rank(
            *(
                record(f"method {place}", 0, float(miou), inference=[timing(8, float(ms))])
                for place, (miou, ms) in enumerate(points)
            )
        )

    return make


def not_beaten(group, x, y):
    """Return, by comparing all with all, the names of rows that none is as good as in both and better in one."""
    axes = {axis.field: axis for axis in find_axes(group.rows, [1, 8])}
    points = {row.name: tuple(axes[name].better * axes[name].read(row) for name in (x, y)) for row in group.rows}
    return sorted(
        name
        for name, own in points.items()
        if not any(all(a >= b for a, b in zip(other, own, strict=True)) and other != own for other in points.values())
    )


@pytest.mark.parametrize(("x", "y"), [("forward_8", "miou"), ("p50_8", "miou"), ("miou", "p95_8"), ("p50_8", "p95_8")])
def test_the_front_that_is_drawn_is_that_of_a_comparison_of_all_with_all(ranking, x, y):
    group = ranking(*zip(RANDOM.choice(np.linspace(0.2, 0.8, 9), 30), RANDOM.choice(np.arange(1, 15), 30), strict=True))
    chart = draw_trade_off(group)
    assert sorted(texts(chart, x=x, y=y)) == not_beaten(group, x, y)


def test_the_table_names_the_front_that_is_drawn_first(ranking):
    chart = draw_trade_off(ranking((0.8, 10), (0.7, 20), (0.6, 5), (0.5, 5)))
    assert {row[0] for row in chart.table.rows if row[-1] == "yes"} == set(texts(chart)) == {"method 0", "method 2"}


def test_equal_rows_are_on_the_front_together(ranking):
    assert sorted(texts(draw_trade_off(ranking((0.7, 10), (0.7, 10), (0.6, 10))))) == ["method 0", "method 1"]
    assert find_front([(1, 1), (1, 1)]) == [True, True]


def test_placebos_are_controls_and_never_on_the_front(trained, adversarial):
    placebo = adversarial("unet+critic~frozen", miou=0.9, recipe={"placebo_of": "unet+critic"})
    chart = draw_trade_off(rank(trained(miou=0.6), placebo))
    assert texts(chart) == ["unet"]
    assert {row[0]: row[-1] for row in chart.table.rows} == {"unet": "yes", "unet+critic~frozen": "control"}


def test_the_filter_hides_rows_and_leaves_the_front_as_it_is(ranking):
    chart = draw_trade_off(ranking((0.8, 10), (0.7, 20), (0.6, 5)))
    assert texts(chart, filter="method 1") == []
    assert len(draw(chart, filter="method 1")["symbol"]) == 1
    assert texts(chart, filter="method 2") == ["method 2"]


def test_points_come_in_the_order_of_throughput_and_hold_all_numbers_that_were_measured(ranking):
    chart = draw_trade_off(ranking((0.8, 10), (0.7, 20), (0.6, 5)))
    assert [row["name"] for row in values(chart)] == ["method 1", "method 0", "method 2"]
    first = values(chart)[0]
    assert first["miou"] == 70
    assert first["forward_8"] == 400
    assert first["p95_8"] == 24
    assert first["parameters"] == 14.3282
    across, upwards = chart.choices
    assert list(across.options) == list(upwards.options) == [name for name in first if name in across.options]


def test_the_point_that_keys_walk_to_has_a_ring(ranking):
    chart = draw_trade_off(ranking((0.8, 10), (0.7, 20)))
    assert [item["size"] for item in draw(chart, focus="method 1")["symbol"]].count(420) == 1
    assert 420 not in [item["size"] for item in draw(chart)["symbol"]]


def test_rows_that_lack_a_number_are_left_out_where_it_is_an_axis(trained, scored):
    chart = draw_trade_off(rank(trained(miou=0.6), scored(miou=0.8)))
    assert [row["name"] for row in values(chart)] == ["unet", "mmseg-pspnet"]
    assert texts(chart) == ["unet"]
    assert sorted(texts(chart, x="pixel_accuracy")) == ["mmseg-pspnet"]


def test_zero_is_left_out_of_an_axis_of_ratios_only(trained):
    scores = Scores(miou=0.0, pixel_accuracy=0.0, mean_accuracy=0.0, fwiou=0.0, dice=0.0)
    cost = Cost(parameters=0, flops=None, flops_size=None, train_peak_bytes=None, inference_peak_bytes=None)
    chart = draw_trade_off(rank(trained(fields={"scores": scores, "cost": cost})))
    assert texts(chart) == ["unet"]
    assert texts(chart, x="parameters") == []


def test_a_ranking_of_nothing_but_one_number_has_no_chart(scored):
    only = {"miou": 0.5, "pixel_accuracy": None, "mean_accuracy": None, "fwiou": None, "dice": None}
    assert draw_trade_off(rank(scored(fields={"scores": Scores(**only)}))) is None


def test_what_is_on_the_front_lies_above_the_others_and_reads_well(ranking):
    drawn = draw(draw_trade_off(ranking((0.7, 10), (0.6, 20), (0.5, 30))))["symbol"]
    assert [item["size"] for item in drawn] == sorted(item["size"] for item in drawn)
    assert drawn[-1]["description"] == (
        "method 0, supervised, inference, forward [images/s], batch 8: 800, mIoU [%]: 70, on the front"
    )


def test_speeds_are_those_of_one_machine_and_the_note_says_which(trained):
    cpu = {"device": "cpu", "device_name": "AMD EPYC 9554", "threads": 2, "torch": "2.15.0"}
    chart = draw_trade_off(
        rank(trained("unet", 0, 0.6), trained("unet", 1, 0.6), trained("fcn", 0, 0.5, environment=cpu))
    )
    assert {row["name"]: "forward_8" in row for row in values(chart)} == {"unet": True, "fcn": False}
    assert "cuda: NVIDIA H200" in chart.note
