from __future__ import annotations

import numpy as np
import pytest

from segbench.report import load
from segbench.report.comparison.compare import compare_methods
from segbench.report.comparison.text import lay_out_comparisons
from segbench.report.formats.layout import explain_pairs
from segbench.report.formats.terminal import to_terminal
from segbench.report.ranking.pairs import find_pair
from segbench.stats.verdict import decide, holm_levels

IMAGES = 20
# Each method is better than the next by some points with three seeds whose differences vary: alone, some pairs differ.
MEANS = {"a": 0.80, "b": 0.77, "c": 0.74, "d": 0.71, "e": 0.60}


@pytest.fixture
def folder(trained, counted, results):
    noise = np.random.default_rng(3).normal(0, 0.012, size=(len(MEANS), 3, 1))
    return results(
        *(
            counted(trained(name, seed), np.full(IMAGES, mean) + noise[place, seed])
            for place, (name, mean) in enumerate(MEANS.items())
            for seed in range(3)
        )
    )


def test_all_pairs_are_judged_as_one_family_and_each_alone_at_95_percent(folder):
    (group,) = load([folder]).groups
    found = {(pair.one, pair.other): pair for pair in group.pairs}
    assert len(found) == 10
    levels = holm_levels({names: pair.among_all.difference.p for names, pair in found.items()})
    for names, pair in found.items():
        assert pair.among_all.level == pytest.approx(levels[names])
        assert pair.alone == decide({0: pair.among_all.difference})[0]
        assert pair.alone.level == 0.95


def test_tiers_follow_from_the_verdicts_among_all(folder):
    (group,) = load([folder]).groups
    rows = {row.name: row.statistics.tier for row in group.rows}
    for name in list(rows)[1:]:
        verdict = find_pair(group.pairs, "a", name).among_all.verdict
        assert (rows[name] > 1) >= (verdict == "better")


def test_a_pair_that_differs_alone_only_is_told_in_the_report_and_in_compare(folder):
    (group,) = load([folder]).groups
    alone_only = [pair for pair in group.pairs if pair.differs_alone_only]
    assert alone_only
    for pair in alone_only:
        assert (pair.alone.verdict, pair.among_all.verdict) == ("better", "undecided")
    (said,) = explain_pairs(group)
    assert said.startswith(f"{len(alone_only)} of 10 pairs differ")
    one, other = alone_only[0].one, alone_only[0].other
    low, high = (100 * end for end in alone_only[0].among_all.interval)
    text = " ".join(to_terminal(lay_out_comparisons(compare_methods([folder], (other, one)))).split())
    assert f"{other} is worse than {one} by" in text
    assert "Among all 10 pairs of its ranking, as in the tiers of `segbench report`, it is undecided: " in text
    assert f"[{-high:+.2f}, {-low:+.2f}] points." in text


def test_where_a_ranking_has_many_cells_compare_names_the_command_that_judges_all(folder, monkeypatch):
    monkeypatch.setattr("segbench.report.comparison.compare.MOST_CELLS", 14)
    text = " ".join(to_terminal(lay_out_comparisons(compare_methods([folder], ("a", "b")))).split())
    assert "as in the tiers of `segbench report`, it may be another: see `segbench report --pairs`." in text


def test_two_methods_are_one_pair_of_which_nothing_else_is_said(trained, counted, results):
    cells = (counted(trained(name, seed), [0.5 + 0.1 * seed] * 4) for name in ("a", "b") for seed in range(2))
    assert "Among all" not in to_terminal(lay_out_comparisons(compare_methods([results(*cells)], ("a", "b"))))


def test_one_seed_makes_no_pairs(trained, counted, results):
    (group,) = load([results(*(counted(trained(name), [0.5, 0.6, 0.7]) for name in ("a", "b")))]).groups
    assert group.pairs == ()
