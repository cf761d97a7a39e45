"""Rows of rankings beside published values: inside the band around them, outside, or not comparable and why.

A value is compared only under its own conditions. A gain is a difference within one source, so it is compared whatever
the recipe is (network, size of images, pretraining): data, labels and metric must be the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from segbench.report import cell_spec
from segbench.report.build import build_report
from segbench.report.formats.layout import Document, Section
from segbench.report.numbers import MISSING, Column, build_table
from segbench.report.ranking.pairs import find_pair
from segbench.report.ranking.pooling import pool_folds
from segbench.report.records import read_sources
from segbench.shown import write_json
from segbench.stats.summary import Interval

from .published import PUBLISHED, read_published
from .rankings import narrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from segbench.report.numbers import Table
    from segbench.report.ranking.groups import Data, Group
    from segbench.report.ranking.rows import Row
    from segbench.stats.verdict import Verdict
    from segbench.store.record import Record

    from .published import Conditions, Gain, PublishedTable, Value

    Standing = Literal["inside", "outside", "not comparable"]


METRIC = "miou"
# Parts of a recipe that no plain supervised method has.
BEYOND_SUPERVISED = ("discriminator", "unlabelled", "refines", "trains_on")
# Tags of weights of ImageNet's 1000 classes; in12k, in21k and in22k are of more.
_IMAGENET = re.compile("(?!.*in(12|21|22)k).*(imagenet|in1k)", re.IGNORECASE)


class Finding(NamedTuple):
    """A published value, or gain of one method over another, beside that of a row, or of a pair of rows; in points.

    `why` says in what the conditions differ so that both cannot be compared, `recipe` in what they differ beside that.
    `verdict` is that on a pair among all pairs of its ranking, None for a value.
    """

    table: PublishedTable
    methods: tuple[str, ...]
    rows: tuple[str, ...]
    published: float
    band: float
    measured: float
    interval: Interval | None
    why: tuple[str, ...]
    recipe: tuple[str, ...] = ()
    verdict: Verdict | None = None

    @property
    def standing(self) -> Standing:
        """Whether the measured value lies in the band around the published one."""
        if self.why:
            return "not comparable"
        return "inside" if abs(self.measured - self.published) <= self.band else "outside"

    @property
    def order(self) -> str:
        """Whether the rows of a pair are in the published order."""
        signs = {"better": 1, "worse": -1}
        if self.verdict not in signs:
            return self.verdict or "undecided"
        return "the same" if signs[self.verdict] * self.published > 0 else "the opposite"


class RankingFindings(NamedTuple):
    """What was published of the methods of a ranking: values and gains."""

    data: Data
    values: tuple[Finding, ...]
    gains: tuple[Finding, ...]


@dataclass(frozen=True)
class AgainstPublished:
    """What was published of the methods in some folders, by ranking; the file that says so, and what else is in it."""

    rankings: tuple[RankingFindings, ...]
    file: Path
    tables: tuple[PublishedTable, ...]
    folders: tuple[Path, ...]

    @property
    def findings(self) -> list[Finding]:
        """All findings."""
        return [found for ranking in self.rankings for found in (*ranking.values, *ranking.gains)]

    @property
    def unmatched(self) -> list[tuple[str, str]]:
        """The tables and methods of published values of which no record has the method."""
        values = (found for ranking in self.rankings for found in ranking.values)
        matched = {(found.table.name, *found.methods) for found in values}
        return [
            (table.name, method)
            for table in self.tables
            for method in table.values
            if (table.name, method) not in matched
        ]


def compare_with_published(
    directories: Sequence[Path],
    file: Path = PUBLISHED,
    *,
    benchmark: str | None = None,
    dataset: str | None = None,
    subset: str | None = None,
) -> AgainstPublished:
    """Compare the records in some folders with published values.

    Raises SpecError for a file that is not as it should be, RecordError if there are no records.
    """
    tables = read_published(file)
    report = build_report(narrow(pool_folds(read_sources(directories, benchmark)), dataset, subset))
    rankings = tuple(_find_in(group, tables) for group in report.groups)
    return AgainstPublished(tuple(one for one in rankings if one.values or one.gains), file, tables, report.folders)


def _find_in(group: Group, tables: Sequence[PublishedTable]) -> RankingFindings:
    rows = [row for row in group.rows if row.score(METRIC).n and not row.placebo_of and not row.dose_of]
    return RankingFindings(
        group.data,
        tuple(found for table in tables for found in _find_values(table, group, rows)),
        tuple(found for table in tables for gain in table.gains for found in _find_gains(table, gain, group, rows)),
    )


def _find_values(table: PublishedTable, group: Group, rows: Sequence[Row]) -> Iterator[Finding]:
    for method, value in table.values.items():
        for row in rows:
            if _is_of(value, row):
                yield Finding(
                    table=table,
                    methods=(method,),
                    rows=(row.name,),
                    published=value.value,
                    band=table.conditions.band,
                    measured=100 * _mean(row),
                    interval=_in_points(row.statistics.interval),
                    why=_compare_dataset(table.conditions, group.data, row)
                    or (
                        *_compare_data(table.conditions, value, group.data, row),
                        *_compare_recipe(table.conditions, value, row),
                    ),
                )


def _find_gains(table: PublishedTable, gain: Gain, group: Group, rows: Sequence[Row]) -> Iterator[Finding]:
    value = table.values[gain.of]
    for row in rows:
        if not _is_of(value, row):
            continue
        why = _compare_data(table.conditions, value, group.data, row)
        for other in _opponents(table, gain, row, rows):
            pair = find_pair(group.pairs, row.name, other.name)
            seen = pair.seen_from(row.name) if pair else None
            yield Finding(
                table=table,
                methods=(gain.of, gain.over),
                rows=(row.name, other.name),
                published=table.size_of(gain),
                band=gain.band,
                measured=100 * (seen.estimate if seen else _mean(row) - _mean(other)),
                interval=_in_points(seen.interval if seen else None),
                why=why,
                recipe=() if why else _compare_recipe(table.conditions, value, row),
                verdict=seen.verdict if seen else None,
            )


def _is_of(value: Value, row: Row) -> bool:
    """Tell whether a published value is of the method of a row, whatever the conditions."""
    uses = cell_spec.uses(row.records[0])
    if value.adversarial:
        return set(value.adversarial) <= set(uses.values())
    return uses.get("generator") in value.generator and _is_supervised(row)


def _is_supervised(row: Row) -> bool:
    return not any(cell_spec.sets(row.records[0], key) for key in BEYOND_SUPERVISED)


def _opponents(table: PublishedTable, gain: Gain, row: Row, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that the gain of a row is over: its supervised twin, or else those of the published method."""
    value = table.values[gain.over]
    if table.values[gain.of].adversarial and not value.adversarial:
        return [other for other in rows if other.method == row.twin and _is_supervised(other)]
    return [other for other in rows if _is_of(value, other) and other.name != row.name]


def _compare_dataset(conditions: Conditions, data: Data, row: Row) -> tuple[str, ...]:
    used = cell_spec.dataset_use(row.records[0])
    return () if conditions.dataset in (used, data.dataset) else (f"dataset: {conditions.dataset}, here {used}",)


def _compare_data(conditions: Conditions, value: Value, data: Data, row: Row) -> tuple[str, ...]:
    labels = None if row.label_fraction is None else f"{100 * row.label_fraction:.3g} %"
    compared = (
        ("split", conditions.split, data.folds or data.split),
        ("classes", str(conditions.classes), str(len(row.classes)) if row.classes else None),
        ("labels", f"{100 * value.labels:.3g} %", labels),
        ("metric", conditions.metric, re.sub("@[0-9]+", "", row.definitions.get(METRIC, ""))),
    )
    return _compare_dataset(conditions, data, row) or tuple(_differences(compared))


def _compare_recipe(conditions: Conditions, value: Value, row: Row) -> tuple[str, ...]:
    record = row.records[0]
    generator = cell_spec.uses(record).get("generator")
    compared = (
        ("network", generator if generator in value.generator else " or ".join(value.generator), generator),
        ("size", _size_text(conditions.size), _size_text(cell_spec.network_size(record))),
        ("trained on", conditions.trained_on, "the other folds" if cell_spec.folds_text(record) else "train"),
        ("pretraining", conditions.pretrained, _pretraining(record)),
    )
    return tuple(_differences(compared))


def _differences(compared: Iterable[tuple[str, str | None, str | None]]) -> Iterator[str]:
    """Say what is not the same in a source and here, or not known of one of them."""
    for what, theirs, ours in compared:
        if not theirs or theirs != ours:
            yield f"{what}: {theirs or 'not stated'}, here {ours or 'not recorded'}"


def _pretraining(record: Record) -> str:
    """Return "none", "ImageNet", or the name of the weights that the network started from."""
    if cell_spec.sets(record, "start_from"):
        return "that of another method"
    weights = record.provenance.get("weights", "other weights") if record.provenance else "none"
    return "ImageNet" if _IMAGENET.match(weights) else weights


def _size_text(size: tuple[int, int] | None) -> str | None:
    return f"{size[0]}×{size[1]}" if size else None


def _mean(row: Row) -> float:
    mean = row.score(METRIC).mean
    assert mean is not None, "only rows that are scored are compared"
    return mean


def _in_points(interval: Interval | None) -> Interval | None:
    return Interval(100 * interval.low, 100 * interval.high) if interval else None


EXPLANATION = (
    "Values in percent, gains in points of mIoU. A value is inside if the mean over seeds lies in the band around the "
    "published one. It is compared only under the same conditions, since recipes differ by more than methods do. A "
    "gain is compared under any recipe; its interval and order are those among all pairs of the ranking."
)


def lay_out_published(found: AgainstPublished) -> Document:
    """Lay out the published values and gains of each ranking, the sources, and how many values are of other methods."""
    listed, unmatched = sum(len(table.values) for table in found.tables), len(found.unmatched)
    closing = [
        EXPLANATION,
        f"{unmatched} of the {listed} published values are of methods that no record here has.",
        *_describe_sources(found),
        f"Published values: {found.file}",
        f"Records: {', '.join(map(str, found.folders))}",
    ]
    return Document(tuple(map(_ranking, found.rankings)), (), tuple(closing))


def published_to_json(found: AgainstPublished) -> str:
    """Return `{"schema": 1, "published": FILE, "rankings": [...], "not_recorded": [...], "records": [...]}`.

    Values, gains, bands and intervals are in points. Of each ranking: `benchmark`, `dataset`, `fingerprint`, `subset`,
    `split`, `values` and `gains`. Of each value and gain: `table`, `source`, `url`, `published` and `here` (names, of a
    gain two), `value`, `band`, `measured`, `interval`, `standing` ("inside", "outside", "not comparable"), `why`; of a
    gain also `differs` (in what recipes do, though they are compared) and `order` ("the same", "the opposite",
    "equivalent", "undecided").
    """
    content = {
        "published": str(found.file),
        "rankings": list(map(_ranking_data, found.rankings)),
        "not_recorded": [{"table": table, "method": method} for table, method in found.unmatched],
        "records": list(map(str, found.folders)),
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
        Column("here", lambda found: ", ".join(found.rows), is_words=True),
        Column("mIoU", _measured_value),
        Column("standing", lambda found: found.standing, is_words=True),
        Column("differs in", _differs, is_words=True),
    ]
    return build_table(columns, _join_alike(findings), "Published values", "published values")


def _gains(findings: tuple[Finding, ...]) -> Table:
    columns: list[Column[Finding]] = [
        Column("published", _published),
        Column("gain", lambda found: f"{found.published:+.2f} ± {found.band:g}"),
        Column("here", lambda found: " - ".join(found.rows), is_words=True),
        Column("gain", lambda found: f"{found.measured:+.2f}{_interval(found.interval, '+.2f')}"),
        Column("order", lambda found: MISSING if found.why else found.order, is_words=True),
        Column("standing", lambda found: found.standing, is_words=True),
        Column("differs in", _differs, is_words=True),
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


def _describe_sources(found: AgainstPublished) -> Iterable[str]:
    used = {one.table.name for one in found.findings}
    for table in found.tables:
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
