"""The tables of label efficiency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .numbers import MISSING, percent_interval, significant
from .table import Column, Table, table
from .tables import ONE_SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from segbench.stats.label_efficiency import ExchangeRate

    from .label_efficiency import Curve, Efficiency, Exchange


def efficiency_tables(efficiency: Efficiency) -> list[Table]:
    """Return the curves, and where there are twins what labels are worth."""
    columns = [_METHOD, *(Column(_share(fraction), _score(fraction)) for fraction in efficiency.fractions)]
    curves = table(columns, efficiency.curves, "mIoU [%] with a share of the labels")
    exchanged = [curve for curve in efficiency.curves if curve.exchanges]
    if not exchanged:
        return [curves]
    worth = [_METHOD, _TWIN, *(Column(_share(fraction), _rate(fraction)) for fraction in efficiency.fractions)]
    return [curves, table(worth, exchanged, "What the labels are worth, in labels of the twin")]


def efficiency_footnotes(efficiency: Efficiency) -> Iterable[str]:
    """Say which exchange rates are missing, and why."""
    for curve in efficiency.curves:
        reasons = dict.fromkeys(exchange.missing for exchange in curve.exchanges if exchange.missing)
        for reason in reasons:
            yield f"{curve.method}: no exchange rate: {reason}."


def rate_text(rate: ExchangeRate) -> str:
    """Return an exchange rate with its interval; an end that is a bound only has a sign before it.

    >>> from segbench.stats.label_efficiency import ExchangeRate
    >>> rate_text(ExchangeRate(1.3, "within", 1.1, None, 0.5, 4.0))
    '×1.30 [1.10, >4.00]'
    >>> rate_text(ExchangeRate(None, "above", 4.0, None, 0.5, 4.0))
    '>×4.00 [4.00, >4.00]'
    """
    bounds = {"above": f">×{significant(rate.most)}", "below": f"<×{significant(rate.least)}"}
    estimate = bounds.get(rate.side, f"×{significant(rate.estimate)}")
    low = f"<{significant(rate.least)}" if rate.low is None else significant(rate.low)
    high = f">{significant(rate.most)}" if rate.high is None else significant(rate.high)
    return f"{estimate} [{low}, {high}]"


_METHOD: Column[Curve] = Column("method", lambda curve: curve.method)
_TWIN: Column[Curve] = Column("twin", lambda curve: curve.twin or MISSING)


def _share(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _score(fraction: float) -> Callable[[Curve], str]:
    def cell(curve: Curve) -> str:
        row = curve.rows.get(fraction)
        mean = row.score("miou").mean if row else None
        if row is None or mean is None:
            return MISSING
        interval = f" {percent_interval(row.standing.interval)}" if row.standing.interval else ""
        return f"{100 * mean:.2f}{interval}{_mark(len(row.seeds))}"

    return cell


def _rate(fraction: float) -> Callable[[Curve], str]:
    def cell(curve: Curve) -> str:
        exchange = curve.exchange(fraction)
        return _exchange(exchange) if exchange else MISSING

    return cell


def _exchange(exchange: Exchange) -> str:
    return MISSING if exchange.rate is None else rate_text(exchange.rate) + _mark(len(exchange.seeds))


def _mark(seeds: int) -> str:
    return ONE_SEED if seeds == 1 else ""
