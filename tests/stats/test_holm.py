from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.stats.holm import holm_levels

families = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(lambda found: dict(enumerate(found)))


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.03], [0.05]),
        # From the smallest on: 0.005 <= 0.05/4, 0.01 <= 0.05/3, 0.03 > 0.05/2, and 0.04 stays there.
        ([0.01, 0.04, 0.03, 0.005], [0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4]),
        # 0.04 would pass 0.05 alone, but 0.03 stopped the steps before.
        ([0.03, 0.04], [0.05 / 2, 0.05 / 2]),
        ([0.02, 0.04], [0.05 / 2, 0.05]),
        ([1.0, 1.0, 1.0], [0.05 / 3, 0.05 / 3, 0.05 / 3]),
    ],
)
def test_hand_worked_families(p, expected):
    assert [1 - found for found in holm_levels(dict(enumerate(p))).values()] == pytest.approx(expected)


def holm_rejects(p, alpha):
    """Return what Holm rejects, by his adjusted p values: the running maximum of (m - k) p over the sorted p."""
    rejected, worst = {}, 0.0
    for k, name in enumerate(sorted(p, key=lambda name: p[name])):
        worst = max(worst, (len(p) - k) * p[name])
        rejected[name] = worst <= alpha
    return rejected


@given(families)
def test_a_level_is_passed_exactly_where_holm_rejects(p):
    levels = holm_levels(p, 0.9)
    near = any(abs(p[name] - (1 - level)) < 1e-9 for name, level in levels.items())
    assert near or {name: p[name] <= 1 - level for name, level in levels.items()} == holm_rejects(p, 0.1)


@given(families, st.randoms())
def test_the_order_of_the_family_changes_nothing(p, random):
    names = list(p)
    random.shuffle(names)
    assert holm_levels({name: p[name] for name in names}) == holm_levels(p)


@given(families)
def test_no_level_is_laxer_than_that_of_one_comparison_or_stricter_than_bonferroni(p):
    assert all(0.95 - 1e-12 <= level <= 1 - 0.05 / len(p) + 1e-12 for level in holm_levels(p).values())
