"""The differences that are judged together: A - B, A against its other opponents, and what placebos leave of it.

What one method costs beside another.

Two methods by their names, as rows of the rankings in which both stand.

How two methods are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from segbench.errors import RecordError, StatisticsError, nearest
from segbench.report import cell_spec
from segbench.report.ranking.comparable import check_same_truth, counted, obstacles, refusal
from segbench.report.ranking.timings import STAGES, speed_of, speed_ratio
from segbench.stats.bootstrap import RESAMPLES, crossed_draws
from segbench.stats.difference import drawn_difference
from segbench.stats.evidence import iou_evidence
from segbench.stats.summary import Summary, summarize
from segbench.stats.verdict import MARGIN, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row
    from segbench.report.records import Sources
    from segbench.stats.difference import Difference
    from segbench.stats.timing import Ratio
    from segbench.stats.verdict import Judgement
    from segbench.store.counts import Counts
    from segbench.store.record import Record, Stage


Role = Literal["claim", "opponent", "placebo", "left"]


Terms = Literal["equal steps", "equal seconds", "different budgets", "unknown"]


class Member(NamedTuple):
    """One difference of the family, one - other, and on what terms the two were trained.

    Its role is "claim" for A - B, "opponent" for A - another twin of A, "placebo" for what a placebo of A gains over B,
    "left" for what is left of A's gain over that placebo.
    """

    role: Role
    one: str
    other: str
    terms: Terms


class Contrast(NamedTuple):
    """A member of the family and what may be said of it."""

    member: Member
    judgement: Judgement

    @property
    def difference(self) -> Difference:
        """The difference in mIoU."""
        return self.judgement.difference


class Family(NamedTuple):
    """The contrasts, A - B first; why others that belong to it are not there; the counts that were used, by seed."""

    contrasts: tuple[Contrast, ...]
    left_out: tuple[str, ...]
    set_aside: tuple[str, ...]
    one: dict[int, Counts]
    other: dict[int, Counts]


def judged_family(pair: Pair, sources: Sources, settings: Settings) -> Family:
    """Judge A - B together with what else is to be said of A in its ranking.

    Raises StatisticsError if too little is left of A or of B to compare.
    """
    one, other = pair.one, pair.other
    cells, set_aside = _cells([one, other], sources)
    claim = Member("claim", one.method, other.method, terms(one, other))
    differences = _differences(cells, [claim], settings)
    left_out = []
    for row, members in _others(pair):
        try:
            _check(one, row)
            more, aside = _cells([row], sources)
            set_aside += aside
            differences |= _differences({**cells, **more}, members, settings)
        except StatisticsError as error:
            left_out.append(f"{row.method} takes no part: {error}")
    judged = judge(differences, margin=settings.margin, level=settings.level)
    contrasts = tuple(Contrast(member, judgement) for member, judgement in judged.items())
    ours, theirs = ({seed: cells[row.method][seed] for seed in differences[claim].by_seed} for row in (one, other))
    return Family(contrasts, tuple(left_out), tuple(set_aside), ours, theirs)


def _others(pair: Pair) -> Iterable[tuple[Row, list[Member]]]:
    """Return the other rows that have to do with A, and the differences that each adds to the family."""
    one, other = pair.one, pair.other
    for row in sorted(pair.group.rows, key=lambda row: row.method):
        if row.method in (one.method, other.method) or row.scored_only:
            continue
        if row.placebo_of == one.method:
            yield (
                row,
                [
                    Member("placebo", row.method, other.method, terms(row, other)),
                    Member("left", one.method, row.method, terms(one, row)),
                ],
            )
        elif is_trained_like(row, one.method) or (is_trained_like(other, one.method) and row.method == one.twin):
            yield row, [Member("opponent", one.method, row.method, terms(one, row))]


def _differences(
    cells: dict[str, dict[int, Counts]], members: Sequence[Member], settings: Settings
) -> dict[Member, Difference]:
    """Return differences over the seeds that all methods have, from the same draws."""
    check_same_truth(cells)
    draws = crossed_draws(iou_evidence(cells), settings.resamples)
    return {member: drawn_difference(draws, member.one, member.other) for member in members}


def _cells(rows: Sequence[Row], sources: Sources) -> tuple[dict[str, dict[int, Counts]], list[str]]:
    """Return the counts of rows by method and seed, and which records were set aside and why."""
    found = {row.method: counted(row, sources) for row in rows}
    for name, read in found.items():
        if not read.counts:
            raise StatisticsError(f"nothing of {name!r} is left to compare ({'; '.join(read.set_aside)})")
    counts = {name: read.counts for name, read in found.items()}
    return counts, [line for read in found.values() for line in read.set_aside]


def _check(one: Row, other: Row) -> None:
    if found := obstacles(one, other):
        raise StatisticsError(refusal(one, other, found))


class SpeedRatio(NamedTuple):
    """How many times as fast A runs as B, at one stage and batch size."""

    stage: Stage
    batch: int
    ratio: Ratio


class CostComparison(NamedTuple):
    """What A and B cost: seconds of training over the common seeds, parameters, and the speed of inference.

    `speeds` is empty unless both were timed in turn, in one session; `timed` tells whether both were timed at all.
    """

    terms: Terms
    one_seconds: Summary
    other_seconds: Summary
    one_parameters: int | None
    other_parameters: int | None
    speeds: tuple[SpeedRatio, ...]
    timed: bool

    @property
    def seconds_ratio(self) -> float | None:
        """Seconds of training of A as a multiple of B's."""
        return _times(self.one_seconds.mean, self.other_seconds.mean)

    @property
    def parameters_ratio(self) -> float | None:
        """Parameters of A as a multiple of B's."""
        return _times(self.one_parameters, self.other_parameters)


def compare_costs(one: Row, other: Row, seeds: Sequence[int]) -> CostComparison:
    """Return the costs of two rows over some seeds."""
    both = [(mine, yours) for mine, yours in zip(_trained(one, seeds), _trained(other, seeds), strict=True)]
    known = [(mine.train.seconds, yours.train.seconds) for mine, yours in both if mine.train and yours.train]
    return CostComparison(
        terms(one, other),
        summarize(mine for mine, _ in known),
        summarize(yours for _, yours in known),
        one.cost("parameters"),
        other.cost("parameters"),
        tuple(_speeds(one, other)),
        bool(one.inference and other.inference),
    )


def terms(one: Row, other: Row) -> Terms:
    """Return on what terms two rows were trained: for as many measured seconds, as many steps, or neither."""
    if _like(one) == other.method or _like(other) == one.method or (_like(one) and _like(one) == _like(other)):
        return "equal seconds"
    ours, theirs = _steps(one), _steps(other)
    if not ours or not theirs:
        return "unknown"
    return "equal steps" if ours == theirs and len(ours) == 1 else "different budgets"


def is_trained_like(row: Row, method: str) -> bool:
    """Tell whether a row was trained for as many seconds as a method took."""
    return _like(row) == method


def _like(row: Row) -> str | None:
    budget = cell_spec.protocol(row.records[0]).get("budget")
    return budget.get("like") if isinstance(budget, dict) else None


def _steps(row: Row) -> set[int]:
    return {record.train.steps for record in row.records if record.train}


def _trained(row: Row, seeds: Sequence[int]) -> list[Record]:
    by_seed = {record.seed: record for record in row.records}
    return [by_seed[seed] for seed in seeds]


def _speeds(one: Row, other: Row) -> Iterable[SpeedRatio]:
    """Return the ratios of one session, the first in which both were timed."""
    timed = [(mine, yours) for mine in one.records for yours in other.records if _in_one_session(mine, yours)]
    for mine, yours in timed[:1]:
        batches = sorted({row.batch for row in mine.inference})
        for stage in STAGES:
            for batch in batches:
                if ratio := speed_ratio(speed_of(mine), speed_of(yours), stage, batch):
                    yield SpeedRatio(stage, batch, ratio)


def _in_one_session(one: Record, other: Record) -> bool:
    return one.timing is not None and other.timing is not None and one.timing.session == other.timing.session


def _times(value: float | None, of: float | None) -> float | None:
    return value / of if value is not None and of else None


@dataclass(frozen=True)
class Pair:
    """Two rows of one ranking that may be compared."""

    group: Group
    one: Row
    other: Row


def narrowed(report: Report, dataset: str | None, subset: str | None) -> Report:
    """Return what a report holds of one dataset and one share of the labels; RecordError if there is nothing."""
    records = _records(report)
    _check_is_there("dataset", dataset, sorted({record.dataset for record in records}))
    _check_is_there("subset", subset, sorted({record.subset for record in records}))

    def wanted(record: Record) -> bool:
        return dataset in (None, record.dataset) and subset in (None, record.subset)

    return replace(
        report,
        groups=tuple(group for group in report.groups if wanted(group.rows[0].records[0])),
        auxiliary=tuple(filter(wanted, report.auxiliary)),
        without_result=tuple(filter(wanted, report.without_result)),
    )


def find_pairs(report: Report, one: str, other: str) -> tuple[list[Pair], list[str]]:
    """Return the rankings in which both methods stand, and why they are not to be compared in others.

    Raises RecordError if one of the names is unknown or has no result, or both are the same; StatisticsError, naming
    the fields in which they differ, if there is no ranking in which they may be compared.
    """
    if one == other:
        raise RecordError(f"{one!r} cannot be compared with itself; name two methods")
    for name in (one, other):
        _check_has_result(report, name)
    pairs, refused = [], []
    for group in report.groups:
        ours, theirs = _rows(group, one), _rows(group, other)
        if ours and theirs:
            reason = _reason(ours, theirs)
            refused += [reason] if reason else []
            pairs += [] if reason else [Pair(group, ours[0], theirs[0])]
    if not pairs:
        raise StatisticsError("; ".join(refused) or _why_in_no_common_ranking(report, one, other))
    return pairs, refused


def failures_of(report: Report, group: Group, method: str) -> list[str]:
    """Return what became of a method's cells that left no result for the data of a ranking."""
    data = group.data
    lost = [
        record
        for record in report.without_result
        if (record.benchmark, record.dataset, record.subset, record.method)
        == (data.benchmark, data.dataset, data.subset, method)
    ]
    return [f"{method}, {line}" for line in _causes(lost)]


def _reason(ours: Sequence[Row], theirs: Sequence[Row]) -> str | None:
    """Return why the rows of two methods in one ranking must not be compared."""
    for rows in (ours, theirs):
        if len(rows) > 1:
            return _several_recipes(rows)
    found = obstacles(ours[0], theirs[0])
    return refusal(ours[0], theirs[0], found) if found else None


def _several_recipes(rows: Sequence[Row]) -> str:
    told = "; ".join(f"{', '.join(record.key for record in row.records)}: {_what_it_is(row)}" for row in rows)
    return (
        f"{rows[0].method!r} is the name of {len(rows)} rows of one ranking ({told}); "
        "keep the records of one of them, or move the others to a folder of their own"
    )


def _what_it_is(row: Row) -> str:
    return "label maps made elsewhere" if row.scored_only else next(iter(row.notes), "no difference known")


def _why_in_no_common_ranking(report: Report, one: str, other: str) -> str:
    """Name the fields in which the two rows differ that come nearest to each other."""
    ours, theirs = ([row for group in report.groups for row in _rows(group, name)] for name in (one, other))
    candidates = [(mine, yours, obstacles(mine, yours)) for mine in ours for yours in theirs]
    mine, yours, found = min(candidates, key=lambda candidate: len(candidate[2]))
    if found:
        return refusal(mine, yours, found)
    return f"{one!r} and {other!r} stand in no common ranking; see `segbench report`"


def _rows(group: Group, method: str) -> list[Row]:
    return [row for row in group.rows if row.method == method]


def _check_has_result(report: Report, method: str) -> None:
    rows = [row for group in report.groups for row in _rows(group, method)]
    if rows and all(row.generates_images for row in rows):
        raise RecordError(f"{method!r} makes images, not label maps, so there is no mIoU to compare; name a segmenter")
    if rows:
        return
    lost = [record for record in report.without_result if record.method == method]
    if lost:
        causes = "; ".join(dict.fromkeys(_causes(lost)))
        raise RecordError(f"{method!r} has no result to compare ({causes}); mend that and run the benchmark again")
    if any(record.method == method for record in report.auxiliary):
        raise RecordError(
            f"the cells of {method!r} only served others (folds, trials, shares of labels nobody asked for), "
            "so it stands in no ranking; compare methods that `segbench report` lists"
        )
    names = sorted({record.method for record in _records(report)})
    folders = ", ".join(str(folder) for folder in report.folders)
    raise RecordError(
        f"no record of a method {method!r} in {folders}; there are: {', '.join(names)}.{nearest(method, names)}"
    )


def _causes(lost: Sequence[Record]) -> list[str]:
    """Say what became of cells without a result, those of one cause together."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in lost:
        seeds.setdefault((record.status, _cause(record)), []).append(record.seed)
    return [
        f"seed{'s' * (len(found) > 1)} {', '.join(map(str, sorted(found)))} {status}: {cause}"
        for (status, cause), found in seeds.items()
    ]


def _cause(record: Record) -> str:
    if record.error is None:
        return "no cause recorded"
    plugin = f" (plugin {record.error.plugin})" if record.error.plugin else ""
    return " ".join(record.error.cause.split()) + plugin


def _records(report: Report) -> list[Record]:
    ranked: Iterable[Record] = (record for group in report.groups for row in group.rows for record in row.records)
    return [*ranked, *report.auxiliary, *report.without_result]


def _check_is_there(what: str, wanted: str | None, known: list[str]) -> None:
    if wanted is not None and wanted not in known:
        raise RecordError(
            f"no record of {what} {wanted!r}; there are: {', '.join(map(repr, known))}.{nearest(wanted, known)}"
        )


class Settings(NamedTuple):
    """The margin of "equivalent" and the level of confidence, fractions of 1, and how many images are named.

    `images` are so many of the largest gains and as many of the largest losses, `resamples` those of the bootstrap.
    """

    margin: float = MARGIN
    level: float = 0.95
    images: int = 5
    resamples: int = RESAMPLES


DEFAULTS = Settings()
