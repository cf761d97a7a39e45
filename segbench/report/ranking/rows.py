"""Rows of a ranking: a method over its seeds under one set of conditions, and how records are sorted into rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, get_args

from segbench.report import cell_spec
from segbench.report.conditions import Conditions, read_conditions
from segbench.report.numbers import letter, significant
from segbench.report.selection import name_recipe
from segbench.stats.summary import CONFIDENCE_LEVEL, Interval, summarize
from segbench.store.record import TimingBudget

from .timings import STAGES, MethodSpeed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from segbench.stats.difference import Estimate
    from segbench.stats.health import ConstantClass
    from segbench.stats.summary import Summary
    from segbench.store.record import Cost, HealthVerdict, Inference, Record, Stage, Timing


TRAINING_PARTS = ("data", "generator", "critic")
COST_NAMES = ("parameters", "flops", "train_peak_bytes", "inference_peak_bytes")


class RowStatistics(NamedTuple):
    """A row's mIoU with its confidence interval, and its tier, 1 the best; None where it is not known.

    `interval_missing` says why there is no interval, `tier_missing` why there is no tier.
    """

    estimate: Estimate | None = None
    tier: int | None = None
    interval_missing: str | None = None
    tier_missing: str | None = None

    @property
    def interval(self) -> Interval | None:
        """The interval of the mIoU at CONFIDENCE_LEVEL, cut where no mIoU can be."""
        if self.estimate is None:
            return None
        low, high = self.estimate.interval(CONFIDENCE_LEVEL)
        return Interval(max(low, 0.0), min(high, 1.0))

    @property
    def is_over_images_only(self) -> bool:
        """Whether the interval is over images only, because there is one seed."""
        return self.estimate is not None and self.estimate.seeds == 1


NO_STATISTICS = RowStatistics()


@dataclass(frozen=True)
class Row:
    """A method's records, one for each seed, and what the report shows of them.

    `name` is that of the method, with a letter where several recipes of a ranking have it; `recipe` then says what
    differs and when, and is one of the notes. `conditions` is None for label
    maps scored from elsewhere. `notes` say what a reader must know of this row. `constant` is the class that the
    network predicts everywhere, by the seeds with which it does. `beaten_by` is the name of a row with a higher mIoU
    that is faster too; empty if there is none.
    """

    method: str
    name: str
    records: tuple[Record, ...]
    conditions: Conditions | None
    notes: tuple[str, ...]
    statistics: RowStatistics
    letter: str = ""
    recipe: str = ""
    constant: Mapping[int, ConstantClass] = field(default_factory=dict)
    beaten_by: str = ""

    def with_constant(self, found: Mapping[int, ConstantClass]) -> Row:
        """Return the row with the classes that its network predicts everywhere, by seed, and a note of them."""
        row = replace(self, constant=found)
        return replace(row, notes=(*row.notes, row.describe_constant(row.seeds))) if found else row

    def describe_constant(self, seeds: Collection[int]) -> str:
        """Say which class the network predicts everywhere, with which of some seeds: "" if with none."""
        by_class: dict[str, list[int]] = {}
        for seed in filter(self.constant.__contains__, seeds):
            place, share = self.constant[seed]
            name = self.classes[place] if self.classes else f"class {place}"
            by_class.setdefault(f"{name} {'everywhere' if share == 1 else 'almost everywhere'}", []).append(seed)
        parts = [f"{what} (seed{'s' * (len(of) > 1)} {', '.join(map(str, of))})" for what, of in by_class.items()]
        return f"predicts {' and '.join(parts)}" if parts else ""

    @property
    def scored_only(self) -> bool:
        """Whether the label maps come from elsewhere."""
        return self.conditions is None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(record.seed for record in self.records)

    @property
    def overrides(self) -> tuple[str, ...]:
        """The dotted protocol keys in which the method differs from its benchmark."""
        return cell_spec.overrides(self.records[0])

    @property
    def twin(self) -> str | None:
        """The method with which it must be compared."""
        return cell_spec.twin(self.records[0])

    @property
    def placebo_of(self) -> str | None:
        """The method of which it is a placebo."""
        return cell_spec.placebo_of(self.records[0])

    @property
    def against(self) -> tuple[str, ...]:
        """The methods that claims compare it with, its twin among them or not."""
        return cell_spec.against(self.records[0])

    @property
    def placebo(self) -> str | None:
        """The kind of placebo that it is."""
        return cell_spec.placebo(self.records[0])

    @property
    def label_fraction(self) -> float | None:
        """The fraction of the training labels that it was trained with."""
        return cell_spec.label_fraction(self.records[0])

    @property
    def as_long_as(self) -> str | None:
        """The method whose measured seconds of training were its budget."""
        return cell_spec.as_long_as(self.records[0])

    @property
    def budget_seconds(self) -> Summary:
        """The seconds that it took over as its budget, over the seeds."""
        return summarize(record.settled.seconds if record.settled else None for record in self.records)

    @property
    def definitions(self) -> dict[str, str]:
        """The id and version of each of its scores."""
        return {name: text for record in self.records for name, text in cell_spec.definitions(record).items()}

    @property
    def base(self) -> str | None:
        """The method whose predictions it refines."""
        return cell_spec.base(self.records[0])

    @property
    def generates_images(self) -> bool:
        """Whether it makes images instead of label maps, and so has no mIoU."""
        return any(record.generation for record in self.records) and self.score("miou").n == 0

    @property
    def features(self) -> str | None:
        """The features by which generated images were compared; several where the seeds differ."""
        found = {record.generation.features for record in self.records if record.generation}
        return " and ".join(sorted(found)) or None

    @property
    def verdicts(self) -> dict[HealthVerdict, tuple[int, ...]]:
        """The seeds of each verdict on the adversarial game, the most frequent first; empty without a discriminator."""
        seeds: dict[HealthVerdict, tuple[int, ...]] = {}
        for record in self.records:
            if record.health:
                seeds[record.health.verdict] = (*seeds.get(record.health.verdict, ()), record.seed)
        return dict(sorted(seeds.items(), key=lambda item: (-len(item[1]), item[0])))

    def health(self, name: str) -> Summary:
        """Return one of the numbers behind the verdicts over the seeds."""
        return summarize(record.health.numbers.get(name) if record.health else None for record in self.records)

    def generation(self, name: str) -> Summary:
        """Return a number of `Record.generation` over the seeds."""
        return summarize(getattr(record.generation, name) if record.generation else None for record in self.records)

    def refinement(self, name: str) -> Summary:
        """Return a number of `Record.refinement`, in [0, 1], over the seeds."""
        return summarize(getattr(record.refinement, name) if record.refinement else None for record in self.records)

    def score(self, name: str) -> Summary:
        """Return a score, in [0, 1], over the seeds."""
        return summarize(getattr(record.scores, name) if record.scores else None for record in self.records)

    def by_seed(self, name: str) -> dict[int, float]:
        """Return a score of each seed that has it."""
        found = {record.seed: getattr(record.scores, name) for record in self.records if record.scores}
        return {seed: score for seed, score in found.items() if score is not None}

    def class_scores(self, name: str) -> list[float | None]:
        """Return the mean over seeds of a score of `Record.per_class` for each class; None where no seed has one."""
        measured = [getattr(record.per_class, name) for record in self.records if record.per_class]
        found = [values for values in measured if values is not None]
        return [summarize(values).mean for values in zip(*found, strict=True)] if _same_length(found) else []

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes in the order of their ids; None where no record has them."""
        named = [record.evaluated.classes for record in self.records if record.evaluated]
        return next((tuple(names) for names in named if names), None)

    def training_share(self, part: str) -> Summary:
        """Return the share, in [0, 1], of the training time that went into one of TRAINING_PARTS."""
        return summarize((record.train.shares or {}).get(part) if record.train else None for record in self.records)

    def train(self, name: str) -> Summary:
        """Return steps, seconds, images_per_second or seconds_to_best over the seeds."""
        return summarize(getattr(record.train, name) if record.train else None for record in self.records)

    @property
    def train_seconds(self) -> dict[int, float]:
        """The seconds of training of each seed."""
        return {record.seed: record.train.seconds for record in self.records if record.train}

    def cost(self, name: str) -> int | None:
        """Return one cost of the method: the largest among its seeds."""
        costs: list[Cost] = [record.cost for record in self.records if record.cost]
        return max((value for cost in costs if (value := getattr(cost, name)) is not None), default=None)

    @property
    def flops_size(self) -> tuple[int, int] | None:
        """The [height, width] at which FLOPs were counted."""
        return _flops_size(self.records)

    @property
    def inference(self) -> dict[int, Inference]:
        """The timing of the forward pass by batch size.

        A method is timed once for each machine; if several machines of one kind did, the measurement with the full
        budget and the most iterations is shown, since percentiles cannot be averaged.
        """
        return self.stage("forward")

    def stage(self, stage: Stage) -> dict[int, Inference]:
        """Return the timing of one stage by batch size; see `inference`."""
        return _timings(self.records, stage)

    @property
    def timing(self) -> Timing | None:
        """How the shown timing was taken; if it comes from several measurements, that of the smallest batch."""
        shown = next(iter(self.inference.values()), None)
        return next((record.timing for record in self.records if record.timing and shown in record.inference), None)

    @property
    def speed(self) -> MethodSpeed:
        """What is known of its speed."""
        return MethodSpeed(self.name, tuple(one for stage in STAGES for one in self.stage(stage).values()), self.timing)


class RowRecords(NamedTuple):
    """The records of one row: one method, recipe and set of conditions, and for each seed the latest record."""

    method: str
    records: tuple[Record, ...]
    conditions: Conditions | None
    notes: tuple[str, ...]


def sort_into_rows(records: Iterable[Record]) -> list[RowRecords]:
    """Put records of one set of data and one protocol together by method, recipe and conditions."""
    by_identity: dict[tuple[str, Conditions | None, str], list[Record]] = {}
    for record in records:
        by_identity.setdefault(_identity(record), []).append(record)
    return [_row_records(method, where, found) for (method, where, _), found in by_identity.items()]


class RowLabel(NamedTuple):
    """The name of a row; where several rows have its method's, the letter in it, and what differs and when."""

    name: str
    letter: str = ""
    recipe: str = ""


def label_rows(rows: Sequence[RowRecords]) -> list[RowLabel]:
    """Return the label of each row of a ranking; of several rows of one method the oldest has the first letter."""
    number = Counter(row.method for row in rows)
    several = sorted((row for row in rows if number[row.method] > 1), key=lambda row: (row.method, _begun(row.records)))
    found = {
        id(row): RowLabel(f"{row.method} ({letter(place)})", letter(place), _describe_recipe(row, several))
        for place, row in enumerate(several)
    }
    return [found.get(id(row), RowLabel(row.method)) for row in rows]


def _describe_recipe(row: RowRecords, several: Sequence[RowRecords]) -> str:
    """Say how a row differs from the other rows of its method, with its selector and when it was begun."""
    first = min(row.records, key=cell_spec.start_time)
    same = [other for other in several if other.method == row.method]
    differences = cell_spec.differences([cell_spec.recipe(other.records[0]) for other in same])
    what = differences[same.index(row)] or "it lacks what the others have"
    begun = cell_spec.start_text(first)
    return (
        f"one of {len(same)} recipes recorded as {row.method}, {name_recipe(first)}"
        f"{f', begun {begun}' if begun else ''}: {what}"
    )


def _begun(records: Iterable[Record]) -> tuple[float, str]:
    return min((cell_spec.start_time(record), record.key) for record in records)


def _identity(record: Record) -> tuple[str, Conditions | None, str]:
    if cell_spec.is_scored_only(record):
        return record.method, None, cell_spec.canonical(cell_spec.definitions(record))
    return record.method, read_conditions(record), cell_spec.canonical(cell_spec.recipe(record))


def _row_records(method: str, where: Conditions | None, records: Sequence[Record]) -> RowRecords:
    by_seed: dict[int, list[Record]] = {}
    for record in sorted(records, key=_latest_first):
        by_seed.setdefault(record.seed, []).append(record)
    latest = tuple(by_seed[seed][0] for seed in sorted(by_seed))
    complete = where and _with_timing(where, latest)
    return RowRecords(method, latest, complete, tuple(_notes(latest[0], by_seed)))


def _latest_first(record: Record) -> tuple[float, str]:
    return -cell_spec.start_time(record), record.key


def _notes(record: Record, by_seed: dict[int, list[Record]]) -> Iterable[str]:
    if cell_spec.is_scored_only(record):
        yield "label maps made elsewhere and only scored here: not trained under this protocol, no cost known"
    if overrides := cell_spec.overrides(record):
        yield f"overrides the benchmark's protocol: {', '.join(overrides)}"
    for file in record.plugin_files:
        yield f"{file.plugin}/ is a single file (SHA-256 {file.sha256[:12]}), no package; each cell keeps a copy of it"
    if absent := _absent_classes([found[0] for found in by_seed.values()]):
        yield absent
    if record.evaluated and (shared := record.evaluated.also_in_train):
        of = f"{shared} of the {record.evaluated.images} {record.evaluated.split} images"
        yield f"{of} {'is' if shared == 1 else 'are'} in train too, so the score looks too good"
    if like := cell_spec.as_long_as(record):
        yield f"trained {_seconds_text(found[0] for found in by_seed.values())}, as long as {like}"
    for seed, found in by_seed.items():
        if len(found) > 1:
            ignored = ", ".join(record.key for record in found[1:])
            times = f"seed {seed} is recorded {len(found)} times"
            yield f"{times}; the latest, {found[0].key}, is shown; ignored: {ignored}"


def _seconds_text(records: Iterable[Record]) -> str:
    """Return the budgets in seconds that cells took over from others: "41.2 s", or "38.0 to 41.2 s" over the seeds."""
    seconds = [record.settled.seconds for record in records if record.settled and record.settled.seconds is not None]
    if not seconds:
        return "an unknown time"
    ends = dict.fromkeys(significant(end) for end in (min(seconds), max(seconds)))
    return f"{' to '.join(ends)} s"


def _absent_classes(records: Sequence[Record]) -> str | None:
    """Say over how many classes the mean goes, if over one or not over all."""
    classes = [record.per_class.iou for record in records if record.per_class]
    counts = {(len(iou) - iou.count(None), len(iou)) for iou in classes}
    if any(present == 1 for present, _ in counts):
        return "only one class occurs in truth and prediction, so a score of 100 says nothing"
    if all(present == known for present, known in counts):
        return None
    ratios = " or ".join(f"{present} of {known}" for present, known in sorted(counts))
    return f"mIoU over {ratios} classes; the others occur in neither truth nor prediction"


def _with_timing(where: Conditions, records: Sequence[Record]) -> Conditions:
    """Complete conditions by what the timing of the records tells."""
    timed = _timings(records, "forward").values()
    sizes = tuple(sorted({timing.size for timing in timed}))
    if not sizes and (counted_at := _flops_size(records)):
        sizes = (counted_at,)
    budget = "reduced" if any(timing.budget == "reduced" for timing in timed) else "full" if timed else None
    return replace(where, sizes=sizes or None, timing_budget=budget)


def _timings(records: Iterable[Record], stage: Stage) -> dict[int, Inference]:
    """Return the timing of one stage by batch size: of several that with the largest budget and the most iterations."""
    found = [row for record in records for row in record.inference if row.stage == stage]
    best: dict[int, Inference] = {}
    for row in sorted(found, key=_most_measured_first):
        best.setdefault(row.batch, row)
    return dict(sorted(best.items()))


def _most_measured_first(row: Inference) -> tuple[int, int]:
    return -get_args(TimingBudget).index(row.budget), -row.latency_ms.n


def _flops_size(records: Iterable[Record]) -> tuple[int, int] | None:
    return next((record.cost.flops_size for record in records if record.cost and record.cost.flops_size), None)


def _same_length(lists: Sequence[Sequence[float | None]]) -> bool:
    return len({len(values) for values in lists}) == 1
