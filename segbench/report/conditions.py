"""The conditions under which a row was measured; rows that differ in them never share a ranking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import cell_spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.store.record import Record

    Sizes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Conditions:
    """Device, precision, batch and so on of a trained row.

    `sizes` are the [height, width] at which inference was timed, `timing_budget` is "reduced", or "full", also where
    each row ended as soon as it was known within 2 %; both are None where nothing was timed. `window` is None where
    whole images were evaluated.
    """

    device: str | None
    device_name: str | None
    precision: str | None
    tf32: bool
    batch_size: int | None
    threads: int | None
    compile: bool
    window: str | None
    sizes: Sizes | None = None
    timing_budget: str | None = None

    @property
    def heading(self) -> str:
        """The conditions in one line, as shown above a ranking."""
        parts = [
            *self.essentials,
            "compiled" if self.compile else "not compiled",
            *([f"sliding {self.window}"] if self.window else []),
            f"timed at {sizes_text(self.sizes)}" if self.timing_budget else "inference not timed",
        ]
        if self.timing_budget == "reduced":
            parts.append("reduced timing budget")
        return " · ".join(parts)

    @property
    def essentials(self) -> list[str]:
        """Device, precision, batch size and threads, each in words."""
        return [
            f"{self.device or 'unknown device'}: {self.device_name or 'not named'}",
            f"{self.precision or 'unknown precision'}{' with TF32' if self.tf32 else ''}",
            f"batch {'unknown' if self.batch_size is None else self.batch_size}",
            f"{'unknown number of' if self.threads is None else self.threads} thread{'' if self.threads == 1 else 's'}",
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
    protocol, environment = cell_spec.protocol(record), record.environment
    # "cuda:0" and "cuda:1" are one kind of device; its model distinguishes different ones
    device = str(environment["device"]).partition(":")[0] if environment.get("device") else None
    return Conditions(
        device=device,
        device_name=environment.get("device_name") or (environment.get("cpu") if device == "cpu" else None),
        precision=protocol.get("precision"),
        tf32=bool(protocol.get("tf32")),
        batch_size=protocol.get("batch_size"),
        threads=environment.get("threads") or protocol.get("threads"),
        compile=bool(protocol.get("compile")),
        window=_window(protocol.get("window")),
    )


def fill_in_missing(rows: Iterable[Conditions]) -> dict[Conditions, Conditions]:
    """Fill in what a row does not know from the one set of known conditions it agrees with.

    A row that was not timed has no size; it takes that of the timed rows if all that fit have the same.
    """
    distinct = list(dict.fromkeys(rows))
    known = [one for one in distinct if one.sizes is not None and one.timing_budget is not None]
    filled = {}
    for one in distinct:
        candidates = [other for other in known if one.agrees_with(other)]
        filled[one] = candidates[0] if len(candidates) == 1 else one
    return filled


def sizes_text(sizes: Sizes | None) -> str:
    """Return sizes as height×width in pixels."""
    return ", ".join(f"{height}×{width}" for height, width in sizes) if sizes else "unknown size"


def _window(window: object) -> str | None:
    if not isinstance(window, dict):
        return None
    size, stride = ("×".join(str(side) for side in window.get(key, ())) for key in ("size", "stride"))
    return f"windows {size} every {stride}"
