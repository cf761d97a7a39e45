"""What the numbers of a report mean: the passports of its scores, and how everything else was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.stats.passports import PASSPORTS
from segbench.stats.sign_flip import ENOUGH_SEEDS
from segbench.stats.verdict import MARGIN

from .tables import ONE_SEED, QUALITY
from .timings import EXPLANATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.stats.passports import Passport

    from .groups import Report
    from .rows import Row

# The scores that have a column, and how it calls them.
NAMES = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"} | {
    name: " ".join(header.partition("[")[0].split()) for name, header in QUALITY.items()
}
MEANING = (
    "Mean ± sample standard deviation over the seeds. A dash is a number that is not known.",
    "Inference: the forward pass alone; latency p50 / p95 of a batch in milliseconds over (n) runs. "
    "Training: images a second after warm-up, and seconds in all, means over the seeds. "
    "MiB: peak memory, on a GPU what torch allocated, on a CPU all of the process. GFLOPs: of one image.",
)
INTERVALS = (
    "Intervals: 95 %, crossed over seeds and images (segbench/stats/difference.py). Tiers: a row that is worse than "
    "the first of a tier begins the next one, all pairs judged together; rows of one tier were not told apart, which "
    "does not make them as good."
)
STAGES = (
    f"{EXPLANATION} × twin's: images a second of the network alone as a multiple of the twin's. Best batch: of a sweep."
)
DIFFERENCES = (
    "Differences: same seeds, same images; the interval is crossed over both, at a level adjusted after Holm for all "
    "differences of the ranking together. Verdict: better or worse if 0 is outside, equivalent if all of it is within "
    f"{100 * MARGIN:g} points, else undecided. P(A > B): the probability that A wins with a seed and images drawn at "
    "random. The exact sign-flip p over seeds stands beside and decides nothing: below "
    f"{ENOUGH_SEEDS} seeds it cannot fall below 0.05. Smallest effect: points that this design finds in 80 % of cases. "
    "Needed: seeds in all that would settle it if estimate and variances stayed; a dash: no number would, or, with one "
    "seed, there is no telling."
)
PLACEBOS = (
    "A placebo (METHOD~KIND) has a critic that is broken on purpose: METHOD - METHOD~KIND is what is left of the gain "
    "over the placebo, and only that is merit of the critic."
)
TRAINING_TIME = "Training time is a multiple of B's, without that of methods that come before."
HEALTH = (
    "Health: by written rules over the last third of training (segbench/stats/health.py). Gradient ratio: adversarial "
    "/ supervised, at the generator's output. The critic is right on training reals, fakes, and reals of the val split."
)
GENERATED = (
    "Generated images: KID (kernel inception distance) or the distance of pixel statistics, less is better; precision "
    "and recall of k-nearest-neighbour manifolds; diversity and nearest: root mean square distance to one another and "
    "to the nearest training image. Numbers of different features are never to be compared."
)
REFINEMENT = (
    "Refinement: labelled pixels whose class the refiner changed; corrected were wrong before and are right, spoilt "
    "the reverse."
)
TUNING = "Tuning: trials on the val split; all: mean ± sample standard deviation over the trials of one method."
EFFICIENCY = (
    "Labels: ×1.3 [1.1, 1.6] says that the twin needs 1.3 times as many labels for the same mIoU, with the 95 % "
    "interval; the twin's curve is linear in log2 of the share between its points, and made monotone, for more labels "
    "hurt by chance only. > and <: beyond the shares that the twin was trained with."
)
ONE_SEED_ONLY = f"{ONE_SEED} One seed: the interval is over images only, and another seed may give anything."


def definitions(report: Report) -> list[str]:
    """Return the definitions of what the report shows, the passport of each score among them."""
    rows = _rows(report)
    return [*passport_lines(rows), *_meanings(report, rows)] if rows else []


def definitions_in_short(report: Report) -> list[str]:
    """Return the definitions of what the report shows; of the scores the first's passport and the ids of the rest."""
    rows = _rows(report)
    return [*passports_in_short(rows), *_meanings(report, rows)] if rows else []


def _rows(report: Report) -> list[Row]:
    return [row for group in report.groups for row in group.rows]


def _meanings(report: Report, rows: Sequence[Row]) -> list[str]:
    return [*MEANING, *(text for text, is_shown in _shown(report, rows).items() if is_shown)]


def shown_scores(rows: Sequence[Row]) -> list[str]:
    """Return the names of the scores that have a column, mIoU first."""
    return [name for name in NAMES if any(row.score(name).n for row in rows)]


def passports(rows: Sequence[Row]) -> dict[str, Passport]:
    """Return the passport of each score that rows have, by its name, if it is still the one that they were made by."""
    used = {found for row in rows for found in row.definitions.items()}
    return {name: passport for name, passport in PASSPORTS.items() if (name, passport.definition) in used}


def passport_lines(rows: Sequence[Row]) -> Iterable[str]:
    """Return the definition of each score shown in a line, and what they have in common in one more."""
    found = _known_passports(rows)
    usual = next(iter(found.values()), None)
    for name, passport in found.items():
        yield _passport_line(name, passport, usual or passport)
    yield from _other_versions(rows)
    if usual:
        which = "Of all these scores: ignored" if len(found) > 1 else "Ignored"
        yield f"{which} pixels are {usual.ignored}; resolution: {usual.resolution}."


def passports_in_short(rows: Sequence[Row]) -> Iterable[str]:
    """Return the definition of the first score shown in a line, and the ids of the others in one more."""
    found = _known_passports(rows)
    for name, passport in list(found.items())[:1]:
        yield f"{_passport_line(name, passport, passport)} Ignored pixels are {passport.ignored}."
    yield from _other_versions(rows)
    if others := [passport.definition for passport in list(found.values())[1:]]:
        yield f"Other scores, word for word with `segbench report --format markdown`: {', '.join(others)}."


def _known_passports(rows: Sequence[Row]) -> dict[str, Passport]:
    """Return the passports of the scores that have a column, mIoU's first."""
    known = passports(rows)
    return {name: known[name] for name in shown_scores(rows) if name in known}


def _other_versions(rows: Sequence[Row]) -> Iterable[str]:
    known = passports(rows)
    for name, definition in sorted({item for row in rows for item in row.definitions.items()}):
        if name in NAMES and (name not in known or known[name].definition != definition):
            yield f"{NAMES[name]} ({definition}): a definition of another version of segbench."


def _passport_line(name: str, passport: Passport, usual: Passport) -> str:
    """Return what a score is, and where it departs from the usual."""
    parts = [f"{NAMES[name]} ({passport.definition}): {passport.formula}", f"absent classes: {passport.absent}"]
    parts += [f"ignored pixels: {passport.ignored}"] * (passport.ignored != usual.ignored)
    parts += [f"resolution: {passport.resolution}"] * (passport.resolution != usual.resolution)
    return f"{'; '.join(parts)}."


def _shown(report: Report, rows: Sequence[Row]) -> Mapping[str, bool]:
    compared = [one for group in report.groups for one in group.compared if one.other]
    one_seed = any(row.standing.is_over_images_only for row in rows) or any(one.is_over_images_only for one in compared)
    return {
        INTERVALS: any(row.standing.estimate for row in rows),
        ONE_SEED_ONLY: one_seed,
        STAGES: any(row.timing or row.stage("labels") for row in rows),
        DIFFERENCES: any(one.judgement for one in compared),
        TRAINING_TIME: bool(compared),
        PLACEBOS: any(row.placebo_of for row in rows),
        HEALTH: any(row.verdicts for row in rows),
        GENERATED: any(row.features for row in rows),
        REFINEMENT: any(row.refinement("changed").n for row in rows),
        TUNING: any(record.settled and record.settled.trials for row in rows for record in row.records),
        EFFICIENCY: any(curve.exchanges for one in report.efficiencies for curve in one.curves),
    }
