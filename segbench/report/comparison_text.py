"""A comparison of two methods as text for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import comparison_tables as tables
from .comparison_words import contribution_words, headline, left_over_words, rare_words, score_words, share, speed_words
from .text import terminal_table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .comparison import Comparisons, MethodComparison
    from .cost_comparison import Terms
    from .table import Table

TERMS: dict[Terms, str] = {
    "equal steps": "Both were trained for equal steps.",
    "equal seconds": "Both were trained for equal measured seconds.",
    "different budgets": "They were trained for different numbers of steps.",
    "unknown": "How long they were trained is not known of both.",
}


def as_text(comparisons: Comparisons) -> str:
    """Return what is said of two methods in each ranking in turn."""
    closing = [f"Not compared in another ranking: {reason}" for reason in comparisons.refused]
    closing.append(f"Records: {', '.join(str(folder) for folder in comparisons.folders)}")
    parts = [_comparison(found) for found in comparisons.found]
    return "\n\n".join([*parts, _lines(closing)]) + "\n"


def _comparison(found: MethodComparison) -> str:
    parts = [
        _heading(found),
        _lines([headline(found.claim, found.settings.margin), *left_over_words(found.triplets)]),
        *map(terminal_table, [tables.by_seed(found), tables.evidence(found)]),
        *([terminal_table(tables.family(found))] if len(found.contrasts) > 1 else []),
        *map(_shown, _further_tables(found)),
        _lines([*_notes(found), *_definitions(found)]),
    ]
    return "\n\n".join(parts)


def _further_tables(found: MethodComparison) -> Iterable[tuple[Table, list[str]]]:
    """Return the tables below the verdict, each with what is said beneath it; one without rows is left out."""
    gains = found.gains
    below_parts = [*contribution_words(found.claim, gains), *filter(None, [rare_words(gains)])]
    yield tables.parts(found), below_parts
    yield tables.classes(found), []
    yield tables.images(found), []
    yield tables.scores(found), list(score_words(found.scores))
    yield tables.costs(found), list(speed_words(found.cost))


def _shown(table_and_words: tuple[Table, list[str]]) -> str:
    table, words = table_and_words
    shown = terminal_table(table) if table.rows else table.title
    return "\n\n".join([shown, *([_lines(words)] if words else [])])


def _heading(found: MethodComparison) -> str:
    group = found.pair.group
    one, other = found.names
    lines = [f"A = {one}, B = {other}: {group.data.benchmark} / {group.data.dataset}", group.data.heading]
    lines += [f"protocol: {group.protocol}"] if group.protocol else []
    lines += [group.conditions.heading] if group.conditions else []
    return _lines([*lines, f"{found.relation} {TERMS[found.claim.member.terms]}"])


def _notes(found: MethodComparison) -> list[str]:
    return [*(f"Set aside: {line}" for line in found.set_aside), *found.notes]


def _definitions(found: MethodComparison) -> Iterable[str]:
    difference, settings = found.claim.difference, found.settings
    drawn = "" if found.clusters is None else f" in {found.clusters} groups, such as sequences, that are drawn whole"
    yield (
        f"Scores: {found.definition}, computed again from the counts of {difference.images} images{drawn}. Intervals: "
        f"{settings.resamples} resamples of images and seeds, crossed, the same for both methods; a verdict needs "
        f"{share(settings.level)} for all that is judged together (Holm), equivalent is within "
        f"{100 * settings.margin:g} points. The sign-flip p stands beside and decides nothing."
    )
    if found.gains.parts:
        yield (
            "What a part adds: the change in mIoU if only its pixels were labelled by A, taken from B's side and from "
            "A's and averaged (Shapley), so that both parts make up A - B; for classes their share of the mean. "
            "Boundary bands: pixels near those of another class in the truth (protocol.boundaries.iou_width). Small "
            "objects: connected pixels of one class, less than 1/300 of the image. mIoU in a part counts its pixels "
            "only; recall is the share of its pixels that is right, mean over classes."
        )


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(map(wrapped, lines))
