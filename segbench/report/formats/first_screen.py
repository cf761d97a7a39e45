"""The first screen of a report: each ranking in a few columns, its differences with a verdict in words, what failed."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from segbench.report.numbers import Column, Table, build_table, drop_empty
from segbench.stats.verdict import EQUIVALENCE_MARGIN, MOST_SEEDS_SUGGESTED

from . import tables
from .across_datasets import summarize_across
from .definitions import ONE_SEED_ONLY, has_one_seed_only
from .layout import (
    Document,
    Section,
    describe_conditions,
    explain_health,
    explain_missing_intervals,
    explain_pairs,
    explain_places,
    explain_trade_off,
    lay_out_efficiency,
    list_failures,
    list_unread,
    mark_notes,
    name_section,
    note_lines,
    select_segmenting,
    warn_of_rankings,
    warn_of_timing,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.report.ranking.differences import Comparison
    from segbench.report.ranking.groups import Group, Report
    from segbench.stats.verdict import Judgement

# Verdicts on adversarial training that do not change how its row is read.
HARMLESS_HEALTH = ("healthy", "unknown")
PLACEBO = "METHOD~KIND: a placebo, which is METHOD with a discriminator that is broken on purpose."


def lay_out_first_screen(report: Report) -> Document:
    """Lay out what a reader needs first; the last line says where the rest is."""
    sections = (*map(_ranking, report.groups), *map(lay_out_efficiency, report.efficiencies))
    closing = (
        *map(summarize_across, report.across),
        *warn_of_rankings(report),
        *list_unread(report),
        _where_the_rest_is(report),
    )
    return Document(sections, tuple(list_failures(report)), closing)


def verdict_in_words(one: Comparison) -> str:
    """Say whether A is better than B, what would decide it if that is not decided, and what limits it."""
    return "no verdict" if one.judgement is None else tables.qualify_verdict(_judgement_in_words(one.judgement), one)


def _judgement_in_words(judgement: Judgement) -> str:
    if judgement.verdict == "equivalent":
        return f"equivalent (within {100 * EQUIVALENCE_MARGIN:g} points)"
    if judgement.verdict != "undecided":
        return f"A is {judgement.verdict}"
    if judgement.difference.seeds == 1:
        return "undecided: one seed cannot decide"
    if judgement.obstacle == "few seeds":
        return "undecided: two seeds cannot decide"
    if judgement.obstacle == "no variance":
        return "undecided: every seed gives the same"
    if judgement.seeds_needed is None:
        return f"undecided: over {MOST_SEEDS_SUGGESTED} seeds needed"
    return f"undecided: about {judgement.seeds_needed} seeds needed"


def _ranking(group: Group) -> Section:
    letters = mark_notes(group.rows)
    main = " · ".join(group.conditions.essentials) if group.conditions else None
    return Section(
        title=f"{group.data.benchmark} / {group.data.dataset} · {group.data.heading}",
        conditions=tuple(describe_conditions(group, main)),
        tables=tuple(_tables(group, letters)),
        notes=(
            *explain_trade_off(group),
            *([PLACEBO] if any(row.placebo_of for row in group.rows) else []),
            *([ONE_SEED_ONLY] if has_one_seed_only(group) else []),
            *note_lines(letters),
            *explain_missing_intervals(group.rows),
            *explain_pairs(group),
            *tables.explain_missing_differences(group.comparisons),
            *explain_health(group.rows, HARMLESS_HEALTH),
            *explain_places(group, "is in --full"),
            *warn_of_timing(group.under(group.conditions)),
        ),
        name=name_section(group),
    )


def _tables(group: Group, letters: dict[str, str]) -> Iterable[Table]:
    batch = (group.conditions and group.conditions.batch_size) or 1
    if predicting := select_segmenting(group.rows):
        speed = drop_empty([tables.throughput(batch)], predicting)
        columns = [*tables.accuracy(group, predicting, letters), *speed, tables.TRAINING_SECONDS]
        yield tables.table_of_rows(columns, predicting, name="miou")
    if generating := [row for row in group.rows if row.features]:
        columns = [tables.marked_name(letters), *tables.image_scores(generating), tables.SEEDS]
        yield tables.table_of_rows([*columns, tables.TRAINING_SECONDS], generating, "Generated images")
    # what a placebo gains over the twin is in the full report; what a method gains over its placebo decides
    if compared := [one for one in group.comparisons if one.other_name and not one.row.placebo_of]:
        yield _differences(compared)


def _differences(compared: list[Comparison]) -> Table:
    columns: list[Column[Comparison]] = [
        Column("A - B", tables.pair_text),
        Column("difference", tables.difference_text),
        Column("verdict", verdict_in_words, is_words=True),
    ]
    title = "Differences of mIoU in points, 95 % intervals adjusted for multiple comparisons"
    return build_table(columns, compared, title, "differences")


def _where_the_rest_is(report: Report) -> str:
    command = " ".join(["segbench report", *(quote(str(folder)) for folder in report.folders)])
    return f"More: {command} --full (all tables) or --explain (what each number means)"
