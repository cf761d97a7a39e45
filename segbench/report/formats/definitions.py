"""What each number of a report means: the metric definitions of its scores, and how everything else was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.ranking.timings import TIMING_EXPLANATION
from segbench.stats.definitions import METRIC_DEFINITIONS, RESIZED
from segbench.stats.difference import LEAST_SEEDS_FOR_SIGN_FLIPS
from segbench.stats.verdict import EQUIVALENCE_MARGIN, LEAST_SEEDS_FOR_A_VERDICT

from .tables import ONE_SEED, SCORE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row
    from segbench.stats.definitions import MetricDefinition

# The scores that have a column, and how it calls them.
SCORE_NAMES = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"} | {
    name: " ".join(header.partition("[")[0].split()) for name, header in SCORE_HEADERS.items()
}

EVERYWHERE = (
    "a ± b: mean and sample standard deviation over the seeds. -: not known or not measured.",
    "Inference: images a second of the forward pass alone; latency p50 / p95 of a batch in milliseconds over (n) runs. "
    "Training: images a second after warm-up, and seconds in all, means over the seeds. "
    "MiB: peak memory; on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one image.",
)
INTERVALS = (
    "Interval: 95 % confidence interval of the mean mIoU; seeds and images both count as random samples "
    "(segbench/stats/difference.py). Tier: methods in one tier do not differ significantly, which does not make them "
    "equally good. A method that is significantly worse than the first of a tier begins the next tier; all pairs are "
    "tested together."
)
ONE_SEED_ONLY = f"{ONE_SEED} One seed: the interval is over images only; another seed may give any other score."
STAGES = (
    f"{TIMING_EXPLANATION} × twin's: images a second of the network alone as a multiple of the twin's. "
    "Best batch: of a sweep."
)
TWIN = "Twin: the method that another one extends, and with which that one is compared."
DIFFERENCES = (
    "Difference: A - B in points of mIoU, with the same seeds on the same images; its interval is over seeds and "
    "images, at a level that is adjusted (Holm) for all differences of the ranking together. Verdict: better or worse "
    f"if 0 is outside the interval, equivalent if all of the interval is within {100 * EQUIVALENCE_MARGIN:g} points "
    "(be zero in it or not) and the seeds do not all give the same; else, and with fewer than "
    f"{LEAST_SEEDS_FOR_A_VERDICT} seeds, undecided; a method that collapsed in some seeds is named, since a collapse "
    "that no seed shows is in no interval. "
    "P(A>B): the probability that A scores higher with a seed and images drawn at random. "
    f"Sign-flip p: exact, over the seeds; it decides nothing, since below {LEAST_SEEDS_FOR_SIGN_FLIPS} seeds it cannot "
    "fall below 0.05. Smallest effect: the smallest difference, in points, that these seeds and images detect with a "
    "probability of 80 %. Needed: how many seeds in all would decide, if estimate and variances stayed as they are; "
    "-: no number of seeds suffices, or it cannot be estimated."
)
TRAINING_TIME = "Training time: as a multiple of B's, without that of the methods which must be trained before."
PLACEBOS = (
    "Placebo: METHOD~KIND is METHOD with a discriminator that is broken on purpose. METHOD - METHOD~KIND is the part "
    "of the gain that the placebo does not have, and only that part is due to the discriminator."
)
HEALTH = (
    "Health: of adversarial training, by fixed rules over its last third (segbench/stats/health.py). Gradient ratio: "
    "adversarial / supervised, at the generator's output. Inert: the critic had no say, as that ratio is below 0.05 or "
    "its balanced accuracy that of chance. Discriminator right: the share of its right answers on reals of the "
    "training split, on fakes, and on reals of the val split."
)
GENERATED = (
    "Generated images: KID (kernel inception distance) or the distance of pixel statistics, less is better; precision "
    "and recall of k-nearest-neighbour manifolds; diversity and nearest: root mean square distance to one another and "
    "to the nearest training image. Numbers of different features must not be compared."
)
REFINEMENT = (
    "Refinement: changed are the labelled pixels to which the refiner gave another class; corrected were wrong before "
    "and are right now, spoilt were right before and are wrong now."
)
TUNING = "Tuning: trials on the val split; all: mean ± sample standard deviation over the trials of one method."
EFFICIENCY = (
    "Labels: ×1.3 [1.1, 1.6] says that the twin needs 1.3 times as many labels for the same mIoU, with the 95 % "
    "interval. Between its points the twin's curve is linear in log2 of the share; where more labels gave a lower "
    "score it is made level. > and <: beyond the shares that the twin was trained with."
)


def define_numbers(report: Report) -> list[str]:
    """Return the definitions of the numbers that the report shows, those of its scores first; empty without rows."""
    rows = [row for group in report.groups for row in group.rows]
    if not rows:
        return []
    shown = [text for text, is_shown in _meanings(report, rows).items() if is_shown]
    return [*_score_definitions(rows), *EVERYWHERE, *shown]


def has_one_seed_only(group: Group) -> bool:
    """Tell whether any interval of a ranking is over images only."""
    of_rows = [row.statistics.is_over_images_only for row in group.rows]
    return any(of_rows) or any(one.is_over_images_only for one in group.comparisons)


def metric_definitions(rows: Sequence[Row]) -> dict[str, MetricDefinition]:
    """Return the definition of each score of some rows by its name, where it is still the one they were made by."""
    used = {(name, text.partition(RESIZED)[0]) for row in rows for name, text in row.definitions.items()}
    return {name: metric for name, metric in METRIC_DEFINITIONS.items() if (name, metric.definition) in used}


def _score_definitions(rows: Sequence[Row]) -> Iterable[str]:
    """Return a line for each score that has a column, mIoU first, and one for what they have in common."""
    known = metric_definitions(rows)
    shown = {name: known[name] for name in SCORE_NAMES if name in known and any(row.score(name).n for row in rows)}
    usual = next(iter(shown.values()), None)
    for name, metric in shown.items():
        yield _score_definition(name, metric, usual or metric)
    for name, definition in sorted({item for row in rows for item in row.definitions.items()}):
        if name not in SCORE_NAMES:
            continue
        as_now, resized, _ = definition.partition(RESIZED)
        if name not in known or known[name].definition != as_now:
            yield f"{SCORE_NAMES[name]} ({definition}): a definition of another version of segbench."
        elif resized:
            yield f"{SCORE_NAMES[name]} ({definition}): against labels that were resized as the images were."
    if usual:
        which = "Of all these scores: ignored" if len(shown) > 1 else "Ignored"
        yield f"{which} pixels are {usual.ignored}; resolution: {usual.resolution}."


def _score_definition(name: str, metric: MetricDefinition, usual: MetricDefinition) -> str:
    """Return what a score is, and where it departs from the usual."""
    parts = [f"{SCORE_NAMES[name]} ({metric.definition}): {metric.formula}", f"absent classes: {metric.absent}"]
    parts += [f"ignored pixels: {metric.ignored}"] * (metric.ignored != usual.ignored)
    parts += [f"resolution: {metric.resolution}"] * (metric.resolution != usual.resolution)
    return f"{'; '.join(parts)}."


def _meanings(report: Report, rows: Sequence[Row]) -> Mapping[str, bool]:
    """Return the further definitions, and for each whether the report shows what it defines."""
    compared = [one for group in report.groups for one in group.comparisons if one.other]
    return {
        INTERVALS: any(row.statistics.estimate for row in rows),
        ONE_SEED_ONLY: any(map(has_one_seed_only, report.groups)),
        STAGES: any(row.timing or row.stage("argmax") for row in rows),
        TWIN: any(one.relation == "twin" for one in compared),
        DIFFERENCES: any(one.judgement for one in compared),
        TRAINING_TIME: bool(compared),
        PLACEBOS: any(row.placebo_of for row in rows),
        HEALTH: any(row.verdicts for row in rows),
        GENERATED: any(row.features for row in rows),
        REFINEMENT: any(row.refinement("changed").n for row in rows),
        TUNING: any(record.settled and record.settled.trials for row in rows for record in row.records),
        EFFICIENCY: any(curve.exchanges for one in report.efficiencies for curve in one.curves),
    }
