"""Rows of rankings beside published values, as a document and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.formats.layout import Document, Section
from segbench.report.numbers import MISSING, Column, build_table
from segbench.shown import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.report.numbers import Table
    from segbench.stats.summary import Interval

    from .bands import Bands, Finding, RankingFindings


EXPLANATION = (
    "Values in percent, gains in points of mIoU. A value is inside if the mean over seeds lies in the band around the "
    "published one. It is compared only under the same conditions, since recipes differ by more than methods do. A "
    "gain is compared under any recipe; its interval and order are those among all pairs of the ranking."
)


def lay_out_bands(bands: Bands) -> Document:
    """Lay out the published values and gains of each ranking, the sources, and how many values are of other methods."""
    listed, unmatched = sum(len(table.values) for table in bands.tables), len(bands.unmatched)
    closing = [
        EXPLANATION,
        f"{unmatched} of the {listed} published values are of methods that no record here has.",
        *_describe_sources(bands),
        f"Published values: {bands.file}",
        f"Records: {', '.join(map(str, bands.folders))}",
    ]
    return Document(tuple(map(_ranking, bands.rankings)), (), tuple(closing))


def bands_to_json(bands: Bands) -> str:
    """Return `{"schema": 1, "published": FILE, "rankings": [...], "not_recorded": [...], "records": [...]}`.

    Values, gains, bands and intervals are in points. Of each ranking: `benchmark`, `dataset`, `fingerprint`, `subset`,
    `split`, `values` and `gains`. Of each value and gain: `table`, `source`, `url`, `published` and `here` (names, of a
    gain two), `value`, `band`, `measured`, `interval`, `standing` ("inside", "outside", "not comparable"), `why`; of a
    gain also `differs` (in what recipes do, though they are compared) and `order` ("the same", "the opposite",
    "equivalent", "undecided").
    """
    content = {
        "published": str(bands.file),
        "rankings": list(map(_ranking_data, bands.rankings)),
        "not_recorded": [{"table": table, "method": method} for table, method in bands.unmatched],
        "records": list(map(str, bands.folders)),
    }
    return write_json(content)


def _ranking(ranking: RankingFindings) -> Section:
    return Section(
        title=f"{ranking.data.benchmark} / {ranking.data.dataset}",
        conditions=(ranking.data.heading,),
        tables=tuple(table for table in (_values(ranking.values), _gains(ranking.gains)) if table.rows),
        notes=(),
        name=f"{ranking.data.benchmark} {ranking.data.dataset}",
    )


def _values(findings: tuple[Finding, ...]) -> Table:
    columns: list[Column[Finding]] = [
        Column("published", _published),
        Column("mIoU", lambda found: f"{found.published:.2f} ± {found.band:g}"),
        Column("here", lambda found: ", ".join(found.rows), True),
        Column("mIoU", _measured_value),
        Column("standing", lambda found: found.standing, True),
        Column("differs in", _differs, True),
    ]
    return build_table(columns, _join_alike(findings), "Published values", "published values")


def _gains(findings: tuple[Finding, ...]) -> Table:
    columns: list[Column[Finding]] = [
        Column("published", _published),
        Column("gain", lambda found: f"{found.published:+.2f} ± {found.band:g}"),
        Column("here", lambda found: " - ".join(found.rows), True),
        Column("gain", lambda found: f"{found.measured:+.2f}{_interval(found.interval, '+.2f')}"),
        Column("order", lambda found: MISSING if found.why else found.order, True),
        Column("standing", lambda found: found.standing, True),
        Column("differs in", _differs, True),
    ]
    return build_table(columns, findings, "Published gains", "published gains")


def _join_alike(findings: Iterable[Finding]) -> list[Finding]:
    """Join the rows with which a value cannot be compared for the same reasons."""
    lines: dict[tuple[object, ...], Finding] = {}
    for found in findings:
        key = found.table.name, found.methods, found.why or found.rows
        lines[key] = found._replace(rows=(*lines[key].rows, *found.rows)) if key in lines else found
    return list(lines.values())


def _measured_value(found: Finding) -> str:
    if len(found.rows) > 1:
        return MISSING
    return f"{found.measured:.2f}{_interval(found.interval, '.2f')}"


def _published(found: Finding) -> str:
    return f"{' - '.join(found.methods)} ({found.table.name})"


def _interval(interval: Interval | None, form: str) -> str:
    return f" [{interval.low:{form}}, {interval.high:{form}}]" if interval else ""


def _differs(found: Finding) -> str:
    return "; ".join((*found.why, *found.recipe)) or MISSING


def _describe_sources(bands: Bands) -> Iterable[str]:
    used = {found.table.name for found in bands.findings}
    for table in bands.tables:
        if table.name in used:
            conditions = table.conditions
            yield "; ".join([f"{table.name}: {conditions.source}, {conditions.url}", *filter(None, [conditions.note])])


def _ranking_data(ranking: RankingFindings) -> dict[str, Any]:
    names = ("benchmark", "dataset", "fingerprint", "subset", "split")
    return {
        **{name: getattr(ranking.data, name) for name in names},
        "values": list(map(_value_data, ranking.values)),
        "gains": [{**_value_data(found), "differs": found.recipe, "order": found.order} for found in ranking.gains],
    }


def _value_data(found: Finding) -> dict[str, Any]:
    return {
        "table": found.table.name,
        "source": found.table.conditions.source,
        "url": found.table.conditions.url,
        "published": found.methods,
        "here": found.rows,
        "value": round(found.published, 4),
        "band": found.band,
        "measured": found.measured,
        "interval": found.interval,
        "standing": found.standing,
        "why": found.why,
    }
