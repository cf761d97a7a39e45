"""Rankings under other conventions of mIoU, computed from the counts of the records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError
from segbench.report.formats.layout import Document, Section, describe_conditions
from segbench.report.formats.terminal import to_terminal
from segbench.report.ranking.comparable import read_counts
from segbench.report.ranking.groups import rank_records
from segbench.report.ranking.pooling import pool_folds
from segbench.shown import write_json
from segbench.stats.conventions import CONVENTIONS, REFERENCE
from segbench.stats.summary import summarize

from .numbers import MISSING, Table, percent_with_sd
from .records import read_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row
    from segbench.stats.summary import Summary
    from segbench.store.counts import Counts

    from .records import Sources


@dataclass(frozen=True)
class Rescored:
    """A row of a ranking and the scores of its seeds by convention, fractions of 1."""

    row: Row
    scores: Mapping[str, Mapping[int, float | None]]

    @property
    def label(self) -> str:
        """The name of the row in its ranking."""
        return self.row.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds whose counts could be read."""
        return tuple(self.scores[REFERENCE])

    def score(self, convention: str) -> Summary:
        """Return the score over the seeds."""
        return summarize(self.scores[convention].values())

    def shift(self, convention: str) -> float | None:
        """Return by how much a convention moves the mean over the seeds, as a fraction of 1."""
        pairs = [(value, self.scores[REFERENCE][seed]) for seed, value in self.scores[convention].items()]
        return summarize(None if one is None or other is None else one - other for one, other in pairs).mean


@dataclass(frozen=True)
class Ranking:
    """A ranking of the report under several conventions, and the records that were ignored, each with its reason."""

    group: Group
    conventions: tuple[str, ...]
    rows: tuple[Rescored, ...]
    ignored: tuple[str, ...]

    @property
    def title(self) -> str:
        """Benchmark and dataset."""
        return f"{self.group.data.benchmark} / {self.group.data.dataset}"

    @cached_property
    def ranks(self) -> dict[str, list[int | None]]:
        """The rank of each row by convention, 1 being the best; equal scores share one."""
        return {
            convention: _ranks([row.score(convention).mean for row in self.rows]) for convention in self.conventions
        }


class Move(NamedTuple):
    """By how much a convention moves something of one row against the reference."""

    size: float
    row: Rescored
    convention: str
    ranking: Ranking


@dataclass(frozen=True)
class Rescoring:
    """All rankings under several conventions, the reference first; `problems` are files that could not be read."""

    conventions: tuple[str, ...]
    rankings: tuple[Ranking, ...]
    problems: tuple[str, ...]

    @cached_property
    def largest_shift(self) -> Move | None:
        """The largest move of a mean score, as a fraction of 1; None if there is none."""
        return _largest(
            Move(abs(shift), row, convention, ranking)
            for ranking, convention in self._changes
            for row in ranking.rows
            if (shift := row.shift(convention)) is not None
        )

    @cached_property
    def largest_rank_change(self) -> Move | None:
        """The largest move of a rank, in places; None if there is none."""
        return _largest(
            Move(abs(rank - before), row, convention, ranking)
            for ranking, convention in self._changes
            for row, rank, before in zip(ranking.rows, ranking.ranks[convention], ranking.ranks[REFERENCE], strict=True)
            if rank is not None and before is not None
        )

    @property
    def _changes(self) -> list[tuple[Ranking, str]]:
        return [(ranking, name) for ranking in self.rankings for name in self.conventions if name != REFERENCE]


def rescore(folders: Sequence[Path], conventions: Sequence[str], benchmark: str | None = None) -> Rescoring:
    """Recompute the scores of all records in some folders under conventions of CONVENTIONS, without their networks.

    The reference is always among them. A record whose counts are missing, damaged, do not add up or do not give the
    mIoU that it states is ignored. Raises RecordError if a folder is missing, and if no record can be rescored.
    """
    sources = pool_folds(read_sources(folders, benchmark))
    names = tuple(name for name in CONVENTIONS if name == REFERENCE or name in conventions)
    rankings = [_ranking(group, sources, names) for group in rank_records(sources)]
    found = tuple(ranking for ranking in rankings if ranking.rows or ranking.ignored)
    if not any(ranking.rows for ranking in found):
        reasons = "".join(f"\n  {reason}" for ranking in found for reason in ranking.ignored)
        raise RecordError(f"no record has counts of label maps that can be scored again{reasons}")
    return Rescoring(names, found, tuple(map(str, sources.problems)))


def to_text(rescoring: Rescoring, width: int | None = None) -> str:
    """Return plain text: of each ranking the scores, shifts and ranks; the conventions; what they move at most."""
    used = {name: CONVENTIONS[name] for name in rescoring.conventions}
    closing = [f"{name}: {convention.rule} ({convention.tools})." for name, convention in used.items()]
    closing += [f"Not read: {problem}" for problem in rescoring.problems]
    closing.append(closing_sentence(rescoring))
    return to_terminal(Document(tuple(map(_section, rescoring.rankings)), (), tuple(closing)), width)


def to_json(rescoring: Rescoring) -> str:
    """Return the same as data; scores and shifts are fractions of 1, missing numbers null."""
    used = {name: CONVENTIONS[name] for name in rescoring.conventions}
    content = {
        "conventions": {name: {"rule": one.rule, "tools": one.tools} for name, one in used.items()},
        "rankings": [_json_ranking(ranking) for ranking in rescoring.rankings],
        "largest_shift": _json_move(rescoring.largest_shift),
        "largest_rank_change": _json_move(rescoring.largest_rank_change),
        "problems": list(rescoring.problems),
    }
    return write_json(content)


def closing_sentence(rescoring: Rescoring) -> str:
    """Say by how much conventions move scores and ranks at most."""
    shift, change = rescoring.largest_shift, rescoring.largest_rank_change
    if shift is None or change is None:
        return "Name another convention to see by how much it changes scores and ranks."
    score = f"a score by at most {100 * shift.size:.2f} points{_whose(shift, rescoring)}"
    places = f"{change.size:.0f} place{'s' * (change.size != 1)}"
    rank = f"a rank by at most {places}{_whose(change, rescoring)}" if change.size else "no rank"
    return f"Against the reference, the choice of a convention changes {score} and {rank}."


def _ranking(group: Group, sources: Sources, conventions: tuple[str, ...]) -> Ranking:
    segmenting = [row for row in group.rows if not row.generates_images]
    found = [read_counts(row, sources) for row in segmenting]
    rows = tuple(
        Rescored(one.row, {name: _scores(name, one.counts) for name in conventions}) for one in found if one.counts
    )
    return Ranking(group, conventions, rows, tuple(reason for one in found for reason in one.ignored))


def _scores(convention: str, counts: Mapping[int, Counts]) -> dict[int, float | None]:
    return {seed: CONVENTIONS[convention](found.confusion) for seed, found in counts.items()}


def _ranks(scores: Sequence[float | None]) -> list[int | None]:
    known = [score for score in scores if score is not None]
    return [None if score is None else 1 + sum(other > score for other in known) for score in scores]


def _largest(moves: Iterable[Move]) -> Move | None:
    return max(moves, key=lambda move: move.size, default=None)


def _whose(move: Move, rescoring: Rescoring) -> str:
    """Say in brackets whose move it is, if anything moves."""
    where = f" in {move.ranking.title}" if len(rescoring.rankings) > 1 else ""
    return f" ({move.row.label} under {move.convention}{where})" if move.size else ""


def _section(ranking: Ranking) -> Section:
    group = ranking.group
    conditions = describe_conditions(group)
    notes = [f"{row.label}: {note}" for row in ranking.rows if row.label != row.row.method for note in row.row.notes]
    notes += [f"Ignored: {reason}" for reason in ranking.ignored]
    tables = (_score_table(ranking), _move_table(ranking)) if ranking.rows else ()
    return Section(ranking.title, (group.data.heading, *conditions), tables, tuple(notes))


def _score_table(ranking: Ranking) -> Table:
    lines = [
        [row.label, str(len(row.seeds)), *(percent_with_sd(row.score(name)) for name in ranking.conventions)]
        for row in ranking.rows
    ]
    return Table(["method", "seeds", *ranking.conventions], lines, "mIoU [%] by convention")


def _move_table(ranking: Ranking) -> Table:
    lines = [
        [row.label, *(_rank_and_shift(ranking, place, name) for name in ranking.conventions)]
        for place, row in enumerate(ranking.rows)
    ]
    return Table(["method", *ranking.conventions], lines, "Rank by convention, and points above the reference")


def _rank_and_shift(ranking: Ranking, place: int, convention: str) -> str:
    rank, shift = ranking.ranks[convention][place], ranking.rows[place].shift(convention)
    if rank is None or shift is None:
        return MISSING
    return str(rank) if convention == REFERENCE else f"{rank} ({100 * shift:+.2f})"


def _json_ranking(ranking: Ranking) -> dict[str, Any]:
    data, conditions = ranking.group.data, ranking.group.conditions
    return {
        **data._asdict(),
        "protocol": ranking.group.protocol,
        "conditions": conditions and conditions.heading,
        "rows": [_json_row(ranking, place, row) for place, row in enumerate(ranking.rows)],
        "set_aside": list(ranking.ignored),
    }


def _json_row(ranking: Ranking, place: int, row: Rescored) -> dict[str, Any]:
    return {
        "label": row.label,
        "method": row.row.method,
        "seeds": list(row.seeds),
        "scores": {name: row.score(name)._asdict() for name in ranking.conventions},
        "shift": {name: row.shift(name) for name in ranking.conventions},
        "rank": {name: ranking.ranks[name][place] for name in ranking.conventions},
    }


def _json_move(move: Move | None) -> dict[str, Any] | None:
    if move is None:
        return None
    return {"size": move.size, "label": move.row.label, "convention": move.convention, "ranking": move.ranking.title}
