"""The tables of a comparison of two methods; the methods are A and B in their headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.stats.sign_flip import sign_flip_floor
from segbench.stats.summary import summarize

from .comparison_words import PART_NAMES, SCORES, share, with_bounds
from .numbers import MISSING, percent, points, points_interval, signed_points, significant, spread, times
from .table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.stats.gains import ImageGain
    from segbench.stats.intervals import Interval
    from segbench.stats.score_differences import ScoreDifference
    from segbench.stats.summary import Summary
    from segbench.stats.verdict import Judgement

    from .comparison import MethodComparison
    from .family import Contrast
    from .gains import ClassGain, PartGain

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
