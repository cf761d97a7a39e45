"""What a share of the labels, or a dose of the adversarial loss, comes to: curves over either as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.numbers import MISSING, Column, Table, build_table, drop_empty, percent_with_interval, significant

from .tables import ONE_SEED, difference_text, verdict_text, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from segbench.report.ranking.doses import DoseCurve, DosePoint
    from segbench.report.ranking.label_efficiency import Curve, Efficiency
    from segbench.stats.label_efficiency import ExchangeRate


def efficiency_tables(efficiency: Efficiency) -> list[Table]:
    """Return the curves over the share of the labels, and where there are twins what labels are worth."""
    method: Column[Curve] = Column("method", lambda curve: curve.method)
    twin: Column[Curve] = Column("twin", lambda curve: curve.twin or MISSING)
    scores = [Column(_share(fraction), _curve_score(fraction)) for fraction in efficiency.fractions]
    curves = build_table([method, *scores], efficiency.curves, "mIoU [%] with a share of the labels")
    exchanged = [curve for curve in efficiency.curves if curve.exchanges]
    if not exchanged:
        return [curves]
    rates = [Column(_share(fraction), _rate(fraction)) for fraction in efficiency.fractions]
    return [curves, build_table([method, twin, *rates], exchanged, "What the labels are worth, in labels of the twin")]


def explain_missing_rates(efficiency: Efficiency) -> Iterable[str]:
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


def _share(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _curve_score(fraction: float) -> Callable[[Curve], str]:
    def cell(curve: Curve) -> str:
        row = curve.rows.get(fraction)
        mean = row.score("miou").mean if row else None
        if row is None or mean is None:
            return MISSING
        return percent_with_interval(mean, row.statistics.interval) + (ONE_SEED if len(row.seeds) == 1 else "")

    return cell


def _rate(fraction: float) -> Callable[[Curve], str]:
    def cell(curve: Curve) -> str:
        exchange = curve.exchange(fraction)
        if exchange is None or exchange.rate is None:
            return MISSING
        return rate_text(exchange.rate) + (ONE_SEED if len(exchange.seeds) == 1 else "")

    return cell


# What several doses mean for the intervals, said beside the table and the chart.
LOOKS = (
    "Each dose is another look at one claim: intervals and verdicts are adjusted (Holm) together with those of all "
    "other differences of the ranking, so a verdict on the best dose holds. Its difference is still that of the best "
    "of several, which is likely too large."
)


def dose_table(curve: DoseCurve) -> Table:
    """Return the differences of a method at each dose, and of its placebos at the same dose, to their twin."""
    columns: list[Column[DosePoint]] = [
        Column("weight" if curve.unit == "weight" else "ratio of\ngradients", lambda point: f"{point.dose:g}"),
        Column(f"{curve.method} - {curve.twin}", lambda point: difference_text(point.gain)),
        Column("verdict", lambda point: verdict_text(point.gain), is_words=True),
        *(Column(f"{kind} placebo - {curve.twin}", _placebo(kind)) for kind in curve.placebos),
        Column("gradient ratio\nmeasured", lambda point: significant(point.gain.row.health("ratio").mean)),
        Column("health", lambda point: verdicts(point.gain.row)),
    ]
    title = f"Differences of mIoU in points over the dose of {curve.method}"
    found = build_table(drop_empty(columns, curve.points), curve.points, title, f"doses {curve.method}")
    return found._replace(words=found.words[1:])  # the first column holds numbers


def _placebo(kind: str) -> Callable[[DosePoint], str]:
    return lambda point: difference_text(point.placebos[kind]) if kind in point.placebos else MISSING
