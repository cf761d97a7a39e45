"""The layout of a comparison of two methods as text: tables, and sentences that say what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.formats.layout import Document, Section, describe_conditions, name_section
from segbench.report.formats.tables import collapse_words, inert_words, verdict_text
from segbench.report.numbers import join_with_and, points, points_interval
from segbench.report.ranking.timings import ratio_text
from segbench.stats.score_differences import LOWER_IS_BETTER
from segbench.stats.verdict import LEAST_SEEDS_FOR_A_VERDICT, MOST_SEEDS_SUGGESTED

from . import tables
from .tables import PART_NAMES, SCORE_NAMES, points_with_interval, short_percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.report.numbers import Table
    from segbench.report.ranking.differences import Contrast, Terms
    from segbench.stats.score_differences import ScoreDifference

    from .compare import Comparisons, MethodComparison
    from .costs import CostComparison
    from .gains import Gains, PartGain


STAGE_NAMES = {"forward": "the network alone", "argmax": "with resizing and argmax", "loading": "with loading as well"}


TERMS: dict[Terms, str] = {
    "equal steps": "Both were trained for equal steps.",
    "equal seconds": "Both were trained for equal measured seconds.",
    "different budgets": "They were trained for different numbers of steps.",
    "unknown": "It is not known for both how long they were trained.",
}


def lay_out_comparisons(comparisons: Comparisons) -> Document:
    """Lay out the comparison of two methods in each ranking."""
    closing = [f"Not compared in another ranking: {reason}" for reason in comparisons.refused]
    closing.append(f"Records: {', '.join(str(folder) for folder in comparisons.folders)}")
    return Document(tuple(map(_comparison, comparisons.found)), (), tuple(closing))


def _comparison(found: MethodComparison) -> Section:
    group = found.ranking.group
    one, other = found.names
    return Section(
        title=f"A = {one}, B = {other}: {group.data.benchmark} / {group.data.dataset}",
        conditions=(group.data.heading, *describe_conditions(group), f"{found.relation} {TERMS[found.claim.terms]}"),
        lead=(
            headline(found.claim, found.settings.margin),
            *among_all_words(found),
            *placebo_words(found.triplets),
        ),
        tables=tuple(_tables(found)),
        notes=(*_notes(found), *_definitions(found)),
        name=f"{name_section(group)} {one} {other}",
    )


def _tables(found: MethodComparison) -> Iterable[Table]:
    """Return the tables, each with the lines below it; of one without rows only its title is shown."""
    gains = found.gains
    yield tables.by_seed(found)
    yield tables.evidence(found)
    if len(found.contrasts) > 1:
        yield tables.family(found)
    below_parts = (*contribution_words(found.claim, gains), *filter(None, [rare_words(gains)]))
    yield tables.parts(found)._replace(notes=below_parts)
    yield tables.classes(found)
    yield tables.images(found)
    yield tables.scores(found)._replace(notes=tuple(score_words(found.scores)))
    yield tables.costs(found)._replace(notes=tuple(speed_words(found.cost)))


def _notes(found: MethodComparison) -> list[str]:
    return [*(f"Ignored: {line}" for line in found.ignored), *found.notes]


def _definitions(found: MethodComparison) -> Iterable[str]:
    difference, settings = found.claim.difference, found.settings
    groups = f" in {found.clusters} groups (such as sequences) that are drawn as a whole" if found.clusters else ""
    yield (
        f"Scores: {found.definition}, computed from the counts of {difference.images} images{groups}. Intervals: "
        f"{settings.resamples} resamples of images and seeds (crossed bootstrap), the same for both methods. Verdicts "
        f"hold for all differences of this comparison together at {short_percent(settings.level)} (Holm); equivalent "
        f"means within {100 * settings.margin:g} points. `segbench report` judges all differences of a ranking "
        "together, so its intervals for the same methods can be wider. No verdict depends on the sign-flip p."
    )
    if found.gains.parts:
        yield (
            "What a part adds to A - B: the change in mIoU when only the pixels of this part come from A's label maps, "
            "averaged over both orders of replacing B's pixels by A's (Shapley), so that both parts make up A - B; for "
            "classes their share of the mean. Boundary bands: pixels near those of another class in the truth "
            "(protocol.boundaries.iou_width). Small objects: connected pixels of one class, less than 1/300 of the "
            "image. mIoU in a part counts only its pixels; recall is the share of its pixels that is right, averaged "
            "over classes."
        )


def headline(claim: Contrast, margin: float) -> str:
    """Return the verdict on A - B in a sentence or two, and what limits it; `margin` is as in `judge`."""
    collapses = (f"{words}; with other seeds it may or may not." for words in collapse_words(claim))
    inert = (
        f"{words}, {'so this is' if seeds == claim.seeds else 'which is'} no test of it."
        for words, seeds in zip(inert_words(claim), claim.inert.values(), strict=True)
    )
    return " ".join([_verdict(claim, margin), *collapses, *inert])


def _verdict(claim: Contrast, margin: float) -> str:
    one, other = claim.row.name, claim.other.name
    difference, judgement = claim.difference, claim.judgement
    estimate = points_with_interval(difference.estimate, judgement.interval)
    if judgement.verdict in ("better", "worse"):
        size = abs(100 * difference.estimate)
        low, high = sorted(abs(100 * bound) for bound in judgement.interval)
        return f"{one} is {judgement.verdict} than {other} by {size:.2f} points [{low:.2f}, {high:.2f}]."
    if judgement.verdict == "equivalent":
        return f"{one} and {other} are equivalent within {100 * margin:g} points: A - B is {estimate}."
    if difference.seeds == 1:
        return (
            f"Undecided: there is only one seed in common. A - B is {estimate} points; this interval covers the images "
            "only, and another seed may give another result. Run more seeds."
        )
    if judgement.obstacle == "few seeds":
        return (
            f"Undecided: there are only two seeds in common, and a verdict needs {LEAST_SEEDS_FOR_A_VERDICT}. A - B is "
            f"{estimate} points. Run more seeds."
        )
    if judgement.obstacle == "no variance":
        return (
            f"Undecided: A - B is {estimate} points with every seed alike, which shows nothing of how seeds differ. "
            "See whether both methods predict one class everywhere or give the same maps."
        )
    smallest = f"this design can detect only differences above {100 * judgement.smallest_effect:.2f} points"
    return f"Undecided: A - B is {estimate} points; {smallest}. {_what_would_decide(claim)}"


def among_all_words(found: MethodComparison) -> Iterable[str]:
    """Say what the verdict is among all pairs of the ranking, which tiers are made of."""
    tiers = "pairs of its ranking, as in the tiers of `segbench report`"
    if found.pairs is None:
        yield f"Among all {tiers}, it may be another: see `segbench report --pairs`."
    if found.among_all is None or not found.pairs or found.pairs < 2:
        return
    estimate, interval, verdict = found.among_all.seen_from(found.names[0])
    yield f"Among all {found.pairs} {tiers}, it is {verdict}: {points_with_interval(estimate, interval)} points."


def placebo_words(triplets: Iterable[tuple[Contrast, Contrast]]) -> Iterable[str]:
    """Say for each placebo, from what it gains over B and what A gains over it, what the discriminator contributes."""
    no_gain = ""
    for placebo, left in triplets:
        one, other, name = left.row.name, placebo.other.name, left.other.name
        remains = left.difference.estimate
        gain = placebo.difference.estimate + remains
        if gain <= 0:
            if not no_gain:
                no_gain = f"{one} does not beat {other}, so there is nothing to attribute to the discriminator."
                yield no_gain
            yield f"Against its placebo {name} it gains {_describe(left)}."
        elif remains > gain:
            own, its = _describe(left), _describe(placebo)
            yield f"{one} gains {own} over its placebo {name}, which gains {its} over {other}."
        elif remains <= 0:
            yield f"Nothing of the gain of {100 * gain:.2f} points remains over the placebo {name}: {_describe(left)}."
        else:
            size = f"{100 * remains:.2f} {points_interval(left.judgement.interval)}"
            verdict = verdict_text(left)
            yield f"Of the gain of {100 * gain:.2f} points, {size} remain over the placebo {name} ({verdict})."


def contribution_words(claim: Contrast, gains: Gains) -> Iterable[str]:
    """Say how much of A - B the parts of each pair explain, and which pairs could not be computed."""
    for first, second in zip(gains.parts[::2], gains.parts[1::2], strict=True):
        yield _explain(claim, first, second)
    for name, reason in gains.missing.items():
        yield f"Not computed for {PART_NAMES[name]}: {reason}."


def rare_words(gains: Gains) -> str | None:
    """Name the rare classes."""
    if not gains.rare:
        return None
    return f"Rare classes (together at most a tenth of the labelled pixels): {', '.join(gains.rare)}."


def score_words(scores: Sequence[ScoreDifference]) -> Iterable[str]:
    """Say for which scores lower is better, and whose intervals do not cover both seeds and images."""
    if less := [SCORE_NAMES[score.name] for score in scores if score.name in LOWER_IS_BETTER]:
        yield f"Lower is better for {join_with_and(less)}."
    for over in ("images", "seeds"):
        if named := [SCORE_NAMES[score.name] for score in scores if score.over == over]:
            yield f"Intervals over {over} only: {join_with_and(named)}."


def speed_words(cost: CostComparison) -> Iterable[str]:
    """Say how fast A runs beside B."""
    if not cost.speeds:
        why = "not timed in one session, so there is no ratio" if cost.timed else "not both methods were timed"
        why = why if cost.together else "they ran under different conditions, so there is no ratio"
        yield f"Inference: {why}."
    for speed in cost.speeds:
        ratio = ratio_text(speed.ratio)
        said = f"A runs {ratio} times as fast as B" if speed.ratio.is_measured else f"A / B is {ratio}"
        yield f"Inference, {STAGE_NAMES[speed.stage]}, batch {speed.batch}: {said}."


def _describe(contrast: Contrast) -> str:
    estimate = points_with_interval(contrast.difference.estimate, contrast.judgement.interval)
    return f"{estimate} points ({verdict_text(contrast)})"


def _what_would_decide(contrast: Contrast) -> str:
    needed, seeds = contrast.judgement.seeds_needed, contrast.difference.seeds
    if needed is None:
        return f"If the estimate stays the same, even {MOST_SEEDS_SUGGESTED} seeds do not decide it; more images may."
    return f"If the estimate stays the same, {needed} seeds in all decide it ({needed - seeds} more)."


def _explain(claim: Contrast, first: PartGain, second: PartGain) -> str:
    whole = claim.difference.estimate
    decided = claim.judgement.verdict in ("better", "worse")
    values = [part.adds.estimate for part in (first, second)]
    same_way = all(value * whole >= 0 for value in values)
    first_adds, second_adds = (
        points(value) + (f" ({100 * value / whole:.0f} %)" if decided and same_way else "") for value in values
    )
    reading = " A - B is undecided, and so is this." if claim.judgement.verdict == "undecided" else ""
    where = f"the {PART_NAMES[first.name]} ({100 * first.pixels:.1f} % of the pixels)"
    rest = f"the {PART_NAMES[second.name]} {second_adds}"
    return f"Of A - B, {points(whole)} points, {where} add {first_adds}, {rest}.{reading}"
