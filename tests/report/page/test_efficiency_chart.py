from __future__ import annotations

import numpy as np
import pytest

from segbench.report import load
from segbench.report.page.efficiency_chart import draw_efficiency

from .drawing import draw, texts, values

pytestmark = pytest.mark.usefixtures("nothing_printed")


def test_the_curve_holds_the_scores_of_each_share_of_the_labels(trained, counted, results):
    shares = np.linspace(0.5, 0.8, 12)
    labels = {"recipe": {"labels": (0.25, 1.0)}}
    cells = [
        counted(trained("unet", seed, subset=subset, **labels), shares + 0.01 * seed + more)
        for seed in range(2)
        for subset, more in (("labels 0.25", 0.0), ("all", 0.1))
    ]
    report = load([results(*cells)])
    (efficiency,) = report.efficiencies
    chart = draw_efficiency(efficiency)
    (row,) = values(chart)
    assert row["share"] == [25, 100]
    means = [100 * found.score("miou").mean for found in efficiency.curves[0].rows.values()]
    assert row["miou"] == pytest.approx(means, rel=1e-5)
    assert row["low"][0] < row["miou"][0] < row["high"][0]
    assert len(draw(chart)["symbol"]) == 2
    assert texts(chart) == ["unet"]
    assert chart.table.rows[0][0] == "unet"
