"""What a worker process is asked to do and what it answers; plain data, so that this module needs no torch.

What a cell leaves in its folder for later cells and commands, by file name.

How methods that are timed against each other take turns; plain data, so that this module needs no torch.

A worker tells which part of the session it comes to next and waits; it does as much of it as one turn holds, and so on.
Its parent lets all rivals finish a part, turn by turn, before any of them begins the next.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal, NamedTuple, Protocol, get_args

from pydantic import Field

from segbench.config.protocol import Frozen
from segbench.plan.cell import Cell
from segbench.store.record import (
    DeviceState,
    Energy,
    Inference,
    Measurements,
    Stage,
    SweepPoint,
    Timing,
)


class CellJob(Frozen):
    """One cell to run: where its files go, on which device, and the folders of the cells it needs.

    `folder` is the cell's own folder (results/<benchmark>/<key>); `upstream` maps the reason ("start_from") to the
    folder of the finished cell.
    """

    cell: Cell
    folder: str
    device: str
    upstream: dict[str, str] = Field(default_factory=dict)
    checkpoint_seconds: float = 120.0


class CellResult(Measurements):
    """What a finished or interrupted cell hands to the process that writes the record."""

    status: Literal["ok", "interrupted"]
    environment: dict[str, Any] = Field(default_factory=dict)


class TimingJob(CellJob):
    """A cell whose method is to be timed; weights in its folder are taken where there are any.

    `size` is the [height, width] of images, by default that of most images of the evaluated split. Where it is given,
    the stage "loading" is left out: files have the sizes that they have.
    """

    size: tuple[int, int] | None = None


class TimingResult(Frozen):
    """What the timing of a method gives: `Record.inference`, `Record.timing`, bytes at the peak (None if unknown)."""

    inference: tuple[Inference, ...]
    inference_peak_bytes: int | None
    timing: Timing


class Channel(Protocol):
    """How a running cell speaks with its parent process."""

    def emit(self, event: str, **fields: Any) -> None:
        """Report an event.

        stage(name), step(step, steps, seconds, loss, images_per_second), validation(step, miou), resumed(step),
        warning(message).
        """

    def stop_requested(self) -> bool:
        """Tell whether the parent asks for a checkpoint and an early end."""


CHECKPOINT = "checkpoint.safetensors"


MODEL = "model.safetensors"


DISCRIMINATOR = "critic.safetensors"


PROBABILITIES = "probabilities"


STAGES: tuple[Stage, ...] = get_args(Stage)


class Work(IntEnum):
    """What is done in a part, in the order in which it is done."""

    WARM_UP = 0
    BLOCK = 1


class Part(NamedTuple):
    """A part of a session; parts sort in the order in which they are done: rows by batch and stage, sweep, energy."""

    place: int
    batch: int = 0
    stage: int = 0
    work: Work = Work.WARM_UP

    def __str__(self) -> str:
        if self.place == _ENERGY:
            return "energy"
        if self.place == _SWEEP:
            return f"sweep, batches of {self.batch}"
        return f"{STAGES[self.stage]}, batches of {self.batch}"


_ROWS, _SWEEP, _ENERGY = range(3)


def row_part(stage: Stage, batch: int, work: Work) -> Part:
    """Return the warm-up, or the blocks, of one row of inference timing.

    >>> row_part("argmax", 1, Work.BLOCK) < row_part("forward", 8, Work.WARM_UP) < sweep_part(1) < energy_part()
    True
    """
    return Part(_ROWS, batch, STAGES.index(stage), work)


def sweep_part(batch: int) -> Part:
    """Return one batch size of the sweep."""
    return Part(_SWEEP, batch)


def energy_part() -> Part:
    """Return the measurement of energy."""
    return Part(_ENERGY)


class Measured(Frozen):
    """What one rival has measured; the fields are those of `Record.inference`, `Record.timing` and `Record.cost`."""

    inference: tuple[Inference, ...]
    inference_peak_bytes: int | None
    threads: int
    steady: bool
    before: DeviceState = DeviceState()
    after: DeviceState = DeviceState()
    sweep: tuple[SweepPoint, ...] = ()
    energy: Energy | None = None


class TurnChannel(Channel, Protocol):
    """How a worker that takes turns speaks with its parent."""

    def wait_for_turn(self, part: Part, measured: Measured | None) -> int:
        """Say which part comes next and what is measured so far, and wait for the turn.

        `measured` is None until all rows are complete. Returns how many rivals share the device, this one among them;
        0 asks for an early end.
        """
