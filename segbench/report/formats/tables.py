"""The tables of a ranking and of its differences; each column is described once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from segbench.report.conditions import sizes_text
from segbench.report.numbers import (
    MISSING,
    Column,
    Table,
    build_table,
    drop_empty,
    name_seeds,
    percent,
    percent_interval,
    percent_with_sd,
    points,
    points_interval,
    points_with_sd,
    significant,
    significant_with_sd,
    times,
)
from segbench.report.ranking.differences import find_own
from segbench.report.ranking.rows import TRAINING_PARTS
from segbench.report.ranking.timings import STAGES, best_batch_text, latency_text, ratio_text, speed_ratio, speed_text
from segbench.shown import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from segbench.report.conditions import Conditions
    from segbench.report.ranking.differences import Comparison
    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row
    from segbench.stats.summary import Summary
    from segbench.store.record import Stage

# Marks intervals over images only.
ONE_SEED = "*"
# Marks rows that another row beats in both mIoU and speed.
BEATEN = "†"
# A table of more classes than these is no longer read; JSON has them all.
MOST_CLASSES = 25
# Further scores in the order of their columns, with their headers; those beyond are in JSON and CSV.
SCORE_HEADERS = {
    "per_image_miou": "per-image\nmIoU [%]",
    "boundary_iou": "boundary\nIoU [%]",
    "boundary_f1": "boundary\nF1 [%]",
    "ece": "ECE [%]",
    "nll": "NLL\n[nats]",
    "brier": "Brier",
    "hd95": "HD95\n[px]",
    "surface_dice": "surface\nDice [%]",
}
_NOT_IN_PERCENT = frozenset({"nll", "brier", "hd95"})


def ranking(group: Group, rows: Sequence[Row], letters: Mapping[str, str]) -> Table:
    """Return the first table of a ranking, accuracy and speed of its rows; `letters` are the marks of their notes."""
    columns: list[Column[Row]] = [
        *accuracy(group, rows, letters),
        PIXEL_ACCURACY,
        *(throughput(batch) for batch in _batches(group.conditions)),
        TRAINING_SECONDS,
    ]
    return table_of_rows(columns, rows, name="miou")


def table_of_rows(columns: Sequence[Column[Row]], rows: Sequence[Row], title: str = "", name: str = "") -> Table:
    """Return a table of rows, the best mIoU of each tier bold and placebos apart."""
    apart = frozenset(line for line, row in enumerate(rows) if row.placebo_of)
    places = [place for place, column in enumerate(columns) if column is MIOU]
    bold = frozenset((line, place) for line in _best_of_tiers(rows) for place in places)
    return build_table(columns, rows, title, name)._replace(apart=apart, bold=bold)


def _best_of_tiers(rows: Sequence[Row]) -> Iterable[int]:
    """Return the places of the rows with the best mIoU of their tier; placebos compete with nobody."""
    scores = [(row.statistics.tier, row.score("miou").mean or 0.0, bool(row.placebo_of)) for row in rows]
    best: dict[int | None, float] = {}
    for tier, score, is_placebo in scores:
        if not is_placebo:
            best[tier] = max(score, best.get(tier, 0.0))
    best.pop(None, None)
    return (place for place, (tier, score, placebo) in enumerate(scores) if not placebo and score == best.get(tier))


def accuracy(group: Group, rows: Sequence[Row], letters: Mapping[str, str]) -> list[Column[Row]]:
    """Return the columns of the mIoU of rows, with interval and tier where any row has them, and of their seeds.

    Where the rows ran under several conditions, a column says under which of the group's places, from 1.
    """
    return [marked_name(letters), MIOU, *drop_empty([INTERVAL, TIER], rows), SEEDS, *ran_under(group)]


def ran_under(group: Group) -> list[Column[Row]]:
    """Return the column of which of the group's places, from 1, the scores of each row come from, if it has several."""
    return [place_column(group)] if len(group.places) > 1 else []


def place_column(group: Group) -> Column[Row]:
    """Return the column of which of the group's places, from 1, the scores of each row come from."""
    return Column("ran\nunder", lambda row: _places(group, row))


def quality(rows: Sequence[Row]) -> Table | None:
    """Return the scores beside mIoU, those that were measured; None if there are none."""
    columns = drop_empty(quality_columns(), rows)
    return table_of_rows([_METHOD, *columns], rows, "Quality") if columns else None


def quality_columns() -> list[Column[Row]]:
    """Return the columns of the scores beside mIoU."""
    return [Column(header, _score(name)) for name, header in SCORE_HEADERS.items()]


def classes(rows: Sequence[Row]) -> Table | None:
    """Return the IoU of each class, the rows as columns; None without scores by class or with too many classes."""
    names = next((row.classes for row in rows if row.classes), None)
    scores = [row.class_scores("iou") for row in rows]
    number = max(map(len, scores), default=0)
    if not 0 < number <= MOST_CLASSES:
        return None
    lines = [
        [
            names[place] if names else f"class {place}",
            *(percent(found[place] if place < len(found) else None) for found in scores),
        ]
        for place in range(number)
    ]
    return Table(["class", *(clean_line(row.name) for row in rows)], lines, "IoU by class [%]", name="classes")


def stages(rows: Sequence[Row], batch: int | None) -> Table | None:
    """Return the stages of inference at the protocol's batch, and the speed beside the twin; None if not measured."""
    if batch is None:
        return None
    columns = [Column(f"{header}\nimages/s", _speed(stage, batch)) for stage, header in STAGES.items()]
    columns += [
        Column("best batch\n(images/s)", lambda row: best_batch_text(row.speed)),
        Column("forward,\n× twin's", _forward_ratio(rows, batch)),
        Column("joules\nper image", _joules),
    ]
    found = drop_empty(columns, rows)
    title = f"Inference at batch {batch}"
    return table_of_rows([_METHOD, *found], rows, title, "inference") if found[1:] else None


def costs(where: Conditions | None, rows: Sequence[Row], letters: Mapping[str, str]) -> Table:
    """Return the latency of rows under some conditions, and what they need."""
    columns = [marked_name(letters), *map(latency, _batches(where)), PARAMETERS, flops(rows), INFERENCE_MEMORY]
    return table_of_rows(columns, rows, name="costs")


def training(rows: Sequence[Row], more: Sequence[Column[Row]] = ()) -> Table:
    """Return the speed of training, what its seconds went into, its memory, and more columns."""
    measured: list[Column[Row]] = [
        Column(
            "data/generator/discriminator\n[% of time]", lambda row: _shares(map(row.training_share, TRAINING_PARTS))
        ),
        Column("to the best\non val [s]", lambda row: significant(row.train("seconds_to_best").mean)),
    ]
    columns: list[Column[Row]] = [
        _METHOD,
        Column("images/s", TRAINING_SPEED.cell),
        Column("steps", TRAINING_STEPS.cell),
        *drop_empty(measured, rows),
        Column("[MiB]", TRAINING_MEMORY.cell),
        *more,
    ]
    return table_of_rows(columns, rows, "Training")


def generated_images(rows: Sequence[Row]) -> Table:
    """Return how well generated images match real ones."""
    columns: list[Column[Row]] = [
        _METHOD,
        SEEDS,
        Column("features", lambda row: row.features or MISSING),
        *image_scores(rows),
        Column("diversity", lambda row: significant(row.generation("diversity").mean)),
        Column("nearest", lambda row: significant(row.generation("nearest").mean)),
        HEALTH,
        TRAINING_SECONDS,
    ]
    return table_of_rows(columns, rows, "Generated images")


def image_scores(rows: Sequence[Row]) -> list[Column[Row]]:
    """Return the columns of the distances that were measured, and of precision and recall.

    Distances are measured with a feature network, without one, or in some rows so and in others so.
    """
    columns: dict[str, Column[Row]] = {
        "kid": Column("KID", lambda row: significant_with_sd(row.generation("kid"))),
        "pixel_statistics": Column(
            "pixel\nstatistics", lambda row: significant_with_sd(row.generation("pixel_statistics"))
        ),
    }
    return [
        *(column for name, column in columns.items() if any(row.generation(name).n for row in rows)),
        Column("precision", lambda row: significant_with_sd(row.generation("precision"))),
        Column("recall", lambda row: significant_with_sd(row.generation("recall"))),
    ]


def refinements(rows: Sequence[Row]) -> Table:
    """Return what refiners did to their base's predictions."""
    columns: list[Column[Row]] = [
        _METHOD,
        Column("base", lambda row: row.base or MISSING),
        SEEDS,
        Column("changed\n[% of pixels]", lambda row: percent_with_sd(row.refinement("changed"))),
        Column("corrected\n[% of changed]", lambda row: percent_with_sd(row.refinement("corrected"))),
        Column("spoilt\n[% of changed]", lambda row: percent_with_sd(row.refinement("spoilt"))),
    ]
    return table_of_rows(columns, rows, "Refinement")


def adversarial_training(rows: Sequence[Row]) -> Table:
    """Return how the training of generator against discriminator ended."""
    kinds = ("real", "fake", "validation")
    columns: list[Column[Row]] = [
        _METHOD,
        HEALTH,
        Column("gradient\nratio", lambda row: significant(row.health("ratio").mean)),
        Column(
            "discriminator right [%]\nreal/fake/val",
            lambda row: _shares(row.health(f"{kind}_accuracy") for kind in kinds),
        ),
    ]
    return table_of_rows(columns, rows, "Adversarial training")


def verdicts(row: Row) -> str:
    """Return how often each verdict was given, such as "2 healthy, 1 saturated"."""
    return ", ".join(f"{len(seeds)} {verdict}" for verdict, seeds in row.verdicts.items()) or MISSING


def differences(compared: Sequence[Comparison]) -> Table:
    """Return the differences of mIoU and what may be said of them."""
    columns: list[Column[Comparison]] = [
        Column("methods A - B", pair_text),
        Column("difference [points]", difference_text),
        Column("verdict", verdict_text, is_words=True),
        Column("P(A>B)", lambda one: f"{one.judgement.difference.probability:.2f}" if one.judgement else MISSING),
        Column("sign-flip\np", lambda one: f"{one.judgement.difference.sign_flip_p:.2g}" if one.judgement else MISSING),
        Column("smallest\neffect", _smallest_effect),
        Column("seeds /\nneeded", _seeds),
        Column("training\ntime", lambda one: times(one.time_ratio)),
    ]
    number = sum(one.judgement is not None for one in compared)
    family = f" (family of this ranking: {number} judged together at 95 %)" if number > 1 else ""
    apart = frozenset(line for line, one in enumerate(compared) if one.row.placebo_of)
    return build_table(columns, compared, f"Differences of mIoU{family}", "differences")._replace(apart=apart)


def pair_text(one: Comparison) -> str:
    """Return the names of the two methods that are compared."""
    return f"{one.row.name} - {one.other.name if one.other else one.other_name or MISSING}"


def verdict_text(one: Comparison) -> str:
    """Return the verdict in a word, and what limits it."""
    return qualify_verdict(one.judgement.verdict, one) if one.judgement else MISSING


def qualify_verdict(verdict: str, one: Comparison) -> str:
    """Name beside a verdict what collapsed and what had no say: "better; unet+critic collapsed in seed 3"."""
    return "; ".join([verdict, *collapse_words(one), *inert_words(one)])


def collapse_words(one: Comparison) -> Iterable[str]:
    """Name the methods whose training collapsed or whose network predicts one class everywhere, and the seeds."""
    for name, seeds in one.collapsed.items():
        yield f"{name} collapsed in {name_seeds(seeds)}"
    yield from (f"{name} {text}" for name, text in one.constant.items())


def inert_words(one: Comparison) -> Iterable[str]:
    """Name the methods whose critic had no say in what they learnt, and the seeds if it had some in others."""
    for name, seeds in one.inert.items():
        yield f"{name}: its critic had no say" + ("" if seeds == one.seeds else f" in {name_seeds(seeds)}")


def difference_text(one: Comparison) -> str:
    """Return a difference of mIoU in points with its interval, or with its deviation where there is no interval."""
    if one.interval is None:
        return points_with_sd(one.miou)
    return f"{points(one.miou.mean)} {points_interval(one.interval)}{ONE_SEED if one.is_over_images_only else ''}"


def explain_missing_differences(compared: Sequence[Comparison]) -> Iterable[str]:
    """Say which differences have no verdict, and why."""
    others = {"twin": "its twin", "claim": "the claimed other method", "placebo": "its placebo", "none": ""}
    for one in compared:
        if one.other_name and one.other is None:
            other = f"{others[one.relation]} {one.other_name}"
            yield f"{one.row.name}: no difference to {other}, which has no row in this ranking."
    reasons: dict[str, list[str]] = defaultdict(list)
    for one in compared:
        # a row without an interval of its own has its reason beside the ranking
        if one.missing and one.row.statistics.estimate and one.other and one.other.statistics.estimate:
            reasons[one.missing].append(pair_text(one))
    for reason, pairs in reasons.items():
        yield f"No interval of {', '.join(pairs)}: {reason}."


def marked_name(letters: Mapping[str, str]) -> Column[Row]:
    """Return the column of the methods, each with the marks of its notes; that of its recipe is in its name."""

    def cell(row: Row) -> str:
        marks = [f"({letters[note]})" for note in row.notes if note != row.recipe]
        return " ".join([row.name, *marks, *([BEATEN] if row.beaten_by else [])])

    return Column("method", cell)


def throughput(batch: int) -> Column[Row]:
    """Return the column of the images a second of the forward pass at a batch size."""

    def cell(row: Row) -> str:
        timing = row.inference.get(batch)
        return significant(timing.images_per_second) if timing else MISSING

    return Column(f"images/s\nbatch {batch}", cell)


_METHOD: Column[Row] = Column("method", lambda row: row.name)
MIOU: Column[Row] = Column("mIoU [%]", lambda row: percent_with_sd(row.score("miou")))
PIXEL_ACCURACY: Column[Row] = Column("pixel\nacc [%]", lambda row: percent(row.score("pixel_accuracy").mean))
PARAMETERS: Column[Row] = Column("params\n[M]", lambda row: significant(row.cost("parameters"), 1e6))
INFERENCE_MEMORY: Column[Row] = Column(
    "inference\n[MiB]", lambda row: significant(row.cost("inference_peak_bytes"), 2**20)
)
SEEDS: Column[Row] = Column("seeds", lambda row: str(len(row.records)))
TRAINING_SECONDS: Column[Row] = Column("training\n[s]", lambda row: significant(row.train("seconds").mean))
TRAINING_SPEED: Column[Row] = Column("training\nimages/s", lambda row: significant(row.train("images_per_second").mean))
TRAINING_STEPS: Column[Row] = Column("training\nsteps", lambda row: significant(row.train("steps").mean))
TRAINING_MEMORY: Column[Row] = Column("training\n[MiB]", lambda row: significant(row.cost("train_peak_bytes"), 2**20))
HEALTH: Column[Row] = Column("health", verdicts)


def _interval(row: Row) -> str:
    return percent_interval(row.statistics.interval) + (ONE_SEED if row.statistics.is_over_images_only else "")


def _tier(row: Row) -> str:
    return MISSING if row.statistics.tier is None else str(row.statistics.tier)


INTERVAL: Column[Row] = Column("95 % interval", _interval)
TIER: Column[Row] = Column("tier", _tier)


def _score(name: str) -> Callable[[Row], str]:
    """Return the function for the cells of a score: mean ± sd in percent, or the mean alone of other units."""
    if name in _NOT_IN_PERCENT:
        return lambda row: significant(row.score(name).mean)
    return lambda row: percent_with_sd(row.score(name))


def _places(group: Group, row: Row) -> str:
    places = sorted(group.places.index(where) + 1 for where in row.scored_under)
    return ", ".join(map(str, places)) or MISSING


def _batches(where: Conditions | None) -> list[int]:
    """Return the batch sizes that are shown: 1 and the protocol's."""
    return sorted({1, where.batch_size or 1}) if where else []


def _speed(stage: Stage, batch: int) -> Callable[[Row], str]:
    return lambda row: speed_text(row.speed.row(stage, batch))


def _forward_ratio(rows: Sequence[Row], batch: int) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        twin = find_own(row, row.twin, rows) if row.twin else None
        return ratio_text(speed_ratio(row.speed, twin.speed, "forward", batch) if twin else None)

    return cell


def _joules(row: Row) -> str:
    energy = row.timing.energy if row.timing else None
    return f"{significant(energy.joules_per_image)} (batch {energy.batch})" if energy else MISSING


def latency(batch: int) -> Column[Row]:
    """Return the column of the latency of a batch."""
    return Column(f"p50 / p95 [ms]\nbatch {batch}", lambda row: latency_text(row.inference.get(batch)))


def flops(rows: Sequence[Row]) -> Column[Row]:
    """Return the column of billions of operations of an image, whose size is in the header if all rows have one."""
    sizes = {row.flops_size for row in rows if row.flops_size}
    size = f" at\n{sizes_text(tuple(sizes))}" if len(sizes) == 1 else ""

    def cell(row: Row) -> str:
        number = significant(row.cost("flops"), 1e9)
        if size or number == MISSING or row.flops_size is None:
            return number
        return f"{number} at {sizes_text((row.flops_size,))}"

    return Column(f"GFLOPs{size}", cell)


def _shares(summaries: Iterable[Summary]) -> str:
    """Return the means of shares in whole percent, such as "10/60/30"; one dash if none is known."""
    means = [summary.mean for summary in summaries]
    if all(mean is None for mean in means):
        return MISSING
    return "/".join(MISSING if mean is None else f"{100 * mean:.0f}" for mean in means)


def _smallest_effect(one: Comparison) -> str:
    return significant(one.judgement.smallest_effect, 0.01) if one.judgement else MISSING


def _seeds(one: Comparison) -> str:
    needed = one.judgement.seeds_needed if one.judgement else None
    return f"{len(one.seeds)} / {MISSING if needed is None else needed}"
