from __future__ import annotations

from segbench.report import load
from segbench.report.page.chart_rooms import datasets
from segbench.report.ranking.groups import split_by_benchmark


def test_a_benchmark_with_several_datasets_has_a_room_and_others_have_none(trained, results):
    several = [trained(name, 0, 0.5, dataset=data) for name in ("a", "b") for data in ("cells", "roads", "pets")]
    folder = results(*several, trained("a", 0, 0.5, benchmark="other"))
    rooms = {part.groups[0].data.benchmark: datasets(part) for part in split_by_benchmark(load([folder]))}
    assert rooms["other"] is None
    (table,) = rooms["camvid"].tables
    assert table.headers == ["method", "cells", "pets", "roads", "mean rank"]
    assert "over 3 datasets" in rooms["camvid"].lead
