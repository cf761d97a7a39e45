"""The parts of a timing session, which methods do in interleaved blocks; plain data that needs no torch.

Every method is timed by a worker of its own. A worker names the part of the session that comes next and waits until the
parent lets it take one block of it. The parent lets all methods finish a part, block by block, before any begins the
next, so that a change of the device's clock affects all alike.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, Protocol, get_args

from segbench.config.frozen import Frozen
from segbench.engine.job import Channel
from segbench.store.record import DeviceState, Energy, Inference, Stage, SweepPoint

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
    """What is measured of one method; the fields are those of `Record.inference`, `Record.timing` and `Record.cost`."""

    inference: tuple[Inference, ...]
    inference_peak_bytes: int | None
    threads: int
    steady: bool
    before: DeviceState = DeviceState()
    after: DeviceState = DeviceState()
    sweep: tuple[SweepPoint, ...] = ()
    energy: Energy | None = None


class RowSoFar(NamedTuple):
    """A row while it is measured: iterations a second of its blocks, and whether its median latency is known."""

    blocks: tuple[float, ...]
    median_is_known: bool


class Turn(NamedTuple):
    """A turn that the parent gives.

    `methods` is how many methods share the device, this one among them; 0 asks for an early end. `enough` is whether
    the row is known as precisely as the timing budget asks, so that it needs no further block.
    """

    methods: int
    enough: bool = False


class TurnChannel(Channel, Protocol):
    """How a worker of a timing session speaks with its parent."""

    def wait_for_turn(self, part: Part, measured: Measured | None, row: RowSoFar | None = None) -> Turn:
        """Say which part comes next and what is measured so far, and wait for the turn.

        `measured` is None until all rows are complete; `row` is that whose next block `part` is.
        """
