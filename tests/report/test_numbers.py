from __future__ import annotations

from segbench.report.numbers import percent_with_sd, significant
from segbench.stats.summary import summarize


def test_numbers_keep_three_digits():
    assert [significant(value) for value in (0, 0.00123, 1.5, 99.95, 100, 123456)] == [
        "0",
        "0.00123",
        "1.50",
        "100.0",
        "100",
        "123456",
    ]


def test_percent_of_nothing_is_a_dash():
    assert percent_with_sd(summarize([None])) == "-"
