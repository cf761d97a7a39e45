from __future__ import annotations

from segbench.report import load
from segbench.report.page.naming import name_rankings


def test_one_ranking_needs_no_name(trained, results):
    assert name_rankings(load([results(trained())])) == [""]


def test_rankings_are_named_by_what_tells_them_apart(trained, results):
    half = trained(subset="labels 0.5", recipe={"labels": (0.5, 1.0)})
    folder = results(trained(), half, trained(dataset="voc", fingerprint="0123456789ab"))
    assert name_rankings(load([folder])) == ["camvid · all labels", "camvid · 50 % of the labels", "voc · all labels"]


def test_the_dataset_is_enough_where_it_differs(trained, results):
    folder = results(trained(), trained(dataset="voc", fingerprint="0123456789ab"))
    assert name_rankings(load([folder])) == ["camvid", "voc"]
