from __future__ import annotations

import json

import numpy as np
import pytest

from segbench.config.recipe import Adversarial
from segbench.report import load
from segbench.report.formats.as_json import to_json
from segbench.report.formats.curves import LOOKS, dose_table
from segbench.report.formats.layout import lay_out_all
from segbench.report.page.chart_rooms import differences
from segbench.report.page.dose_chart import draw_doses
from segbench.report.ranking.doses import find_doses

from .drawing import draw, rank, texts, values

pytestmark = pytest.mark.usefixtures("nothing_printed")

SHARES = np.random.default_rng(5).uniform(0.5, 0.8, size=20)
# What a dose adds to the share of right pixels of each image, and what its placebo adds.
GAINS = {0.03: (0.0, 0.0), 0.1: (0.1, 0.01), 1.0: (-0.05, -0.04)}


def recipe(dose, by_ratio=True, **parts):
    weight = {"ratio": dose} if by_ratio else dose
    return {"adversarial": Adversarial(use="gan/hinge", weight=weight), "twin": "unet", **parts}


@pytest.fixture
def dosed(trained, adversarial, counted):
    """Return the cells of a critic whose own ratio is 0.1, at other ratios too, with a placebo of each."""

    def cells(by_ratio=True):
        for seed in range(3):
            yield counted(trained("unet", seed), SHARES + 0.003 * seed)
            for dose, (gain, placebo) in GAINS.items():
                name = "critic" if dose == 0.1 else f"critic@{dose!r}"
                of = {} if dose == 0.1 else {"dose_of": "critic"}
                arm = adversarial(name, seed, recipe=recipe(dose, by_ratio, **of))
                frozen = recipe(dose, by_ratio, placebo_of=name)
                frozen["adversarial"] = Adversarial(use="gan/hinge", weight={"like": name}, placebo="frozen")
                yield counted(arm, SHARES + gain + 0.004 * seed)
                yield counted(adversarial(f"{name}~frozen", seed, recipe=frozen), SHARES + placebo + 0.002 * seed)

    return cells


@pytest.fixture
def group(dosed, results):
    (found,) = load([results(*dosed())]).groups
    return found


def test_a_method_at_several_doses_is_a_curve_that_its_own_dose_is_part_of(group):
    (curve,) = find_doses(group)
    assert (curve.method, curve.twin, curve.unit) == ("critic", "unet", "ratio")
    assert [(point.dose, point.gain.row.name) for point in curve.points] == [
        (0.03, "critic@0.03"),
        (0.1, "critic"),
        (1.0, "critic@1.0"),
    ]
    assert [point.placebos["frozen"].row.name for point in curve.points] == [
        "critic@0.03~frozen",
        "critic~frozen",
        "critic@1.0~frozen",
    ]
    for point in curve.points:
        assert point.gain in group.comparisons
        assert point.placebos["frozen"] in group.comparisons


def test_all_doses_and_placebos_are_judged_as_one_family(group):
    judged = [one.judgement for one in group.comparisons]
    assert len(judged) == 9  # three doses and three placebos beside the twin, and three doses beside their placebos
    assert min(1 - one.level for one in judged) == pytest.approx(0.05 / 9)


def test_a_ranking_without_doses_has_no_curve(trained, adversarial):
    assert find_doses(rank(trained(), adversarial())) == ()


def test_a_dose_alone_is_no_curve(trained, adversarial):
    alone = adversarial("critic@0.03", recipe=recipe(0.03, dose_of="critic"))
    assert find_doses(rank(trained(), alone)) == ()


def test_the_table_has_each_dose_with_what_its_placebo_gains(group):
    (curve,) = find_doses(group)
    table = dose_table(curve)
    assert table.headers[:2] == ["ratio of\ngradients", "critic - unet"]
    assert table.headers[3] == "frozen placebo - unet"
    assert [row[0] for row in table.rows] == ["0.03", "0.1", "1"]
    for row, point in zip(table.rows, curve.points, strict=True):
        assert row[1].startswith(f"{100 * point.gain.miou.mean:+.2f} [")
        assert row[2] == point.gain.judgement.verdict
        assert row[3].startswith(f"{100 * point.placebos['frozen'].miou.mean:+.2f} [")


def test_the_chart_holds_the_differences_and_intervals_of_the_method_and_its_placebo(group):
    (curve,) = find_doses(group)
    (chart,) = draw_doses(group)
    method, placebo = values(chart)
    assert [method["name"], placebo["name"]] == ["critic - unet", "critic~frozen - unet"]
    assert [method["family"], placebo["family"]] == ["adversarial", "placebo"]
    gains, placebos = zip(*((point.gain, point.placebos["frozen"]) for point in curve.points), strict=True)
    for row, found in ((method, gains), (placebo, placebos)):
        assert row["dose"] == [0.03, 0.1, 1.0]
        assert row["difference"] == pytest.approx([100 * one.miou.mean for one in found], rel=1e-5)
        assert row["low"] == pytest.approx([100 * one.interval.low for one in found], rel=1e-5)
        assert row["high"] == pytest.approx([100 * one.interval.high for one in found], rel=1e-5)
    assert LOOKS in chart.note


def test_doses_that_are_not_judged_have_no_chart(trained, adversarial):
    arms = [adversarial(f"critic@{dose}", recipe=recipe(dose, dose_of="critic")) for dose in (0.1, 0.3)]
    group = rank(trained(), *arms)
    assert len(find_doses(group)) == 1
    assert list(draw_doses(group)) == []


def test_whiskers_stand_side_by_side_over_their_dose(group):
    (chart,) = draw_doses(group)
    drawn = draw(chart)
    points = sorted(item["x"] for item in drawn["symbol"])
    assert len(points) == 6
    assert len(set(points)) == 6
    assert sorted(texts(chart)) == ["critic - unet", "critic~frozen - unet"]
    assert texts(chart, filter="frozen") == ["critic~frozen - unet"]


def test_the_chart_is_in_the_room_of_differences_and_the_table_in_the_full_report(dosed, results):
    report = load([results(*dosed())])
    assert [chart.id for chart in differences(report).charts][:2] == ["differences", "doses"]
    (section,) = lay_out_all(report).sections
    assert "Differences of mIoU in points over the dose of critic" in [table.title for table in section.tables]
    assert LOOKS in section.notes


@pytest.mark.parametrize("by_ratio", [True, False])
def test_doses_are_in_json(dosed, results, by_ratio):
    report = load([results(*dosed(by_ratio))])
    (curve,) = json.loads(to_json(report))["doses"]
    assert (curve["group"], curve["method"], curve["twin"]) == (0, "critic", "unet")
    assert curve["unit"] == ("ratio" if by_ratio else "weight")
    assert [(point["dose"], point["row"]) for point in curve["points"]] == [
        (0.03, "critic@0.03"),
        (0.1, "critic"),
        (1.0, "critic@1.0"),
    ]
    (found,) = find_doses(report.groups[0])
    point = curve["points"][1]
    assert point["gain"]["low"] == pytest.approx(found.points[1].gain.interval.low)
    assert point["placebos"]["frozen"]["miou_difference"]["mean"] == pytest.approx(
        found.points[1].placebos["frozen"].miou.mean
    )


def test_numbers_stay_aligned_as_numbers_where_no_difference_is_judged(trained, adversarial, results):
    other_dose = adversarial("critic@1.0", 0, recipe=recipe(1.0, dose_of="critic"))
    folder = results(trained("unet", 0), adversarial("critic", 0, recipe=recipe(0.1)), other_dose)
    (found,) = load([folder]).groups
    (curve,) = find_doses(found)
    table = dose_table(curve)
    assert "verdict" not in table.headers
    assert table.words == ()
