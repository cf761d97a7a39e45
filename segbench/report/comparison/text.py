"""The tables of a comparison of two methods; the methods are A and B in their headers.

A comparison of two methods as text for the terminal.

What a comparison of two methods says, in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.formats.text import terminal_table, wrapped
from segbench.report.numbers import (
    MISSING,
    Table,
    percent,
    points,
    points_interval,
    signed_points,
    significant,
    spread,
    times,
)
from segbench.stats.difference import sign_flip_floor
from segbench.stats.gains import LOWER_IS_BETTER
from segbench.stats.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from segbench.stats.gains import ImageGain, ScoreDifference
    from segbench.stats.summary import Interval, Summary
    from segbench.stats.verdict import Judgement

    from .compare import Comparisons, MethodComparison
    from .family import Contrast, CostComparison, Terms
    from .gains import ClassGain, Gains, PartGain


# The units of the scores that are not shown in percent, their differences not in points.
UNITS = {"nll": "nats", "brier": ""}


def by_seed(found: MethodComparison) -> Table:
    """Return the mIoU of both with each seed, and the mean."""
    ours, theirs = found.miou
    apart = found.claim.difference.by_seed
    rows = [
        [f"seed {seed}", _percent(ours[seed]), _percent(theirs[seed]), signed_points(apart[seed])] for seed in apart
    ]
    one, other = found.summaries
    mean = ["mean ± sd", percent(one), percent(other), points(summarize(apart.values()))]
    return Table(["mIoU [%]", "A", "B", "A - B"], [*rows, mean])


def evidence(found: MethodComparison) -> Table:
    """Return what is known of A - B, one fact a line."""
    difference, judgement, number = found.claim.difference, found.claim.judgement, len(found.contrasts)
    together = f", {share(found.settings.level)} for all {number} below" if number > 1 else ""
    told = with_bounds(difference.estimate, judgement.interval)
    facts = [
        (f"points of mIoU [{share(judgement.level)} interval{together}]", told),
        ("verdict", judgement.verdict),
        ("probability that A beats B with a new seed and images [95 % interval]", _probability(found.claim)),
        ("sign-flip p over the seeds (the lowest these could give)", _sign_flip(found.claim)),
        (
            "smallest difference that could have been seen (80 % power), points",
            f"{100 * judgement.smallest_effect:.2f}",
        ),
        ("seeds in all that would settle it if the estimate held", _seeds_needed(judgement)),
    ]
    return Table(["A - B", ""], [list(fact) for fact in facts])


def family(found: MethodComparison) -> Table:
    """Return all the differences that are judged together."""
    headers = ["difference", "seeds", "mIoU\n[points]", "could have\nseen", "seeds to\nsettle", "verdict"]
    rows = [_member(found, contrast) for contrast in found.contrasts]
    return Table(headers, rows, f"Judged together (intervals at {share(found.settings.level)} for all of them)")


def scores(found: MethodComparison) -> Table:
    """Return the differences in the other scores."""
    rows = [_score(one) for one in found.scores]
    return Table(["score", "A", "B", "A - B", "interval"], rows, f"Other scores{_unadjusted(found)}")


def classes(found: MethodComparison) -> Table:
    """Return the differences in IoU class by class."""
    rows = [_class(one, found.settings.level) for one in found.gains.classes]
    headers = ["class", "pixels [%]", "A", "B", "A - B", "interval"]
    return Table(headers, rows, f"IoU by class [%]{_unadjusted(found)}")


def parts(found: MethodComparison) -> Table:
    """Return the differences in parts of the images, and what each part adds to A - B."""
    rows = [_part(one, found.settings.level) for one in found.gains.parts]
    headers = ["part", "pixels\n[%]", "score\nin it", "A", "B", "A - B in it\n[points]", "adds to A - B\n[points]"]
    return Table(headers, rows, f"Where the gain lies{_unadjusted(found) if rows else ''}")


def images(found: MethodComparison) -> Table:
    """Return the images that gain and lose most."""
    there = found.gains.images
    rows = [[*_image("gain", gain)] for gain in there.gained] + [[*_image("loss", loss)] for loss in there.lost]
    title = f"Per-image mIoU: A is better on {there.better} of {there.images} images, worse on {there.worse}"
    return Table(["image", "", "A - B [points], mean ± sd over seeds"], rows, title)


def costs(found: MethodComparison) -> Table:
    """Return what both cost."""
    cost = found.cost
    seconds = [significant(cost.one_seconds.mean), significant(cost.other_seconds.mean)]
    parameters = [significant(number, 1e6) for number in (cost.one_parameters, cost.other_parameters)]
    rows = [
        ["training [s]", *seconds, times(cost.seconds_ratio)],
        ["parameters [M]", *parameters, times(cost.parameters_ratio)],
    ]
    return Table(["cost", "A", "B", "A / B"], rows)


def _unadjusted(found: MethodComparison) -> str:
    return f" ({share(found.settings.level)} intervals, each on its own)"


def _member(found: MethodComparison, contrast: Contrast) -> list[str]:
    judgement = contrast.judgement
    return [
        _member_name(found, contrast),
        str(contrast.difference.seeds),
        with_bounds(contrast.difference.estimate, judgement.interval),
        f"{100 * judgement.smallest_effect:.2f}",
        _seeds_needed(judgement),
        judgement.verdict,
    ]


def _member_name(found: MethodComparison, contrast: Contrast) -> str:
    letters = dict(zip(found.names, "AB", strict=True))
    one, other = (letters.get(name, name) for name in (contrast.member.one, contrast.member.other))
    return f"{one} - {other}" + (f" ({contrast.member.terms})" if contrast.member.role in ("claim", "opponent") else "")


def _seeds_needed(judgement: Judgement) -> str:
    return MISSING if judgement.seeds_needed is None else str(judgement.seeds_needed)


def _score(found: ScoreDifference) -> list[str]:
    in_percent, apart, interval = found.name not in UNITS, found.difference.mean, found.interval
    show: Callable[[Summary], str] = percent if in_percent else spread
    told = [signed_points(apart), points_interval(interval)] if in_percent else [_plain(apart), _plain_bounds(interval)]
    unit = "%" if in_percent else UNITS[found.name]
    label = SCORES[found.name] + (f" [{unit}]" if unit else "")
    return [label, show(found.one), show(found.other), told[0], told[1]]


def _class(found: ClassGain, level: float) -> list[str]:
    apart = found.difference
    told = (
        [MISSING, MISSING] if apart is None else [signed_points(apart.estimate), points_interval(apart.interval(level))]
    )
    return [found.name, f"{100 * found.pixels:.2f}", _percent(found.one), _percent(found.other), *told]


def _part(found: PartGain, level: float) -> list[str]:
    return [
        PART_NAMES[found.name],
        f"{100 * found.pixels:.1f}",
        "recall" if found.name in ("small", "large") else "mIoU",
        _percent(found.one.mean),
        _percent(found.other.mean),
        with_bounds(found.within.estimate, found.within.interval(level)),
        with_bounds(found.adds.estimate, found.adds.interval(level)),
    ]


def _image(kind: str, found: ImageGain) -> tuple[str, str, str]:
    return found.image, kind, points(found.difference)


def _probability(contrast: Contrast) -> str:
    low, high = contrast.difference.probability_interval
    return f"{contrast.difference.probability:.2f} [{low:.2f}, {high:.2f}]"


def _sign_flip(contrast: Contrast) -> str:
    return f"{contrast.difference.sign_flip_p:.3g} ({sign_flip_floor(contrast.difference.seeds):.3g})"


def _percent(fraction: float | None) -> str:
    return MISSING if fraction is None else f"{100 * fraction:.2f}"


def _plain(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.4f}"


def _plain_bounds(interval: Interval | None) -> str:
    return MISSING if interval is None else f"[{interval[0]:+.4f}, {interval[1]:+.4f}]"


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
        *map(terminal_table, [by_seed(found), evidence(found)]),
        *([terminal_table(family(found))] if len(found.contrasts) > 1 else []),
        *map(_shown, _further_tables(found)),
        _lines([*_notes(found), *_definitions(found)]),
    ]
    return "\n\n".join(parts)


def _further_tables(found: MethodComparison) -> Iterable[tuple[Table, list[str]]]:
    """Return the tables below the verdict, each with what is said beneath it; one without rows is left out."""
    gains = found.gains
    below_parts = [*contribution_words(found.claim, gains), *filter(None, [rare_words(gains)])]
    yield parts(found), below_parts
    yield classes(found), []
    yield images(found), []
    yield scores(found), list(score_words(found.scores))
    yield costs(found), list(speed_words(found.cost))


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


PART_NAMES = {
    "band": "boundary bands",
    "interior": "interiors",
    "small": "small objects",
    "large": "other pixels",
    "rare": "rare classes",
    "frequent": "frequent classes",
}


SCORES = {
    "boundary_iou": "Boundary IoU",
    "boundary_f1": "boundary F1",
    "per_image_miou": "per-image mIoU",
    "pixel_accuracy": "pixel accuracy",
    "ece": "ECE",
    "nll": "NLL",
    "brier": "Brier",
}


STAGE_NAMES = {"forward": "the network alone", "argmax": "with resizing and argmax", "loading": "with loading as well"}


def with_bounds(fraction: float | None, interval: Interval | None) -> str:
    """Return a difference in points with its interval.

    >>> from segbench.stats.summary import Interval
    >>> with_bounds(0.012, Interval(0.004, 0.02)), with_bounds(None, None)
    ('+1.20 [+0.40, +2.00]', '-')
    """
    return signed_points(fraction) + (f" {points_interval(interval)}" if interval else "")


def share(level: float) -> str:
    """Return a fraction of 1 in percent, as short as it goes.

    >>> share(0.95), share(0.9833333)
    ('95 %', '98.33 %')
    """
    return f"{round(100 * level, 2):g} %"


def headline(claim: Contrast, margin: float) -> str:
    """Return the verdict on A - B in a sentence or two; `margin` is that of "equivalent", a fraction of 1."""
    one, other = claim.member.one, claim.member.other
    difference, judgement = claim.difference, claim.judgement
    told = with_bounds(difference.estimate, judgement.interval)
    if judgement.verdict in ("better", "worse"):
        size = abs(100 * difference.estimate)
        low, high = sorted(abs(100 * bound) for bound in judgement.interval)
        return f"{one} is {judgement.verdict} than {other} by {size:.2f} points [{low:.2f}, {high:.2f}]."
    if judgement.verdict == "equivalent":
        return f"{one} and {other} are equivalent within {100 * margin:g} points: A - B is {told}."
    if difference.seeds == 1:
        return (
            f"Undecided, for there is one seed in common: A - B is {told} points, and this interval is over the images "
            "only. Another seed may give anything; run more."
        )
    smallest = f"{100 * judgement.smallest_effect:.2f}"
    seen = f"this design could not have seen less than {smallest}"
    return f"Undecided: A - B is {told} points; {seen}. {_settling(claim)}"


def left_over_words(triplets: Iterable[tuple[Contrast, Contrast]]) -> Iterable[str]:
    """Say for each placebo, from what it gains over B and what A gains over it, what is left of A's gain."""
    for placebo, left in triplets:
        one, other, name = left.member.one, placebo.member.other, left.member.other
        remains = left.difference.estimate
        gain = placebo.difference.estimate + remains
        if gain <= 0:
            yield f"There is no gain over {other} to explain; over its placebo {name}, {one} gains {_told(left)}."
        elif remains > gain:
            yield f"Placebo {name} gains nothing over {other} ({_told(placebo)}); over it {one} gains {_told(left)}."
        elif remains <= 0:
            yield f"Of the gain of {100 * gain:.2f} points nothing is left over the placebo {name} ({_told(left)})."
        else:
            size = f"{100 * remains:.2f} {points_interval(left.judgement.interval)}"
            verdict = left.judgement.verdict
            yield f"Of the gain of {100 * gain:.2f} points, {size} is left over the placebo {name}: {verdict}."


def contribution_words(claim: Contrast, gains: Gains) -> Iterable[str]:
    """Say how much of A - B the parts of each pair explain, and of which pairs nothing can be told."""
    for first, second in zip(gains.parts[::2], gains.parts[1::2], strict=True):
        yield _explained(claim, first, second)
    for name, reason in gains.missing.items():
        yield f"Nothing can be said of {_pair_name(name)}: {reason}."


def rare_words(gains: Gains) -> str | None:
    """Name the rare classes."""
    if not gains.rare:
        return None
    return f"Rare, together at most a tenth of the labelled pixels: {', '.join(gains.rare)}."


def score_words(scores: Sequence[ScoreDifference]) -> Iterable[str]:
    """Say of which scores less is better, and whose intervals are not over seeds and images both."""
    if less := [SCORES[score.name] for score in scores if score.name in LOWER_IS_BETTER]:
        yield f"Of {_listed(less)} less is better."
    for over in ("images", "seeds"):
        if named := [SCORES[score.name] for score in scores if score.over == over]:
            yield f"Intervals over the {over} alone: {_listed(named)}."


def speed_words(cost: CostComparison) -> Iterable[str]:
    """Say how fast A runs beside B."""
    if not cost.speeds:
        why = "were not timed in one session, so there is no ratio" if cost.timed else "were not both timed"
        yield f"Inference: the two {why}."
    for speed in cost.speeds:
        low, high = speed.ratio.interval
        told = f"{significant(speed.ratio.estimate)} [{significant(low)}, {significant(high)}]"
        yield f"Inference, {STAGE_NAMES[speed.stage]}, batch {speed.batch}: A runs {told} times as fast as B."


def _told(contrast: Contrast) -> str:
    told = with_bounds(contrast.difference.estimate, contrast.judgement.interval)
    return f"{told}, {contrast.judgement.verdict}"


def _settling(contrast: Contrast) -> str:
    needed, seeds = contrast.judgement.seeds_needed, contrast.difference.seeds
    if needed is None:
        return "If the estimate held, no number of seeds would settle it; more images might."
    return f"If the estimate held, {needed} seeds in all would settle it ({needed - seeds} more)."


def _explained(claim: Contrast, first: PartGain, second: PartGain) -> str:
    whole = claim.difference.estimate
    decided = claim.judgement.verdict in ("better", "worse")
    values = [part.adds.estimate for part in (first, second)]
    same_way = all(value * whole >= 0 for value in values)
    first_told, second_told = (
        signed_points(value) + (f" ({100 * value / whole:.0f} %)" if decided and same_way else "") for value in values
    )
    reading = "" if decided else " A - B is not decided, so neither is this."
    where = f"the {PART_NAMES[first.name]} ({100 * first.pixels:.1f} % of the pixels)"
    rest = f"the {PART_NAMES[second.name]} {second_told}"
    return f"Of A - B, {signed_points(whole)} points, {where} add {first_told}, {rest}.{reading}"


def _pair_name(name: str) -> str:
    return {"band": "boundary bands", "small": "small objects", "rare": "rare classes"}[name]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), names[-1]])
