"""The energy of inference as the device counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.store.record import Energy

from .latency import queued_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from .latency import Stopwatch

# The counter moves several times a second at best, so a short window would mostly measure when it moves.
WINDOW_SECONDS = 30.0


def energy_of(stopwatch: Stopwatch, batch: int, joules: Callable[[], float | None]) -> Energy | None:
    """Return the energy of an image over a window of at least 30 s of queued iterations.

    `joules` reads the counter, which counts all that the device uses. None where it is not read, where it stands still,
    and where nothing is queued.
    """
    expected = stopwatch.timed()
    before = joules()
    block = None if before is None else queued_block(stopwatch, WINDOW_SECONDS, expected)
    after = joules()
    if before is None or after is None or block is None or after <= before:
        return None
    images = batch * block.iterations
    return Energy(batch=batch, joules_per_image=(after - before) / images, seconds=block.seconds)
