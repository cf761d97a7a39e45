from __future__ import annotations

import numpy as np
import pytest

from segbench.report import load
from segbench.report.comparison.compare import compare_methods
from segbench.report.page import gains
from segbench.report.page.chart_rooms import gains as gains_room
from segbench.report.page.gains import draw_gains

from .drawing import draw, values

pytestmark = pytest.mark.usefixtures("nothing_printed")
SHARES = np.linspace(0.5, 0.8, 12)


@pytest.fixture
def folder(trained, adversarial, counted, results):
    """A critic that is right in a tenth more of the pixels than its twin, and its placebo; half lie in a band."""

    def cell(record, shares):
        _, counts = counted(record, shares)
        band = counts.confusion // 2
        band += np.where(np.eye(2, dtype=bool), 0, 500 - band.sum(axis=2, keepdims=True))  # 500 pixels of each class
        return counted(record, shares, band=band)

    frozen = {"placebo_of": "unet+critic"}
    return results(
        *(cell(trained("unet", seed), SHARES + 0.002 * seed) for seed in range(3)),
        *(cell(adversarial("unet+critic", seed), SHARES + 0.1 + 0.003 * seed) for seed in range(3)),
        *(cell(adversarial("unet+critic~frozen", seed, recipe=frozen), SHARES + 0.004 * seed) for seed in range(3)),
    )


def test_claims_are_looked_into_and_placebos_are_not(folder):
    report = load([folder])
    parts, classes = draw_gains(report, report.groups[0])
    assert [row["name"] for row in values(parts)] == [row["name"] for row in values(classes)] == ["unet+critic - unet"]
    assert len(draw(parts)["symbol"]) == len(draw(classes)["symbol"]) == 2


def test_what_the_parts_add_is_the_difference(folder):
    report = load([folder])
    (parts, _), (one, *_) = draw_gains(report, report.groups[0]), report.groups[0].comparisons
    (row,) = values(parts)
    assert row["part"] == ["boundary bands", "interiors"]
    assert sum(row["difference"]) == pytest.approx(100 * one.judgement.difference.estimate, abs=1e-3)


def test_numbers_are_those_of_compare(folder):
    report = load([folder])
    parts, classes = draw_gains(report, report.groups[0])
    (compared,) = compare_methods([folder], ("unet+critic", "unet")).found
    for chart, found in ((parts, [one.adds for one in compared.gains.parts]), (classes, None)):
        (row,) = values(chart)
        known = found or sorted((one.difference for one in compared.gains.classes), key=lambda one: -one.estimate)
        assert row["difference"] == pytest.approx([100 * one.estimate for one in known], rel=1e-4)
        assert row["low"] == pytest.approx([100 * one.interval().low for one in known], rel=1e-4)
    assert classes.table.rows[0][-1].startswith("+")


def test_of_many_classes_the_largest_gains_and_losses_are_drawn(folder, monkeypatch):
    monkeypatch.setattr(gains, "MOST_CLASSES", 0)
    report = load([folder])
    _, classes = draw_gains(report, report.groups[0])
    assert values(classes)[0]["part"] == []
    assert len(classes.table.rows) == 2
    assert "largest gains and losses" in classes.note


def test_what_takes_too_long_is_left_to_compare(folder, monkeypatch):
    monkeypatch.setattr(gains, "_MOST_COUNTS", 10)
    room = gains_room(load([folder]))
    assert room.charts == ()
    assert room.notes == ("unet+critic - unet: `segbench compare unet+critic unet` says where it lies.",)


def test_at_least_one_claim_of_each_ranking_is_looked_into(folder, monkeypatch):
    report = load([folder])
    monkeypatch.setattr(gains, "MOST_CLAIMS", 0)
    assert len(draw_gains(report, report.groups[0])) == 2


def test_without_claims_and_without_counts_there_is_no_room(trained, adversarial, results):
    assert gains_room(load([results(trained())])) is None
    assert gains_room(load([results(trained(), adversarial())])) is None


def test_a_claim_whose_counts_have_gone_is_left_out(folder):
    report = load([folder])
    for path in folder.rglob("counts.parquet"):
        path.unlink()
    assert draw_gains(report, report.groups[0]) == []
