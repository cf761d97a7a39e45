"""Where the difference between two methods lies: in which parts of the images, in which classes, in which images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from segbench.errors import StatisticsError
from segbench.stats.difference import class_differences, difference
from segbench.stats.evidence import iou_evidence, recall_evidence
from segbench.stats.gains import class_contribution, image_gains, largest, part_contributions, rare_classes, seed_scores
from segbench.stats.summary import Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.stats.difference import Difference
    from segbench.stats.evidence import Evidence
    from segbench.stats.gains import CountedPart, ImageGain
    from segbench.store.counts import Counts

    BySeed = Mapping[int, Counts]


PartName = Literal["band", "interior", "small", "large", "rare", "frequent"]


class PartGain(NamedTuple):
    """A part of the labelled pixels: its share of them, the scores of both methods in it, and what it adds to A - B.

    The score is the mIoU of the pixels in the band along true boundaries, and of those in the interior; the mean recall
    of the pixels of small objects, and of all others; the mean IoU of the rare classes, and of the frequent ones.
    """

    name: PartName
    pixels: float
    one: Summary
    other: Summary
    within: Difference
    adds: Difference


class ClassGain(NamedTuple):
    """A class: its share of the labelled pixels, its mean IoU with both methods, and the difference if there is one."""

    name: str
    pixels: float
    one: float | None
    other: float | None
    difference: Difference | None


class ImageGains(NamedTuple):
    """The images with the largest gains and losses; of `images` scored, how many are better and how many worse."""

    gained: tuple[ImageGain, ...]
    lost: tuple[ImageGain, ...]
    images: int
    better: int
    worse: int


class Gains(NamedTuple):
    """Where A - B lies.

    Of `parts` each pair adds up to A - B; `missing` says why a pair was not computed. `rare` are the names of the
    rare classes that occur.
    """

    parts: tuple[PartGain, ...]
    missing: Mapping[PartName, str]
    rare: tuple[str, ...]
    classes: tuple[ClassGain, ...]
    images: ImageGains


class _Inputs(NamedTuple):
    """The counts of both methods, the number of resamples, and the pixels of each class in the truth."""

    one: BySeed
    other: BySeed
    resamples: int
    pixels: list[int]

    @property
    def cells(self) -> dict[str, BySeed]:
        return {"one": self.one, "other": self.other}


def find_gains(one: BySeed, other: BySeed, names: Sequence[str] | None, images: int, resamples: int) -> Gains:
    """Return where the difference between two methods lies, from their counts by seed; both have the same seeds.

    `names` are those of the classes, `images` how many of the largest gains and losses are named.
    """
    truth = next(iter(one.values())).confusion.sum(axis=(0, 2))
    inputs = _Inputs(one, other, resamples, truth.tolist())
    named = names or [f"class {class_id}" for class_id in range(len(inputs.pixels))]
    parts, missing = _parts(inputs)
    occurs = iou_evidence(inputs.cells).whole.sum(axis=(0, 1, 2)) > 0
    return Gains(
        parts=tuple(parts),
        missing=missing,
        rare=tuple(named[class_id] for class_id in rare_classes(inputs.pixels) if occurs[class_id]),
        classes=tuple(_classes(inputs, named)),
        images=_images(inputs, images),
    )


def _parts(inputs: _Inputs) -> tuple[list[PartGain], dict[PartName, str]]:
    parts: list[PartGain] = []
    missing: dict[PartName, str] = {}
    for name, divide in _DIVISIONS.items():
        try:
            parts += divide(inputs)
        except StatisticsError as error:
            missing[name] = str(error)
    return parts, missing


def _divide_by_boundary(inputs: _Inputs) -> list[PartGain]:
    return _divide_counted("band", "interior", partial(iou_evidence, inputs.cells), inputs)


def _divide_by_size(inputs: _Inputs) -> list[PartGain]:
    return _divide_counted("small", "large", partial(recall_evidence, inputs.cells), inputs)


def _divide_by_frequency(inputs: _Inputs) -> list[PartGain]:
    rare = rare_classes(inputs.pixels)
    frequent = [class_id for class_id in range(len(inputs.pixels)) if class_id not in rare]
    share = sum(inputs.pixels[class_id] for class_id in rare) / sum(inputs.pixels)
    if share == 0:
        raise StatisticsError("each class holds more than a tenth of the labelled pixels, so none is rare")
    return [_class_part("rare", share, rare, inputs), _class_part("frequent", 1 - share, frequent, inputs)]


_DIVISIONS: Mapping[PartName, Callable[[_Inputs], list[PartGain]]] = {
    "band": _divide_by_boundary,
    "small": _divide_by_size,
    "rare": _divide_by_frequency,
}


def _divide_counted(
    part: CountedPart, rest: PartName, evidence_in: Callable[[Any], Evidence], inputs: _Inputs
) -> list[PartGain]:
    inside, outside = part_contributions(inputs.one, inputs.other, part, resamples=inputs.resamples)
    share = _share_of_pixels(inputs.one, part)
    return [
        _part(part, share, evidence_in(part), inside, inputs),
        _part(rest, 1 - share, evidence_in(rest), outside, inputs),
    ]


def _class_part(name: PartName, share: float, classes: Sequence[int], inputs: _Inputs) -> PartGain:
    adds = class_contribution(inputs.one, inputs.other, classes, resamples=inputs.resamples)
    return _part(name, share, iou_evidence(inputs.cells, classes=classes), adds, inputs)


def _part(name: PartName, share: float, evidence: Evidence, adds: Difference, inputs: _Inputs) -> PartGain:
    ours, theirs = (summarize(seed_scores(evidence, method).values()) for method in ("one", "other"))
    within = difference(evidence, "one", "other", resamples=inputs.resamples)
    return PartGain(name, share, ours, theirs, within, adds)


def _share_of_pixels(counts: BySeed, part: CountedPart) -> float:
    """Return the share of the labelled pixels that lie in a part; it is the same for all seeds."""
    first = next(iter(counts.values()))
    return float(getattr(first, part).sum() / first.confusion.sum())


def _classes(inputs: _Inputs, names: Sequence[str]) -> list[ClassGain]:
    evidence = iou_evidence(inputs.cells)
    apart = class_differences(evidence, "one", "other", resamples=inputs.resamples)
    return [
        ClassGain(
            name,
            inputs.pixels[class_id] / sum(inputs.pixels),
            _class_mean(evidence.of_classes([class_id]), "one"),
            _class_mean(evidence.of_classes([class_id]), "other"),
            apart[class_id],
        )
        for class_id, name in enumerate(names)
    ]


def _class_mean(evidence: Evidence, method: str) -> float | None:
    return summarize(seed_scores(evidence, method).values()).mean


def _images(inputs: _Inputs, number: int) -> ImageGains:
    gains = image_gains(inputs.one, inputs.other)
    gained, lost = largest(gains, number)
    everything = largest(gains, len(gains))
    return ImageGains(tuple(gained), tuple(lost), len(gains), *map(len, everything))
