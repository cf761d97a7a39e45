from __future__ import annotations

import numpy as np
import pytest

from segbench.report import load
from segbench.report.page.differences_chart import MOST_DRAWN, draw_differences

from .drawing import draw, rank, texts, values

pytestmark = pytest.mark.usefixtures("nothing_printed")


@pytest.fixture
def folder(trained, adversarial, counted, results):
    """Two methods with three seeds, of which the second is right in a little more of each image."""
    shares = np.random.default_rng(5).uniform(0.5, 0.8, size=20)
    return results(
        *(counted(trained("unet", seed), shares + 0.003 * seed) for seed in range(3)),
        *(counted(adversarial("unet+critic", seed), shares + 0.1 + 0.004 * seed) for seed in range(3)),
    )


def test_a_ranking_without_judged_differences_has_no_chart(trained, adversarial):
    assert draw_differences(rank(trained(), adversarial())) is None


def test_the_chart_and_its_table_hold_the_numbers_of_the_ranking(folder):
    (group,) = load([folder]).groups
    (one,) = group.comparisons
    chart = draw_differences(group)
    (row,) = values(chart)
    assert row["difference"] == pytest.approx(100 * one.judgement.difference.estimate, rel=1e-5)
    assert [row["low"], row["high"]] == pytest.approx([100 * end for end in one.judgement.interval], rel=1e-5)
    assert chart.table.rows[0][1] == f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def test_each_difference_says_its_verdict_in_words_beside_its_interval(folder):
    chart = draw_differences(load([folder]).groups[0])
    name, words = texts(chart)
    assert name == "unet+critic - unet"
    assert words.startswith("A is better · +")
    (interval,) = [item for item in draw(chart)["rule"] if "x2" in item and item["x2"] != item["x"]]
    (point,) = draw(chart)["symbol"]
    assert interval["x"] < point["x"] < interval["x2"]


def test_the_margin_of_equivalence_is_shaded_around_zero(folder):
    drawn = draw(draw_differences(load([folder]).groups[0]))
    (margin,) = drawn["rect"]
    (zero,) = [item for item in drawn["rule"] if item.get("x2", item["x"]) == item["x"]]
    assert margin["x"] + margin["width"] / 2 == pytest.approx(zero["x"], abs=0.01)


def test_the_scale_is_that_of_discriminators_and_what_lies_beyond_is_drawn_at_its_edge(
    trained, adversarial, counted, results
):
    shares = np.random.default_rng(5).uniform(0.6, 0.8, size=20)
    folder = results(
        *(counted(trained("unet", seed), shares + 0.003 * seed) for seed in range(3)),
        *(counted(adversarial("unet+critic", seed), shares + 0.01 + 0.002 * seed) for seed in range(3)),
        *(counted(trained("fcn", seed, recipe={"twin": "unet"}), shares - 0.5 + 0.003 * seed) for seed in range(3)),
    )
    chart = draw_differences(load([folder]).groups[0])
    critic, fcn = values(chart)
    assert (critic["name"], fcn["name"]) == ("unet+critic - unet", "fcn - unet")
    assert fcn["difference"] < -20
    at_zero, *_ = (item["x"] for item in draw(chart)["rule"] if item.get("x2", item["x"]) == item["x"])
    points = {round(item["y"]): item["x"] for item in draw(chart)["symbol"]}
    of_critic, of_fcn = (points[place] for place in sorted(points))
    assert of_fcn == 0 < at_zero < of_critic
    assert (of_critic - at_zero) / at_zero > 0.1
    assert "at its edge" in chart.note


def test_intervals_of_two_seeds_do_not_set_the_scale(trained, adversarial, counted, results):
    shares = np.random.default_rng(5).uniform(0.6, 0.8, size=20)
    folder = results(
        *(counted(trained("unet", seed), shares + 0.003 * seed) for seed in range(3)),
        *(counted(adversarial("unet+critic", seed), shares + 0.01 + 0.002 * seed) for seed in range(3)),
        *(
            counted(adversarial(f"unet+{name}", seed, recipe={"twin": "unet"}), shares + 0.1 * seed)
            for name in ("two", "other")
            for seed in range(2)
        ),
    )
    chart = draw_differences(load([folder]).groups[0])
    reaches = {row["name"]: max(abs(row["low"]), abs(row["high"])) for row in values(chart)}
    low, high = chart.spec["layer"][2]["encoding"]["x"]["scale"]["domain"]
    assert max(abs(low), high) < 4 * reaches["unet+critic - unet"] + 1 < reaches["unet+two - unet"]


def test_the_filter_is_a_text_in_the_names_whatever_it_holds(folder):
    chart = draw_differences(load([folder]).groups[0])
    assert len(texts(chart, filter="CRITIC")) == 2
    assert texts(chart, filter="fcn") == []
    assert texts(chart, filter="') || (1") == []


def test_names_of_any_letters_are_drawn_as_they_are(trained, adversarial, counted, results):
    shares = np.linspace(0.5, 0.8, 12)
    twin, name = '<script>alert("1")</script>', "x" * 500 + "\\n${filter} \u05e9\u05dc\u05d5\u05dd"
    folder = results(
        *(counted(trained(twin, seed), shares + 0.01 * seed) for seed in range(3)),
        *(counted(adversarial(name, seed, recipe={"twin": twin}), shares + 0.012 * seed) for seed in range(3)),
    )
    assert f"{name} - {twin}" in texts(draw_differences(load([folder]).groups[0]))


def test_of_many_differences_the_first_that_the_filter_keeps_are_drawn(folder):
    (group,) = load([folder]).groups
    chart = draw_differences(group)
    chart.spec["data"]["values"] = [
        {**values(chart)[0], "name": f"method {number:03}", "order": number} for number in range(100)
    ]
    assert len(texts(chart)) == 2 * MOST_DRAWN
    assert texts(chart, filter="099")[:1] == ["method 099"]
