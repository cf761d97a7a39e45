"""The conditions under which records came about: those that scores depend on, and those that speeds depend on.

A score is a property of method, data and seed. What changes the arithmetic that is asked for or what is evaluated (the
precision, TF32, the batch size, the window) changes the method, so such rows never share a ranking. What changes only
the order in which sums are rounded (the device and its name, the version of torch, the threads, compilation) acts like
another seed: training makes of a last bit what it makes of another draw. Seeds are random in every interval, so a
ranking may hold rows from several machines, and a row seeds from several (tests/stats/test_coverage.py). Where both
rows of a pair ran on one machine, less varies between them, which the interval measures too. Speed, memory and seconds
depend on all of it, and on how inference was timed: they are compared only under the same conditions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from segbench.store.record import CAPTURED

from . import cell_spec
from .numbers import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.store.record import Record

    Sizes = tuple[tuple[int, int], ...]


class Scoring(NamedTuple):
    """The conditions that scores depend on, beside data and protocol."""

    precision: str | None
    tf32: bool
    window: str | None

    @property
    def arithmetic(self) -> str:
        """Precision in words."""
        return f"{self.precision or 'unknown precision'}{' with TF32' if self.tf32 else ''}"

    @property
    def heading(self) -> str:
        """All of it in one line."""
        return " · ".join([self.arithmetic, *([f"sliding {self.window}"] if self.window else [])])


@dataclass(frozen=True)
class Conditions:
    """Device, precision, batch and so on of trained records.

    `sizes` are the [height, width] at which inference was timed, `timing_budget` is "reduced", or "full", also where
    each row ended as soon as it was known within 2 %; both are None where nothing was timed. `window` is None where
    whole images were evaluated. `batch_is_own` tells that the method overrides the batch size of its benchmark.
    """

    device: str | None
    device_name: str | None
    precision: str | None
    tf32: bool
    batch_size: int | None
    threads: int | None
    compile: bool
    window: str | None
    torch: str | None = None
    captured: bool = False
    deterministic: bool = False
    processes: int = 1
    sizes: Sizes | None = None
    timing_budget: str | None = None
    batch_is_own: bool = False

    @property
    def heading(self) -> str:
        """The conditions in one line, as shown above a ranking."""
        parts = [
            *self.essentials,
            "compiled" if self.compile else "not compiled",
            *(["captured"] if self.captured else []),
            *(["deterministic"] if self.deterministic else []),
            *([f"sliding {self.window}"] if self.window else []),
            f"timed at {sizes_text(self.sizes)}" if self.timing_budget else "inference not timed",
        ]
        if self.timing_budget == "reduced":
            parts.append("reduced timing budget")
        return " · ".join(parts)

    @property
    def essentials(self) -> list[str]:
        """Device, precision, batch size, and threads and processes, each in words."""
        together = f" in {self.processes} processes" if self.processes > 1 else ""
        return [
            f"{self.device or 'unknown device'}: {self.models or 'not named'}",
            self.scoring.arithmetic,
            f"batch {'unknown' if self.batch_size is None else self.batch_size}",
            f"{plural(self.threads, 'thread')}{together}",
        ]

    @property
    def models(self) -> str | None:
        """The model of the device and, of several, their number; None if it is not named."""
        several = self.device_name and self.device == "cuda" and self.processes > 1
        return f"{self.processes} × {self.device_name}" if several else self.device_name

    @property
    def scoring(self) -> Scoring:
        """What scores depend on."""
        return Scoring(self.precision, self.tf32, self.window)

    @property
    def place(self) -> Conditions:
        """The same without how inference was timed."""
        return replace(self, sizes=None, timing_budget=None)

    def describe_beside(self, others: Sequence[Conditions]) -> str:
        """Return the device, and in what else these conditions differ from others."""
        of_others = [other._details for other in others]
        details = [
            text for place, text in enumerate(self._details) if any(theirs[place] != text for theirs in of_others)
        ]
        return " · ".join([self.essentials[0], *details])

    @property
    def _details(self) -> list[str]:
        return [
            self.essentials[-1],
            "compiled" if self.compile else "not compiled",
            "captured" if self.captured else "not captured",
            "deterministic" if self.deterministic else "not deterministic",
            f"torch {self.torch or 'of an unknown version'}",
            f"timed at {sizes_text(self.sizes)}" if self.timing_budget else "inference not timed",
            f"{self.timing_budget or 'no'} timing budget",
        ]

    def agrees_with(self, other: Conditions) -> bool:
        """Tell whether two rows agree in all that both of them know."""
        known_sizes = self.sizes or other.sizes
        known_budget = self.timing_budget or other.timing_budget
        return replace(self, sizes=known_sizes, timing_budget=known_budget) == replace(
            other, sizes=other.sizes or known_sizes, timing_budget=other.timing_budget or known_budget
        )


def read_conditions(record: Record) -> Conditions:
    """Return the conditions of one record, without what only its timing tells."""
    environment = record.environment
    values = cell_spec.protocol_values(record, _CONDITIONS)
    precision, tf32, batch_size, threads, compiled, deterministic, processes, window = values
    # "cuda:0" and "cuda:1" are one kind of device; its model distinguishes different ones
    device = str(environment["device"]).partition(":")[0] if environment.get("device") else None
    return _shared(
        device=device,
        device_name=environment.get("device_name") or (environment.get("cpu") if device == "cpu" else None),
        precision=precision,
        tf32=bool(tf32),
        batch_size=batch_size,
        threads=environment.get("threads") or threads,
        compile=bool(compiled),
        window=_window(window),
        torch=environment.get("torch"),
        captured=record.train is not None and record.train.capture == CAPTURED,
        deterministic=bool(deterministic),
        processes=processes if isinstance(processes, int) else 1,
        batch_is_own="batch_size" in cell_spec.overrides(record),
    )


_CONDITIONS = (
    "precision",
    "tf32",
    "batch_size",
    "threads",
    "compile",
    "deterministic",
    "processes",
    "window",
)  # of a protocol
_shared = cache(Conditions)  # thousands of records came about under a few


def fill_in_missing(found: Mapping[Conditions, int]) -> dict[Conditions, Conditions]:
    """Fill in what conditions do not tell from the most frequent known ones that they agree with.

    `found` are the numbers of their records. Records that were not timed have no size; of a method with a batch size of
    its own the others tell that of the benchmark.
    """
    ranked = rank_conditions(found)
    known = [one for one in ranked if one.sizes and one.timing_budget and not one.batch_is_own]
    shared = {one: _with_shared_batch(one, ranked) if one.batch_is_own else one for one in found}
    return {one: next(filter(place.agrees_with, known), place) for one, place in shared.items()}


def _with_shared_batch(own: Conditions, ranked: Sequence[Conditions]) -> Conditions:
    """Return conditions with the batch size of the first others of the same place that do not override it."""
    places = (one.place for one in ranked if not one.batch_is_own)
    found = (one for one in places if replace(one, batch_size=own.batch_size, batch_is_own=True) == own.place)
    batch_size = next((one.batch_size for one in found), own.batch_size)
    return replace(own, batch_size=batch_size, batch_is_own=False)


def rank_conditions(found: Mapping[Conditions, int]) -> list[Conditions]:
    """Return conditions by the number of records from their place, then by their own, most first."""
    places: Counter[Conditions] = Counter()
    for one, number in found.items():
        places[one.place] += number

    def rank(one: Conditions) -> tuple[int, bool, int, str]:
        return places[one.place], one.timing_budget is not None, found[one], repr(one)

    return sorted(found, key=rank, reverse=True)


def sizes_text(sizes: Sizes | None) -> str:
    """Return sizes as height×width in pixels."""
    return ", ".join(f"{height}×{width}" for height, width in sizes) if sizes else "unknown size"


def _window(window: object) -> str | None:
    if not isinstance(window, dict):
        return None
    size, stride = ("×".join(str(side) for side in window.get(key, ())) for key in ("size", "stride"))
    return f"windows {size} every {stride}"
