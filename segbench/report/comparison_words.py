"""What a comparison of two methods says, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.stats.score_differences import LOWER_IS_BETTER

from .numbers import points_interval, signed_points, significant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.stats.intervals import Interval
    from segbench.stats.score_differences import ScoreDifference

    from .cost_comparison import CostComparison
    from .family import Contrast
    from .gains import Gains, PartGain

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
STAGE_NAMES = {"forward": "the network alone", "labels": "with resizing and argmax", "loading": "with loading as well"}


def with_bounds(fraction: float | None, interval: Interval | None) -> str:
    """Return a difference in points with its interval.

    >>> from segbench.stats.intervals import Interval
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
