"""Health of adversarial training: a verdict by fixed rules over the course of a cell.

The rules look at the last third of the points, "the end", unless they say otherwise: means of scores and accuracies,
medians of gradients, so that one spike does not decide. The first rule that applies gives the verdict:

    verdict      rule
    diverged     a number was not finite at more than NON_FINITE_SHARE of the end's points (an fp16 step that
                 overflows now and then is skipped and does no harm); this rule needs no minimum of points
    unknown      fewer than MINIMUM_POINTS points, or none at the end that measures discriminator or samples
    diverged     the norm of the discriminator's gradient, or of the adversarial one at the generator's output, is
                 above GRADIENT_LIMIT; or the gap between real and fake scores, or the discriminator's loss, is above
                 SCORE_LIMIT in size and GROWTH times that of the middle third
    collapsed    generated images of a batch differ by less than DIVERSITY_FLOOR, or by less than DIVERSITY_SHARE of
                 what real ones do, or of their own largest distance in the course; or almost all pixels are given one
                 class where the truth has several (class entropy below CLASS_ENTROPY_FLOOR of the truth's); or
                 predictions are one-hot everywhere (entropy below ENTROPY_FLOOR) while the adversarial gradient is
                 larger than the supervised one
    saturated    the discriminator is right on more than WON of the reals and of the fakes: it has won, and the
                 generator learns at most how to hide an artefact
    inert        the adversarial gradient at the generator's output, times its weight, is below SAY of the supervised
                 one, so the discriminator had no say in what the generator learnt, whatever it did
    oscillating  over the last two thirds, the accuracy on reals or on fakes swings between LOW and HIGH, or the score
                 gap between -GAP and +GAP, at least SWINGS times and at one point in ten; looked for at every time
                 scale from pairs of points on, each the mean of two of the scale before, so that the noise of single
                 batches is not taken for it
    inert        there are supervised losses, and the discriminator's balanced accuracy, the mean of those on reals and
                 on fakes, is at CHANCE: it tells nothing apart, so it had no say in what the generator learnt
    healthy      none of these

High confidence alone is no collapse: a network that fits its data well gets there without a discriminator. The critic
of a Wasserstein loss is meant to win and still has a gradient, so "saturated" says little without the gradient ratio.
Without supervised losses a discriminator at chance is what a game may end in, and its gradient is all there is, so
"inert" is for methods that have some. "Inert" came after records were in use: reports judge these by it too, from the
numbers that they hold (`judge_again`).

Sources of the thresholds: gradient norms above 100 are bad and a discriminator's loss that goes to 0 is a failure in
S. Chintala et al., "How to train a GAN" (2016); a discriminator that is right in more than 95 % of cases is a common
sign of trouble. The other thresholds are ours, set so that constructed courses of each kind are distinguished: a
distance of 0.01 on pixels in [-1, 1] is about one grey level of 255, 0.001 nats is what a pixel with a top probability
of 0.9999 has, a score of 100 puts a sigmoid beyond single precision; a gradient of 5 % of another one turns their sum
by at most 3 degrees.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segbench.store.record import Health, HealthPoint

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.store.record import HealthVerdict

    Series = list[float]
    Numbers = Mapping[str, float | None]
    Finding = tuple[HealthVerdict, str]  # the verdict and its reason


MINIMUM_POINTS = 6
CURVE_POINTS = 64
NON_FINITE_SHARE = 0.1
GRADIENT_LIMIT = 100.0
SCORE_LIMIT = 100.0
GROWTH = 1.5
DIVERSITY_FLOOR = 0.01
DIVERSITY_SHARE = 0.1
CLASS_ENTROPY_FLOOR = 0.1
ENTROPY_FLOOR = 0.001
WON = 0.95
CHANCE = (0.4, 0.6)
SAY = 0.05
SWINGS = 4
LOW, HIGH = 0.2, 0.8
GAP = 1.0
# What measures the discriminator or the samples; the supervised gradient alone measures neither.
MEASURED = (
    "real_accuracy",
    "fake_accuracy",
    "critic_loss",
    "critic_gradient",
    "adversarial_gradient",
    "ratio",
    "class_entropy",
    "diversity",
)
MEANS = (
    "real",
    "fake",
    "validation",
    "real_accuracy",
    "fake_accuracy",
    "validation_accuracy",
    "critic_loss",
    "top_probability",
    "entropy",
    "class_entropy",
    "diversity",
    "real_diversity",
    "nearest",
)
MEDIANS = ("ratio", "cosine", "supervised_gradient", "adversarial_gradient", "critic_gradient")


def judge(curve: Sequence[HealthPoint], non_finite: Collection[int] = ()) -> Health:
    """Return the verdict on a course of points in the order of their steps, with its reason and numbers.

    `non_finite` are the steps at which some number was NaN or infinite, which a point can only show as null. The curve
    of the result is thinned to CURVE_POINTS.

    >>> won = [HealthPoint(step=10 * i, real_accuracy=1.0, fake_accuracy=0.99) for i in range(9)]
    >>> judge(won).verdict
    'saturated'
    """
    numbers = _numbers(curve, non_finite)
    verdict, reason = _first_that_applies(numbers)
    kept = {name: value if value is not None and math.isfinite(value) else None for name, value in numbers.items()}
    return Health(verdict=verdict, reason=reason, numbers=kept, curve=thin(curve))


def judge_again(health: Health) -> Health:
    """Return a recorded judgement by today's rules, whose one new verdict is "inert", from the numbers that it holds.

    >>> numbers = {"real_accuracy": 0.7, "fake_accuracy": 0.6, "ratio": 0.02}
    >>> judge_again(Health(verdict="healthy", reason="", numbers=numbers, curve=[])).verdict
    'inert'
    """
    numbers = {**dict.fromkeys((*MEANS, *MEDIANS, "overfit")), **health.numbers}
    found = None
    # A discriminator that gave no signal was called saturated too, though it had not won.
    if health.verdict in ("healthy", "saturated", "oscillating") and not _saturated(numbers):
        found = _unheard(numbers) or (_at_chance(numbers) if health.verdict == "healthy" else None)
    return health.model_copy(update=dict(zip(("verdict", "reason"), found, strict=True))) if found else health


def overfit(real: float | None, fake: float | None, validation: float | None) -> float | None:
    """Return the heuristic r_v from mean scores of training reals, fakes and validation reals; None if undefined.

    (real - validation) / (real - fake) is 0 for a discriminator that scores training samples as other real ones, and 1
    for one that takes the latter for fakes (T. Karras et al., "Training GANs with limited data", 2020).

    >>> overfit(real=2.0, fake=-2.0, validation=1.0)
    0.25
    """
    if real is None or fake is None or validation is None or real == fake:
        return None
    return (real - validation) / (real - fake)


class ConstantClass(NamedTuple):
    """The class that a network gives all labelled pixels of a split or almost all, and the share of these in (0, 1]."""

    class_id: int
    share: float


def find_constant_class(confusion: NDArray[np.int64]) -> ConstantClass | None:
    """Return the class that all or almost all pixels of confusion counts (K, K) are given where the truth has several.

    The rule is that of "collapsed": None unless the class entropy is below CLASS_ENTROPY_FLOOR of the truth's.

    >>> find_constant_class(np.array([[90, 0], [10, 0]])), find_constant_class(np.array([[90, 0], [0, 10]]))
    (ConstantClass(class_id=0, share=1.0), None)
    """
    predicted = confusion.sum(axis=0)
    if _class_entropy(predicted) >= CLASS_ENTROPY_FLOOR * _class_entropy(confusion.sum(axis=1)):
        return None
    return ConstantClass(int(predicted.argmax()), float(predicted.max() / predicted.sum()))


def _class_entropy(pixels: NDArray[np.int64]) -> float:
    shares = pixels[pixels > 0] / pixels.sum()
    return float(-(shares * np.log(shares)).sum())


def thin(curve: Sequence[HealthPoint]) -> list[HealthPoint]:
    """Return at most CURVE_POINTS points, evenly spread, with the first and the last."""
    if len(curve) <= CURVE_POINTS:
        return list(curve)
    last = len(curve) - 1
    return [curve[round(i * last / (CURVE_POINTS - 1))] for i in range(CURVE_POINTS)]


class _Thirds(NamedTuple):
    """The course cut in three; the end is never the shortest part."""

    start: Sequence[HealthPoint]
    middle: Sequence[HealthPoint]
    end: Sequence[HealthPoint]


def _thirds(curve: Sequence[HealthPoint]) -> _Thirds:
    third = len(curve) // 3
    return _Thirds(curve[:third], curve[third : 2 * third], curve[2 * third :])


def _numbers(curve: Sequence[HealthPoint], non_finite: Collection[int]) -> Numbers:
    """Return the figures that the rules look at; a NaN or infinity among them is an overflow of huge finite numbers."""
    thirds = _thirds(curve)
    numbers: dict[str, float | None] = {"points": float(len(curve))}
    numbers |= {name: _mean(_series(thirds.end, name)) for name in MEANS}
    numbers |= {name: _median(_series(thirds.end, name)) for name in MEDIANS}
    broken = [point for point in thirds.end if point.step in non_finite]
    return {
        **numbers,
        "overfit": overfit(numbers["real"], numbers["fake"], numbers["validation"]),
        "non_finite_share": len(broken) / len(thirds.end) if thirds.end else None,
        "score_gap": _mean(_gaps(thirds.end)),
        "score_gap_growth": _growth(_gaps(thirds.middle), _gaps(thirds.end)),
        "critic_loss_growth": _growth(_series(thirds.middle, "critic_loss"), _series(thirds.end, "critic_loss")),
        "largest_diversity": max(_series(curve, "diversity"), default=None),
        **_swing_numbers([*thirds.middle, *thirds.end]),
    }


def _first_that_applies(numbers: Numbers) -> Finding:
    broken = numbers["non_finite_share"] or 0.0
    if broken > NON_FINITE_SHARE:
        return "diverged", f"{broken:.0%} of the last third's points hold a number that is not finite"
    number = numbers["points"] or 0.0
    if number < MINIMUM_POINTS:
        points = "1 point is" if number == 1 else f"{number:.0f} points are"
        return "unknown", f"{points} too few for a verdict; {MINIMUM_POINTS} are needed"
    if all(numbers[name] is None for name in MEASURED):
        return "unknown", "no point of the last third measures the discriminator or the samples"
    rules = (_diverged, _collapsed, _saturated, _unheard, _oscillating, _at_chance)
    return next((verdict for rule in rules if (verdict := rule(numbers))), ("healthy", _healthy_reason(numbers)))


def _diverged(numbers: Numbers) -> Finding | None:
    for name, whose in (("critic_gradient", "the discriminator"), ("adversarial_gradient", "the adversarial loss")):
        norm = numbers[name]
        if norm is not None and norm > GRADIENT_LIMIT:
            return "diverged", f"the gradient of {whose} has a norm of {norm:.3g} (limit {GRADIENT_LIMIT:g})"
    for name, what in (
        ("score_gap", "the gap between real and fake scores"),
        ("critic_loss", "the discriminator's loss"),
    ):
        size, growth = numbers[name], numbers[f"{name}_growth"]
        if size is not None and growth is not None and abs(size) > SCORE_LIMIT and growth >= GROWTH:
            return "diverged", f"{what} is {size:.3g}, {growth:.3g} times what it was a third earlier, and grows on"
    return None


def _collapsed(numbers: Numbers) -> Finding | None:
    diversity, largest, classes = numbers["diversity"], numbers["largest_diversity"], numbers["class_entropy"]
    entropy, ratio, real = numbers["entropy"], numbers["ratio"], numbers["real_diversity"]
    if diversity is not None and largest is not None:
        if diversity < DIVERSITY_FLOOR:
            return "collapsed", f"generated images differ by {diversity:.3g} only, below one grey level"
        if real is not None and diversity < DIVERSITY_SHARE * real:
            return "collapsed", f"generated images differ by {diversity:.3g} only, where real ones do by {real:.3g}"
        if diversity < DIVERSITY_SHARE * largest:
            return "collapsed", f"the diversity of generated images fell from {largest:.3g} to {diversity:.3g}"
    if classes is not None and classes < CLASS_ENTROPY_FLOOR:
        return "collapsed", f"almost all pixels get one class: class entropy is {classes:.2g} of the truth's"
    if entropy is not None and entropy < ENTROPY_FLOOR and ratio is not None and ratio > 1:
        pull = f"the adversarial gradient is {ratio:.3g} times the supervised one"
        return "collapsed", f"predictions are one-hot everywhere ({entropy:.2g} nats) while {pull}"
    return None


def _saturated(numbers: Numbers) -> Finding | None:
    real, fake = numbers["real_accuracy"], numbers["fake_accuracy"]
    if real is not None and fake is not None and real > WON and fake > WON:
        memory = numbers["overfit"]
        known = "" if memory is None else f", overfit heuristic {memory:.2f}"
        return "saturated", f"the discriminator has won: right on {real:.0%} of reals and {fake:.0%} of fakes{known}"
    return None


def _unheard(numbers: Numbers) -> Finding | None:
    ratio = numbers["ratio"]
    if ratio is not None and ratio < SAY:
        return "inert", f"the critic had no say: its gradient is {ratio:.2g} of the supervised one (below {SAY:g})"
    return None


def _at_chance(numbers: Numbers) -> Finding | None:
    real, fake = numbers["real_accuracy"], numbers["fake_accuracy"]
    if real is None or fake is None or numbers["ratio"] is None:
        return None
    if CHANCE[0] <= (accuracy := (real + fake) / 2) <= CHANCE[1]:
        return "inert", f"the critic had no say: its balanced accuracy of {accuracy:.0%} is that of chance"
    return None


def _oscillating(numbers: Numbers) -> Finding | None:
    for name, what in (
        ("real_accuracy_swings", f"accuracy on reals swung between {LOW:.0%} and {HIGH:.0%}"),
        ("fake_accuracy_swings", f"accuracy on fakes swung between {LOW:.0%} and {HIGH:.0%}"),
        ("score_gap_swings", "score gap between real and fake changed its sign"),
    ):
        if times := numbers[name]:
            return "oscillating", f"the discriminator's {what} {times:.0f} times in the last two thirds"
    return None


def _healthy_reason(numbers: Numbers) -> str:
    """Return the reason of "healthy", with the numbers that are known."""
    known = [
        f"{text} {value:.3g}"
        for name, text in (
            ("real_accuracy", "accuracy on reals"),
            ("fake_accuracy", "accuracy on fakes"),
            ("ratio", "gradient ratio"),
            ("diversity", "diversity"),
        )
        if (value := numbers[name]) is not None
    ]
    rest = f": {', '.join(known)}" if known else ""
    return f"none of the rules for trouble applies{rest}"


def _swing_numbers(points: Sequence[HealthPoint]) -> Numbers:
    """Return how often each series swung, 0 where that is too seldom to be called oscillation."""
    return {
        "real_accuracy_swings": _swings(_series(points, "real_accuracy"), LOW, HIGH),
        "fake_accuracy_swings": _swings(_series(points, "fake_accuracy"), LOW, HIGH),
        "score_gap_swings": _swings(_gaps(points), -GAP, GAP),
    }


def _swings(series: Series, low: float, high: float) -> float:
    """Return the swings at the finest time scale at which they are frequent enough."""
    while len(series) > SWINGS:
        series = [(one + other) / 2 for one, other in zip(series[::2], series[1::2], strict=False)]
        ends = [value >= high for value in series if value <= low or value >= high]
        swings = sum(one != other for one, other in pairwise(ends))
        if swings >= max(SWINGS, len(series) / 10):
            return float(swings)
    return 0.0


def _growth(before: Series, after: Series) -> float | None:
    """Return how many times its earlier size a series has; None if it was 0 or is not known."""
    earlier, later = _mean(before), _mean(after)
    return abs(later / earlier) if earlier and later is not None else None


def _gaps(points: Sequence[HealthPoint]) -> Series:
    return [point.real - point.fake for point in points if point.real is not None and point.fake is not None]


def _series(points: Sequence[HealthPoint], name: str) -> Series:
    return [value for point in points if (value := getattr(point, name)) is not None]


def _mean(series: Series) -> float | None:
    return sum(series) / len(series) if series else None


def _median(series: Series) -> float | None:
    return median(series) if series else None
