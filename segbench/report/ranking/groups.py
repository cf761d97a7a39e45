"""Rankings: groups of rows that may be compared with each other, and the report that holds them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from segbench.report import cell_spec
from segbench.report.conditions import read_conditions
from segbench.report.folds import folds_of
from segbench.report.numbers import plural
from segbench.report.records import identity
from segbench.stats.definitions import RESIZED

from .differences import compare_rows, pair_rows, pairs_by_name
from .intervals import NO_EVIDENCE, draw_ranking, measure_rows
from .pairs import judge_ranking
from .rows import NO_STATISTICS, Row
from .sorting import find_places, label_rows, sort_into_rows
from .trade_off import find_beaten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from segbench.report.conditions import Conditions, Scoring
    from segbench.report.records import Identity, IncompleteSeed, Sources
    from segbench.store.folder import RecordProblem
    from segbench.store.record import Record

    from .across_datasets import AcrossDatasets
    from .differences import Comparison
    from .intervals import CellEvidence, RankingDraws
    from .label_efficiency import Efficiency
    from .pairs import RankedPair
    from .people import HumanRanking
    from .sorting import RowRecords


Member = TypeVar("Member")
# The prefix of the names of scores among the values that a ranking shares.
_SCORES = "scores."


class Data(NamedTuple):
    """What was scored; scores of different data are never compared. `folds` tells how it is cross-validated."""

    benchmark: str
    dataset: str
    fingerprint: str | None
    subset: str
    split: str | None
    images: int | None
    folds: str = ""

    @property
    def scored_on(self) -> str:
        """The split, or the folds, and the number of images."""
        return f"{self.folds or self.split or 'unknown split'}, {plural(self.images, 'image')}"

    @property
    def heading(self) -> str:
        """The data in one line."""
        parts = [self.scored_on]
        if self.subset != "all":
            parts.append(f"trained on {cell_spec.subset_text(self.subset)}")
        parts.append(f"data {self.fingerprint[:12]}" if self.fingerprint else "data not identified")
        return " · ".join(parts)


@dataclass(frozen=True)
class Group:
    """Rows under the same data, protocol and scoring, best mIoU first.

    `protocol` says how the protocol differs from that of the benchmark's other groups; empty if there is one only.
    `shared` are the values of that protocol by dotted key. `conditions` are those of most records, None if
    all rows are scored label maps; `places` are all, these first. Speeds of rows are compared under one of them.
    `comparisons` are the rows beside their twins and what else claims compare them with, `pairs` all pairs of rows that
    have tiers.
    """

    data: Data
    protocol: str
    conditions: Conditions | None
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    shared: Mapping[str, Any]
    pairs: tuple[RankedPair, ...] = ()
    places: tuple[Conditions, ...] = ()

    @property
    def scoring(self) -> Scoring | None:
        """What scores depend on beside data and protocol; None if all rows are scored label maps."""
        return self.conditions.scoring if self.conditions else None

    @property
    def machines(self) -> tuple[Conditions, ...]:
        """The places that its scores come from, without how inference was timed."""
        return tuple(dict.fromkeys(where.place for row in self.rows for where in row.scored_under))

    def under(self, where: Conditions | None) -> list[Row]:
        """Return the rows that ran under some conditions, with what was measured there, and scored label maps."""
        return [found for row in self.rows if (found := row.under(where) if row.conditions and where else row)]


@dataclass(frozen=True)
class Report:
    """All that is shown: rankings, cells without a result, files that could not be read, and the folders.

    `auxiliary` are finished cells that only serve others, such as those of a fold; they are in no ranking.
    `incomplete` are cross-validated seeds that lack test folds. `efficiencies` are what methods make of a share of the
    labels, where several shares were trained with. `across` is what holds over the datasets of a benchmark that has
    several. `cell_folders` are the folders of what belongs to finished records, `people` what people's votes make of
    methods.
    """

    groups: tuple[Group, ...]
    auxiliary: tuple[Record, ...]
    without_result: tuple[Record, ...]
    problems: tuple[RecordProblem, ...]
    folders: tuple[Path, ...]
    efficiencies: tuple[Efficiency, ...]
    across: tuple[AcrossDatasets, ...] = ()
    cell_folders: Mapping[Identity, Path] = field(default_factory=dict)
    people: tuple[HumanRanking, ...] = ()
    incomplete: tuple[IncompleteSeed, ...] = ()

    @property
    def records(self) -> list[Record]:
        """The records of all cells, each once: scored label maps are in several rankings."""
        rows = [row for group in self.groups for row in group.rows]
        ranked = [one for row in rows for record in row.records for one in folds_of(record)]
        return list({id(one): one for one in (*ranked, *self.auxiliary, *self.without_result)}.values())

    def folder_of(self, record: Record) -> Path | None:
        """Return the folder of a finished record's files: counts, events, pictures, dataset.json."""
        return self.cell_folders.get(identity(record))

    def folders_of(self, record: Record) -> tuple[Path, ...]:
        """Return the folder of a finished record's files; of a pooled one that of each of its test folds."""
        return tuple(folder for one in folds_of(record) if (folder := self.folder_of(one)))


def name_rankings(report: Report) -> list[str]:
    """Return for each ranking what tells it from the others, its dataset first; empty where there is one only."""
    facts = [_apart(group) for group in report.groups]
    names: list[tuple[str, ...]] = [()] * len(facts)
    for values in zip(*facts, strict=True):
        if len(set(values)) > 1 and len(set(names)) < len(names):
            names = [(*name, value) for name, value in zip(names, values, strict=True)]
    return [" · ".join(filter(None, name)) for name in names]


def _apart(group: Group) -> tuple[str, ...]:
    data = group.data
    return (
        data.dataset,
        "all labels" if data.subset == "all" else cell_spec.subset_text(data.subset),
        data.scored_on,
        group.protocol,
        f"data {data.fingerprint[:12]}" if data.fingerprint else "data not identified",
        group.conditions.heading if group.conditions else "scored only",
    )


def split_by_benchmark(report: Report) -> Iterator[Report]:
    """Return the report of each benchmark by itself; the report as it is if there is one."""
    records = outside_rankings(report)
    names = dict.fromkeys([*(group.data.benchmark for group in report.groups), *(one.benchmark for one in records)])
    for name in names:
        places = [place for place, group in enumerate(report.groups) if group.data.benchmark == name]
        yield replace(
            report,
            groups=tuple(report.groups[place] for place in places),
            auxiliary=tuple(one for one in report.auxiliary if one.benchmark == name),
            without_result=tuple(one for one in report.without_result if one.benchmark == name),
            incomplete=tuple(one for one in report.incomplete if one.record.benchmark == name),
            efficiencies=tuple(
                one._replace(groups=tuple(map(places.index, one.groups)))
                for one in report.efficiencies
                if one.benchmark == name
            ),
            people=tuple(one for one in report.people if one.plan.benchmark == name),
            across=tuple(
                one._replace(groups=tuple(map(places.index, one.groups)))
                for one in report.across
                if one.benchmark == name
            ),
        )


def outside_rankings(report: Report) -> tuple[Record, ...]:
    """Return the records that are in no ranking."""
    return (*report.without_result, *report.auxiliary, *(seed.record for seed in report.incomplete))


def rank_records(sources: Sources, evidence: CellEvidence = NO_EVIDENCE) -> tuple[Group, ...]:
    """Sort the finished records into rankings; intervals, tiers and verdicts need the evidence of their counts."""
    by_data: dict[Data, list[Record]] = {}
    for record in sources.ranked:
        by_data.setdefault(_data(record), []).append(record)
    return tuple(group for data in sorted(by_data, key=_order) for group in _groups(data, by_data[data], evidence))


def _data(record: Record) -> Data:
    images = record.evaluated.images if record.evaluated else None
    return Data(
        record.benchmark,
        record.dataset,
        cell_spec.fingerprint(record),
        record.subset,
        cell_spec.split(record),
        images,
        cell_spec.folds_text(record),
    )


def _groups(data: Data, records: Sequence[Record], evidence: CellEvidence) -> list[Group]:
    """Split the records of one set of data by protocol and scoring.

    Scored label maps are in every group whose scores are defined as theirs are, and in groups of their own otherwise.
    """
    scored = [record for record in records if cell_spec.is_scored_only(record)]
    protocols = _by_protocol([record for record in records if not cell_spec.is_scored_only(record)])
    alone = [record for record in scored if not any(agree(shared, _shared(record)) for shared, _ in protocols)]
    protocols += _by_protocol(alone)
    labels = _labels([shared for shared, _ in protocols])
    groups = []
    for (shared, found), label in zip(protocols, labels, strict=True):
        fitting = [record for record in scored if agree(shared, _shared(record))]
        for trained in _by_scoring(found) or [[]]:
            groups.append(_group(data, label, shared, sort_into_rows([*trained, *fitting]), evidence))
    return sorted(groups, key=lambda group: (group.protocol, _order(group.conditions)))


def _group(
    data: Data, label: str, shared: Mapping[str, Any], found: Sequence[RowRecords], evidence: CellEvidence
) -> Group:
    draws, rows = _build_rows(found, evidence)
    places = find_places(found)
    main = places[0] if places else None
    return Group(data, label, main, rows, compare_rows(rows, draws), shared, judge_ranking(draws), places)


def _build_rows(found: Sequence[RowRecords], evidence: CellEvidence) -> tuple[RankingDraws, tuple[Row, ...]]:
    """Return the draws of a ranking and its rows by mean mIoU, best first; rows without one come last."""
    rows = [
        Row(
            one.method,
            name,
            one.records,
            one.conditions,
            (*one.notes, recipe) if recipe else one.notes,
            NO_STATISTICS,
            letter,
            recipe,
            runs=one.runs,
        )
        for (name, letter, recipe), one in zip(label_rows(found), found, strict=True)
    ]
    marked = [row.with_constant(evidence.constant_by_seed(row.records)) for row in sorted(rows, key=_rank)]
    pairs = pairs_by_name(pair_rows(marked))
    draws = draw_ranking({row.name: row.records for row in rows}, evidence, pairs)
    statistics, beaten = measure_rows(draws), find_beaten(marked)
    return draws, tuple(
        replace(row, statistics=statistics[row.name], beaten_by=beaten.get(row.name, "")) if _has_miou(row) else row
        for row in marked
    )


def _has_miou(row: Row) -> bool:
    return any(record.scores and record.scores.miou is not None for record in row.records)


def _by_scoring(records: Iterable[Record]) -> list[list[Record]]:
    """Sort the records of trained cells by what their scores depend on beside the protocol."""
    groups: dict[Scoring, list[Record]] = {}
    for record in records:
        if not cell_spec.is_scored_only(record):
            groups.setdefault(read_conditions(record).scoring, []).append(record)
    return list(groups.values())


def _by_protocol(records: Sequence[Record]) -> list[tuple[dict[str, Any], list[Record]]]:
    """Sort records by their benchmark's protocol, which may have been edited between two runs, and by definitions.

    Of a method that overrides keys only the other ones tell which protocol it ran under; where several could be meant,
    the cell is the same under each and is in each.
    """
    protocols: list[tuple[dict[str, Any], list[Record]]] = []
    read_protocol = cell_spec.read_once(cell_spec.shared_protocol, "method")
    for record in sorted(records, key=lambda record: (len(cell_spec.overrides(record)), record.key)):
        shared = {**read_protocol(record), **_definitions(record)}
        matching = [entry for entry in protocols if agree(entry[0], shared)]
        if not matching:
            matching = [(dict(shared), [])]
            protocols += matching
        for known, found in matching:
            known.update(shared)
            found.append(record)
    return protocols


def _shared(record: Record) -> dict[str, Any]:
    """Return what all records of one ranking have the same: values of the protocol and definitions of scores."""
    return {**cell_spec.shared_protocol(record), **_definitions(record)}


def _definitions(record: Record) -> dict[str, str]:
    return {f"{_SCORES}{name}": definition for name, definition in cell_spec.definitions(record).items()}


def _labels(shared: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how each protocol differs from the others; a score that some have not says nothing of their protocol.

    At which resolution scores are is said of mIoU, for all of them.
    """
    everywhere = set.intersection(*(set(values) for values in shared))
    kept = [
        {
            key: value.partition(RESIZED)[0] if key.startswith(_SCORES) and key != f"{_SCORES}miou" else value
            for key, value in values.items()
            if key in everywhere or not key.startswith(_SCORES)
        }
        for values in shared
    ]
    return cell_spec.differences(kept)


def put_together(members: Iterable[Member], belong: Callable[[Member, Member], bool]) -> list[list[Member]]:
    """Put members together so that all of a family belong together, each into the first family that it fits."""
    families: list[list[Member]] = []
    for member in members:
        fitting = (family for family in families if all(belong(one, member) for one in family))
        family = next(fitting, None)
        if family is None:
            families.append([member])
        else:
            family.append(member)
    return families


def agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two mappings have the same values under the keys that both have."""
    return all(one[key] == other[key] for key in one.keys() & other.keys())


def _rank(row: Row) -> tuple[bool, float, str, str]:
    miou = row.score("miou").mean
    return miou is None, -(miou or 0.0), row.method, row.records[0].key


def _order(value: object) -> str:
    return repr(value)
