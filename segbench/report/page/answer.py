"""The first screen of the page: what was asked and run, the answer in a sentence, and cards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import list_some
from segbench.report import cell_spec
from segbench.report.formats.across_datasets import summarize_across
from segbench.report.formats.definitions import ONE_SEED_ONLY
from segbench.report.formats.first_screen import HARMLESS_HEALTH, verdict_in_words
from segbench.report.formats.layout import expected_health, list_failures, select_segmenting
from segbench.report.formats.tables import collapse_words, difference_text, inert_words, pair_text
from segbench.report.numbers import percent_with_interval, plural, points, significant, times
from segbench.report.ranking.differences import Contrast
from segbench.report.ranking.groups import name_rankings
from segbench.report.ranking.pairs import find_pair
from segbench.report.ranking.trade_off import find_fastest, is_faster, recommend, say_how_much_faster, shown_speed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from segbench.report.conditions import Conditions
    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row
    from segbench.stats.verdict import Verdict

SAID: dict[Verdict, str] = {
    "better": "Shown",
    "worse": "The opposite is shown",
    "equivalent": "No difference that matters",
    "undecided": "Not shown",
}
# The first of several claims that the answer is about.
_ORDER: tuple[Verdict, ...] = ("better", "undecided", "equivalent", "worse")


class Card(NamedTuple):
    """A fact of the first screen: what it is about, the fact in large, and what belongs to it."""

    title: str
    fact: str
    text: str


def question(report: Report) -> tuple[str, str]:
    """Return what the benchmark asks and what its file says besides: the comment on top of it; empty if unknown.

    Of several comments that of the cell begun last is taken.
    """
    told = [record for record in report.records if cell_spec.comment(record)]
    if not told:
        return "", ""
    comment = cell_spec.comment(max(told, key=cell_spec.start_time))
    end = re.search(r"[?.!](?=\s|$)", comment)
    return (comment[: end.end()], comment[end.end() :].strip()) if end else (comment, "")


def describe_run(report: Report) -> Iterator[str]:
    """Return data, images, seeds, budgets, devices and dates of a benchmark, each in words."""
    rows = [row for group in report.groups for row in group.rows]
    yield from dict.fromkeys(group.data.dataset for group in report.groups)
    for images, split in dict.fromkeys((group.data.images, group.data.split) for group in report.groups):
        if images is not None:
            yield plural(images, f"{split or ''} image".strip())
    if rows:
        yield _range([len(row.records) for row in rows], "seed")
    yield from dict.fromkeys(text for group in report.groups for text in _budget(group))
    yield from dict.fromkeys(_machine(where) for group in report.groups for where in group.places)
    if days := cell_spec.days(report.records):
        yield days


def _budget(group: Group) -> Iterator[str]:
    """Return for how long a ranking's protocol trains, and in batches of how many images."""
    for unit in ("epoch", "step", "second"):
        if (number := group.shared.get(f"budget.{unit}s")) is not None:
            yield plural(number, unit)
    if (batch := group.shared.get("batch_size")) is not None:
        times = group.shared.get("accumulate", 1)
        yield f"batches of {batch}" + (f" x {times}" if times != 1 else "")


def _machine(where: Conditions) -> str:
    threads = f", {plural(where.threads, 'thread')}" if where.threads else ""
    return f"{where.models or where.device or 'unknown device'}{threads}"


def answer(report: Report) -> Iterator[str]:
    """Return what holds over several datasets, then the answer of each ranking, named where there are several."""
    if not report.groups:
        yield f"No cell has a result: {_count_failures(report)}."
        yield from list_failures(report)[:1]
    if not any(map(find_best, report.groups)):
        yield from dict.fromkeys(" ".join(_answer(group)) for group in report.groups)
        return
    yield from map(summarize_across, report.across)
    for group, name in zip(report.groups, name_rankings(report), strict=True):
        yield (f"{name}: " if name else "") + " ".join(_answer(group))


def cards(report: Report) -> Iterator[Card]:
    """Return the best row, the cheapest one in its tier, what the claim gained, and how many cells there are."""
    group = next(iter(report.groups), None)
    if group is not None and (best := find_best(group)):
        yield Card("Best", best.name, f"{_reached(best)}; {_tier_text(best, group)}")
        yield from _cheapest(best, group)
    if group is not None and (found := find_claims(group)):
        yield _claim(found[0], group)
    yield _cells(report)


def find_claims(group: Group) -> list[Contrast]:
    """Return the judged differences to twins and other methods that claims name; the one to tell of comes first.

    What an adversarial loss does is the question that segbench is for, so methods with one come before the others, and
    of these those with seeds enough for a verdict.
    """
    found = [
        one
        for one in group.comparisons
        if isinstance(one, Contrast) and one.relation in ("twin", "claim") and not one.row.placebo_of
    ]

    def order(one: Contrast) -> tuple[bool, bool, int, float]:
        verdict, few_seeds = one.judgement.verdict, one.judgement.obstacle == "few seeds"
        return not one.row.verdicts, few_seeds, _ORDER.index(verdict), -one.difference.estimate

    return sorted(found, key=order)


def find_best(group: Group) -> Row | None:
    """Return the row with the best mIoU that is no placebo."""
    return next((row for row in _methods(group) if row.score("miou").mean is not None), None)


def _answer(group: Group) -> Iterator[str]:
    if claims := find_claims(group):
        yield _claims_sentence(claims, group)
        yield from (f"{words}." for words in (*collapse_words(claims[0]), *inert_words(claims[0])))
        if claims[0].time_ratio is not None:
            yield f"Cost: {times(claims[0].time_ratio)} training time."
        if claims[0].is_over_images_only:
            yield ONE_SEED_ONLY
    elif best := find_best(group):
        yield _best_sentence(best, group)
        yield from filter(None, [recommend(group)])
    elif any(row.generates_images for row in group.rows):
        yield "No label maps were scored here, so there is no mIoU: see the table of generated images."
    else:
        yield "No method has an mIoU here: see the leaderboard."


def _claims_sentence(claims: Sequence[Contrast], group: Group) -> str:
    first = claims[0]
    said = SAID[first.judgement.verdict]
    if len(claims) > 1:
        same = sum(one.judgement.verdict == first.judgement.verdict for one in claims)
        said = f"{said} for {same} of {len(claims)} comparisons, first of all"
    parts = [f"{pair_text(first)} = {difference_text(first)} points", *_placebo_parts(first, group)]
    return f"{said}: {'; '.join(parts)}."


def _placebo_parts(claim: Contrast, group: Group) -> Iterator[str]:
    """Say what each placebo of a claim gains over the same method, and what is left of the claim's gain over it."""
    for one in _over_placebos(claim.row, group):
        gains = (other for other in group.comparisons if other.row is one.other and other.other is claim.other)
        gain = "".join(f" {_gain_text(points(found.miou.mean))} points and" for found in gains)
        left = difference_text(one)
        beaten = f"beaten by {left}" if one.judgement.verdict == "better" else f"not shown to be beaten ({left})"
        yield f"its {one.other.placebo or 'control'} placebo{gain} is {beaten}"


def _gain_text(signed: str) -> str:
    return f"{'loses' if signed.startswith('-') else 'gains'} {signed.lstrip('+-')}"


def _over_placebos(row: Row, group: Group) -> list[Contrast]:
    return [
        one for one in group.comparisons if isinstance(one, Contrast) and one.row is row and one.relation == "placebo"
    ]


def _best_sentence(best: Row, group: Group) -> str:
    reached = f"{_reached(best)}."
    others = [row.name for row in _methods(group) if row is not best]
    if not others:
        return f"{best.name} reaches {reached}"
    first = f"{best.name} has the best mean, {reached}"
    pairs = {name: pair for name in others if (pair := find_pair(group.pairs, best.name, name))}
    if not pairs:
        return f"{first} Nothing says yet how sure the order is: {_why_no_tier(best)}."
    alike = [name for name, pair in pairs.items() if pair.among_all.verdict != "better"]
    if not alike:
        unsure = "" if len(pairs) == len(others) else " with a tier"
        return f"{first} It is significantly better than every other method{unsure}."
    return f"{first} Not significantly worse: {list_some(alike, 5)}."


def _reached(best: Row) -> str:
    return percent_with_interval(best.score("miou").mean, best.statistics.interval, " % mIoU")


def _why_no_tier(best: Row) -> str:
    known = best.statistics
    return known.tier_missing or known.interval_missing or "no other method has a tier"


def _cheapest(best: Row, group: Group) -> Iterator[Card]:
    title = "Fastest in the best tier"
    if best.statistics.tier is None or len(_methods(group)) == 1:
        return
    if faster := [row for row in _tier_of(best, group) if is_faster(row, best)]:
        chosen = find_fastest(faster)
        gap = points((chosen.score("miou").mean or 0.0) - (best.score("miou").mean or 0.0))
        faster_by = say_how_much_faster(chosen, best)
        yield Card(title, chosen.name, f"{faster_by}; {gap} points of mIoU against {best.name}, not significant")
    elif speed := shown_speed(best):
        yield Card(title, best.name, f"{significant(speed.images_per_second)} images/s; no faster method is as good")


def _claim(claim: Contrast, group: Group) -> Card:
    parts = [f"{difference_text(claim)} over {claim.other.name}"]
    parts += [
        f"{difference_text(one)} over its {one.other.placebo} placebo" for one in _over_placebos(claim.row, group)
    ]
    return Card(
        f"Claim: {claim.row.name}", verdict_in_words(claim).replace("A is ", "").partition(";")[0], "; ".join(parts)
    )


def _cells(report: Report) -> Card:
    failed = len(report.without_result)
    warned = sum(
        record.seed in row.constant
        or bool(record.health and record.health.verdict not in (*HARMLESS_HEALTH, *expected_health(row)))
        for group in report.groups
        for row in group.rows
        for record in row.records
    )
    unread = f", {plural(len(report.problems), 'file')} not read" if report.problems else ""
    return Card("Cells", str(len(report.records)), f"{failed} without a result, {warned} with warnings{unread}")


def _tier_of(best: Row, group: Group) -> list[Row]:
    """Return the rows of the best one's tier, itself among them."""
    tier = best.statistics.tier
    return [row for row in _methods(group) if row is best or (tier is not None and row.statistics.tier == tier)]


def _tier_text(best: Row, group: Group) -> str:
    others = len(_tier_of(best, group)) - 1
    if best.statistics.tier is None:
        return _why_no_tier(best)
    return f"{others} more in its tier" if others else "alone in its tier"


def _methods(group: Group) -> list[Row]:
    """Return the rows with label maps that are no placebos, best first."""
    return [row for row in select_segmenting(group.rows) if not row.placebo_of]


def _count_failures(report: Report) -> str:
    states: dict[str, int] = {}
    for record in report.without_result:
        states[record.status] = states.get(record.status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in states.items()) or "there are none"


def _range(numbers: Iterable[int], noun: str) -> str:
    ends = sorted(set(numbers))
    return f"{ends[0]} to " * (len(ends) > 1) + plural(ends[-1], noun)
