"""The tables of a comparison of two methods, which their headers call A and B."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.formats.tables import verdict_text
from segbench.report.numbers import (
    MISSING,
    Table,
    percent,
    percent_with_sd,
    points,
    points_interval,
    points_with_sd,
    significant,
    significant_with_sd,
    times,
)
from segbench.stats.difference import sign_flip_floor
from segbench.stats.summary import summarize

if TYPE_CHECKING:
    from segbench.report.ranking.differences import Contrast
    from segbench.stats.gains import ImageGain
    from segbench.stats.score_differences import ScoreDifference
    from segbench.stats.summary import Interval
    from segbench.stats.verdict import Judgement

    from .compare import MethodComparison
    from .gains import ClassGain, PartGain


PART_NAMES = {
    "band": "boundary bands",
    "interior": "interiors",
    "small": "small objects",
    "large": "other pixels",
    "rare": "rare classes",
    "frequent": "frequent classes",
}


SCORE_NAMES = {
    "boundary_iou": "Boundary IoU",
    "boundary_f1": "boundary F1",
    "per_image_miou": "per-image mIoU",
    "pixel_accuracy": "pixel accuracy",
    "ece": "ECE",
    "nll": "NLL",
    "brier": "Brier",
}


# The units of the scores that are not shown in percent, their differences not in points.
SCORE_UNITS = {"nll": "nats", "brier": ""}


def by_seed(found: MethodComparison) -> Table:
    """Return the mIoU of both with each seed, and the mean."""
    ours, theirs = found.miou
    apart = found.claim.difference.by_seed
    rows = [[f"seed {seed}", percent(ours[seed]), percent(theirs[seed]), points(apart[seed])] for seed in apart]
    one, other = found.summaries
    mean = ["mean ± sd", percent_with_sd(one), percent_with_sd(other), points_with_sd(summarize(apart.values()))]
    return Table(["mIoU [%]", "A", "B", "A - B"], [*rows, mean], name="seeds")


def evidence(found: MethodComparison) -> Table:
    """Return what is known of A - B, one fact in each line."""
    difference, judgement, number = found.claim.difference, found.claim.judgement, len(found.contrasts)
    together = f", {short_percent(found.settings.level)} for all {number} below together" if number > 1 else ""
    estimate = points_with_interval(difference.estimate, judgement.interval)
    facts = [
        (f"points of mIoU [{short_percent(judgement.level)} interval{together}]", estimate),
        ("verdict", verdict_text(found.claim)),
        ("probability that A beats B with a new seed and images [95 % interval]", _probability(found.claim)),
        ("sign-flip p over the seeds (smallest possible with so many)", _sign_flip(found.claim)),
        ("smallest difference that this design detects (80 % power), points", _smallest_effect(judgement)),
        ("seeds in all that would decide it if the estimate stays the same", _seeds_needed(judgement)),
    ]
    return Table(["A - B", ""], [list(fact) for fact in facts], name="evidence")


def family(found: MethodComparison) -> Table:
    """Return the differences of this comparison, which are judged together."""
    headers = ["difference", "seeds", "mIoU\n[points]", "smallest\neffect", "seeds\nneeded", "verdict"]
    rows = [_member(found, contrast) for contrast in found.contrasts]
    title = (
        f"Family of this comparison: {len(rows)} differences judged together at {short_percent(found.settings.level)}"
    )
    return Table(headers, rows, title, words=(0, 5), name="family")


def scores(found: MethodComparison) -> Table:
    """Return the differences in the other scores."""
    rows = [_score(one) for one in found.scores]
    return Table(
        ["score", "A", "B", "A - B", "interval"], rows, f"Other scores{_note_no_adjustment(found)}", name="scores"
    )


def classes(found: MethodComparison) -> Table:
    """Return the differences in IoU class by class."""
    rows = [_class(one, found.settings.level) for one in found.gains.classes]
    headers = ["class", "pixels [%]", "A", "B", "A - B", "interval"]
    return Table(headers, rows, f"IoU by class [%]{_note_no_adjustment(found)}", name="classes")


def parts(found: MethodComparison) -> Table:
    """Return the differences in parts of the images, and what each part adds to A - B."""
    rows = [_part(one, found.settings.level) for one in found.gains.parts]
    headers = ["part", "pixels\n[%]", "score\nin it", "A", "B", "A - B in it\n[points]", "adds to A - B\n[points]"]
    return Table(headers, rows, f"Where the gain lies{_note_no_adjustment(found) if rows else ''}", name="parts")


def images(found: MethodComparison) -> Table:
    """Return the images that gain and lose most."""
    there = found.gains.images
    rows = [_image("gain", gain) for gain in there.gained] + [_image("loss", loss) for loss in there.lost]
    title = f"Per-image mIoU: A is better on {there.better} of {there.images} images, worse on {there.worse}"
    return Table(["image", "", "A - B [points], mean ± sd over seeds"], rows, title, words=(0, 1), name="images")


def costs(found: MethodComparison) -> Table:
    """Return what both cost."""
    cost = found.cost
    seconds = [significant(cost.one_seconds.mean), significant(cost.other_seconds.mean)]
    parameters = [significant(number, 1e6) for number in (cost.one_parameters, cost.other_parameters)]
    rows = [
        ["training [s]", *seconds, times(cost.seconds_ratio)],
        ["parameters [M]", *parameters, times(cost.parameters_ratio)],
    ]
    return Table(["cost", "A", "B", "A / B"], rows, name="costs")


def _note_no_adjustment(found: MethodComparison) -> str:
    return f" ({short_percent(found.settings.level)} intervals, each on its own)"


def _member(found: MethodComparison, contrast: Contrast) -> list[str]:
    judgement = contrast.judgement
    return [
        _member_name(found, contrast),
        str(contrast.difference.seeds),
        points_with_interval(contrast.difference.estimate, judgement.interval),
        _smallest_effect(judgement),
        _seeds_needed(judgement),
        verdict_text(contrast),
    ]


def _member_name(found: MethodComparison, contrast: Contrast) -> str:
    letters = dict(zip(found.names, "AB", strict=True))
    one, other = (letters.get(row.name, row.name) for row in (contrast.row, contrast.other))
    return f"{one} - {other}" + (f" ({contrast.terms})" if contrast.relation in ("claim", "opponent") else "")


def _smallest_effect(judgement: Judgement) -> str:
    return f"{100 * judgement.smallest_effect:.2f}"


def _seeds_needed(judgement: Judgement) -> str:
    return MISSING if judgement.seeds_needed is None else str(judgement.seeds_needed)


def _score(found: ScoreDifference) -> list[str]:
    in_percent, apart, interval = found.name not in SCORE_UNITS, found.difference.mean, found.interval
    show = percent_with_sd if in_percent else significant_with_sd
    cells = [points(apart), points_interval(interval)] if in_percent else [_plain(apart), _plain_bounds(interval)]
    unit = "%" if in_percent else SCORE_UNITS[found.name]
    label = SCORE_NAMES[found.name] + (f" [{unit}]" if unit else "")
    return [label, show(found.one), show(found.other), *cells]


def _class(found: ClassGain, level: float) -> list[str]:
    apart = found.difference
    interval = apart and points_interval(apart.interval(level))
    cells = [found.name, percent(found.pixels), percent(found.one), percent(found.other)]
    return [*cells, points(apart.estimate if apart else None), interval or MISSING]


def _part(found: PartGain, level: float) -> list[str]:
    return [
        PART_NAMES[found.name],
        f"{100 * found.pixels:.1f}",
        "recall" if found.name in ("small", "large") else "mIoU",
        percent(found.one.mean),
        percent(found.other.mean),
        points_with_interval(found.within.estimate, found.within.interval(level)),
        points_with_interval(found.adds.estimate, found.adds.interval(level)),
    ]


def _image(kind: str, found: ImageGain) -> list[str]:
    return [found.image, kind, points_with_sd(found.difference)]


def _probability(contrast: Contrast) -> str:
    low, high = contrast.difference.probability_interval
    return f"{contrast.difference.probability:.2f} [{low:.2f}, {high:.2f}]"


def _sign_flip(contrast: Contrast) -> str:
    return f"{contrast.difference.sign_flip_p:.3g} ({sign_flip_floor(contrast.difference.seeds):.3g})"


def _plain(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.4f}"


def _plain_bounds(interval: Interval | None) -> str:
    return MISSING if interval is None else f"[{interval[0]:+.4f}, {interval[1]:+.4f}]"


def points_with_interval(fraction: float | None, interval: Interval | None) -> str:
    """Return a difference in points with its interval.

    >>> from segbench.stats.summary import Interval
    >>> points_with_interval(0.012, Interval(0.004, 0.02)), points_with_interval(None, None)
    ('+1.20 [+0.40, +2.00]', '-')
    """
    return points(fraction) + (f" {points_interval(interval)}" if interval else "")


def short_percent(level: float) -> str:
    """Return a fraction of 1 in percent, as short as it goes.

    >>> short_percent(0.95), short_percent(0.9833333)
    ('95 %', '98.33 %')
    """
    return f"{round(100 * level, 2):g} %"
