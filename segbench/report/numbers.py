"""Numbers as a reader wants them; a missing one is a dash."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segbench.stats.summary import Summary

MISSING = "-"


def percent(summary: Summary) -> str:
    """Return mean ± sample standard deviation in percent.

    >>> from segbench.stats.summary import summarize
    >>> percent(summarize([0.5, 0.52])), percent(summarize([0.5])), percent(summarize([]))
    ('51.00 ± 1.41', '50.00 ± -', '-')
    """
    if summary.mean is None:
        return MISSING
    return f"{100 * summary.mean:.2f} ± {MISSING if summary.sd is None else f'{100 * summary.sd:.2f}'}"


def points(summary: Summary) -> str:
    """Return a mean difference ± sample standard deviation in percentage points, with its sign.

    >>> from segbench.stats.summary import summarize
    >>> points(summarize([0.25, 0.75])), points(summarize([-0.5])), points(summarize([]))
    ('+50.00 ± 35.36', '-50.00 ± -', '-')
    """
    return MISSING if summary.mean is None else f"{'' if summary.mean < 0 else '+'}{percent(summary)}"


def spread(summary: Summary) -> str:
    """Return mean ± sample standard deviation, three significant digits each.

    >>> from segbench.stats.summary import summarize
    >>> spread(summarize([0.01, 0.03])), spread(summarize([2.0])), spread(summarize([]))
    ('0.0200 ± 0.0141', '2.00 ± -', '-')
    """
    return MISSING if summary.mean is None else f"{significant(summary.mean)} ± {significant(summary.sd)}"


def significant(value: float | None, scale: float = 1.0) -> str:
    """Return value / scale with at least three significant digits, never an exponent.

    >>> significant(1234.5), significant(12.345), significant(0.0123), significant(None), significant(3e9, 1e9)
    ('1234', '12.3', '0.0123', '-', '3.00')
    """
    if value is None:
        return MISSING
    scaled = value / scale
    decimals = 0
    while decimals < 8 and 0 < abs(scaled) < 100 / 10**decimals:
        decimals += 1
    return f"{scaled:.{decimals}f}"
