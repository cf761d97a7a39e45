"""Rows of a ranking: a method over its seeds, and how records are sorted into rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, get_args

from segbench.report import cell_spec
from segbench.report.folds import folds_of
from segbench.report.numbers import name_seeds
from segbench.stats.summary import CONFIDENCE_LEVEL, Interval, summarize
from segbench.store.record import TimingBudget
from segbench.store.sharing import shares_gpu

from .timings import STAGES, MethodSpeed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from segbench.report.conditions import Conditions
    from segbench.stats.difference import Estimate
    from segbench.stats.health import ConstantClass
    from segbench.stats.summary import Summary
    from segbench.store.record import Cost, HealthVerdict, Inference, Record, Stage, Timing

    Runs = Mapping[Conditions, tuple[Record, ...]]


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
    differs and when, and is one of the notes. `notes` say what a reader must know of this row. `runs` are the records
    under each of the conditions that it ran under. Speeds, seconds and memory are those under `conditions`, the
    ranking's: there are none if it ran elsewhere only. These are None for label maps scored from elsewhere. `constant`
    is the class that the network predicts everywhere, by the seeds with which it does. `beaten_by` is the name of a row
    with a higher mIoU that is faster too; empty if there is none.
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
    runs: Runs = field(default_factory=dict)

    @property
    def timed(self) -> tuple[Record, ...]:
        """The records under its conditions, from which speeds, seconds and memory are taken."""
        return self.runs.get(self.conditions, ()) if self.runs and self.conditions else self.records

    @property
    def trained_alone(self) -> tuple[Record, ...]:
        """Those of `timed` that shared no GPU with other cells, from which seconds of training are taken."""
        return tuple(record for record in self.timed if not shared_gpu(record))

    @property
    def scored_under(self) -> tuple[Conditions, ...]:
        """The conditions that its scores come from."""
        own = set(map(id, self.records))
        return tuple(where for where, records in self.runs.items() if not own.isdisjoint(map(id, records)))

    def under(self, where: Conditions) -> Row | None:
        """Return the row with its records under some conditions only; None if there are none."""
        found = self.runs.get(where)
        return replace(self, records=found, conditions=where) if found else None

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
        parts = [f"{what} ({name_seeds(of)})" for what, of in by_class.items()]
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
    def dose_of(self) -> str | None:
        """The method that it is at another dose."""
        return cell_spec.dose_of(self.records[0])

    @property
    def dose(self) -> tuple[str, float] | None:
        """Its adversarial weight, or the ratio of gradients that sets it: "weight" or "ratio", and the number."""
        return cell_spec.dose(self.records[0])

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
        if name not in self._scores:
            scores = (getattr(record.scores, name) if record.scores else None for record in self.records)
            self._scores[name] = summarize(scores)
        return self._scores[name]

    @cached_property
    def _scores(self) -> dict[str, Summary]:
        """The scores that were asked for."""
        return {}

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
        shares = ((record.train.shares or {}).get(part) if record.train else None for record in self.trained_alone)
        return summarize(shares)

    def train(self, name: str) -> Summary:
        """Return steps, seconds, images_per_second or seconds_to_best over the seeds."""
        records = self.timed if name == "steps" else self.trained_alone
        return summarize(getattr(record.train, name) if record.train else None for record in records)

    @property
    def train_seconds(self) -> dict[int, float]:
        """The seconds of training of each seed."""
        return {record.seed: record.train.seconds for record in self.trained_alone if record.train}

    def cost(self, name: str) -> int | None:
        """Return one cost of the method: the largest among its seeds."""
        records = self.timed if name.endswith("bytes") else self.records
        costs: list[Cost] = [record.cost for record in records if record.cost]
        return max((value for cost in costs if (value := getattr(cost, name)) is not None), default=None)

    @property
    def flops_size(self) -> tuple[int, int] | None:
        """The [height, width] at which FLOPs were counted."""
        return flops_size(self.records)

    @property
    def inference(self) -> dict[int, Inference]:
        """The timing of the forward pass by batch size.

        A method is timed once for each machine; if several machines of one kind did, the measurement with the full
        budget and the most iterations is shown, since percentiles cannot be averaged.
        """
        return self.stage("forward")

    def stage(self, stage: Stage) -> dict[int, Inference]:
        """Return the timing of one stage by batch size; see `inference`."""
        return self._stages[stage]

    @cached_property
    def _stages(self) -> dict[Stage, dict[int, Inference]]:
        """The timing of each stage: a page asks for it hundreds of times."""
        return {stage: timings(self.timed, stage) for stage in STAGES}

    @property
    def timing(self) -> Timing | None:
        """How the shown timing was taken; if it comes from several measurements, that of the smallest batch."""
        shown = next(iter(self.inference.values()), None)
        return next((record.timing for record in self.timed if record.timing and shown in record.inference), None)

    @cached_property
    def speed(self) -> MethodSpeed:
        """What is known of its speed; many rows are compared by it."""
        return MethodSpeed(self.name, tuple(one for stage in STAGES for one in self.stage(stage).values()), self.timing)


def shared_gpu(record: Record) -> bool:
    """Tell whether a record's cell, or that of any of its folds, was trained on a GPU beside others."""
    return any(shares_gpu(one.environment) for one in folds_of(record))


def where_both_ran(one: Row, other: Row) -> tuple[Row, Row] | None:
    """Return two rows under conditions that they share, the ranking's before others; None if there are none."""
    if not one.runs or not other.runs or (one.conditions in one.runs and one.conditions in other.runs):
        return one, other
    views = ((one.under(where), other.under(where)) for where in (one.conditions, *one.runs) if where)
    return next(((ours, theirs) for ours, theirs in views if ours and theirs), None)


def timings(records: Iterable[Record], stage: Stage) -> dict[int, Inference]:
    """Return the timing of one stage by batch size: of several that with the largest budget and the most iterations."""
    found = [row for record in records for row in record.inference if row.stage == stage]
    best: dict[int, Inference] = {}
    for row in sorted(found, key=_most_measured_first):
        best.setdefault(row.batch, row)
    return dict(sorted(best.items()))


def _most_measured_first(row: Inference) -> tuple[int, int]:
    return -get_args(TimingBudget).index(row.budget), -row.latency_ms.n


def flops_size(records: Iterable[Record]) -> tuple[int, int] | None:
    """Return the [height, width] at which the FLOPs of records were counted; None if they were not."""
    return next((record.cost.flops_size for record in records if record.cost and record.cost.flops_size), None)


def _same_length(lists: Sequence[Sequence[float | None]]) -> bool:
    return len({len(values) for values in lists}) == 1
