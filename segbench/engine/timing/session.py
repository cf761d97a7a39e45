"""The inference speed of a cell's method: the only times of inference that are reported as results.

Every method of a session runs this in a process of its own and waits for its turns (parts.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from segbench.engine.device import enter_device
from segbench.engine.model.cost import PeakMemory
from segbench.engine.numerics import name_device_errors
from segbench.errors import DataError, OutOfMemoryError
from segbench.store.record import DeviceState

from .device_state import device_state, measure_energy, open_nvml
from .measurement import Measurement, short_throughput, sweep
from .parts import Measured, Work, energy_part, row_part, sweep_part
from .stages import TimedNetwork

if TYPE_CHECKING:
    from segbench.config.timing import Timing
    from segbench.engine.job import TimingJob
    from segbench.store.record import Inference, Stage

    from .device_state import Nvml
    from .parts import Part, RowSoFar, Turn, TurnChannel


def time_cell(job: TimingJob, channel: TurnChannel) -> Measured | None:
    """Time the network of a cell, turn by turn; None if an early end is asked for.

    Rows are taken at batch 1 and at the protocol's batch, in all stages, then a sweep for the best batch and, with the
    full budget where the device counts it, energy at the protocol's batch. Beside other methods, running out of memory
    is an error; alone, a batch that does not fit has no row. The peak is that of the rows.
    """
    device = enter_device(job.device)
    with name_device_errors(device):
        network = TimedNetwork(job)
        return MethodTimer(network, channel, open_nvml(device)).run()


class EarlyEnd(Exception):
    """The parent asked for an early end."""


class MethodTimer:
    """Measures one method, one turn after the other."""

    def __init__(self, network: TimedNetwork, channel: TurnChannel, nvml: Nvml | None) -> None:
        self._network, self._channel, self._nvml = network, channel, nvml
        assert network.protocol.timing is not None, "a method with `timing: none` is not timed"
        self._timing = network.protocol.timing
        self._spent = 0.0  # seconds in which something was measured
        self._rows_left = 0
        self._memory = PeakMemory(network.device)
        self._before: DeviceState | None = None
        self._steady = True
        self._methods, self._doing = 1, ""
        self._measured: Measured | None = None

    def run(self) -> Measured | None:
        """Take all turns."""
        try:
            batches = sorted({1, self._network.protocol.batch_size})
            self._rows_left = len(batches) * len(self._network.stages)
            rows = [row for batch in batches for row in self._rows(batch)]
            if not rows:
                raise OutOfMemoryError(f"not even one image fits into the memory of {self._network.device}")
            self._measured = self._measured_rows(rows)
            self._network.clear()
            self._measured = self._with_sweep(self._measured)
            return self._with_energy(self._measured)
        except EarlyEnd:
            return None

    def _rows(self, batch: int) -> list[Inference]:
        """Return the rows of a batch size; alone on the device, those that were done when memory ran out."""
        rows: list[Inference] = []
        try:
            for stage in self._network.stages:
                rows += self._row(stage, batch)
        except OutOfMemoryError as error:
            if self._methods > 1:
                raise
            self._channel.emit("warning", message=f"batches of {batch} were not timed to the end: {error}")
        return rows

    def _row(self, stage: Stage, batch: int) -> list[Inference]:
        """Return the row of a stage, or none where the images cannot be read."""
        self._turn(row_part(stage, batch, Work.WARM_UP))
        try:
            with name_device_errors(self._network.device):
                measurement = self._measure(stage, batch)
        except DataError as error:  # training needed only the cache, so the files may be gone
            self._channel.emit("warning", message=f"the stage {stage!r} was not timed: {error}")
            return []
        self._steady = self._steady and measurement.steady
        return [measurement.row(stage, batch, self._network.size)]

    def _measure(self, stage: Stage, batch: int) -> Measurement:
        stopwatch = self._network.stopwatch(stage, batch)
        measurement = Measurement(stopwatch, self._budget_of_row(stage))
        measurement.warm_up()
        # Not earlier: a device that was idle has a low clock.
        self._before = self._before or device_state(self._nvml, self._methods)
        while not measurement.is_done:
            turn = self._turn(row_part(stage, batch, Work.BLOCK), measurement.row_so_far)
            if turn.enough and measurement.has_least:
                break
            measurement.block()
        self._spent += measurement.spent
        self._rows_left -= 1
        return measurement

    def _budget_of_row(self, stage: Stage) -> Timing:
        """Return the budget of the next row: an equal share of what is left for the rows and the sweep."""
        timing = self._timing if stage == "forward" else self._timing.beside_the_forward_pass
        if self._timing.method_seconds is None:
            return timing
        share = (self._timing.method_seconds - self._spent) / (self._rows_left + 1)
        return timing.model_copy(update={"max_seconds": min(timing.max_seconds, max(share, 0.0))})

    def _measured_rows(self, rows: list[Inference]) -> Measured:
        return Measured(
            inference=tuple(rows),
            inference_peak_bytes=self._memory.bytes(),
            threads=torch.get_num_threads(),
            steady=self._steady,
            before=self._before or DeviceState(),
            after=device_state(self._nvml, self._methods),
        )

    def _with_sweep(self, measured: Measured) -> Measured:
        """Add the points one by one, so that the parent has them even if the next batch kills this process."""
        for point in sweep(self._throughput, self._timing.sweep):
            self._measured = measured = measured.model_copy(update={"sweep": (*measured.sweep, point)})
        return measured

    def _throughput(self, batch: int) -> float | None:
        """Return images a second of the network alone at one batch size; None if memory or the time is out."""
        self._turn(sweep_part(batch))
        self._spent += self._expected_seconds(batch)
        if self._spent > (self._timing.method_seconds or math.inf):
            return None
        try:
            with name_device_errors(self._network.device):
                return short_throughput(self._network.stopwatch("forward", batch), batch, self._timing)
        except OutOfMemoryError:
            if (others := self._methods - 1) > 0:
                self._channel.emit("warning", message=f"batches of {batch} do not fit beside {others} other methods")
            return None
        finally:
            self._network.clear()  # or the best batches of others would depend on this method

    def _expected_seconds(self, batch: int) -> float:
        """Return about how long `short_throughput` takes: a first iteration, one to estimate by, and a block."""
        assert self._measured is not None, "rows are measured before the sweep"
        an_image = 1 / max(row.images_per_second for row in self._measured.inference if row.stage == "forward")
        return 2 * batch * an_image + max(batch * an_image, self._timing.seconds_a_block)

    def _with_energy(self, measured: Measured) -> Measured:
        """Add the energy at the largest batch that has a row, if the device counts it and the budget is a full one."""
        if self._nvml is None or self._timing.budget != "full" or self._nvml.joules() is None:
            return measured
        self._turn(energy_part())
        batch = max(row.batch for row in measured.inference)
        energy = measure_energy(self._network.stopwatch("forward", batch), batch, self._nvml.joules)
        return measured.model_copy(update={"energy": energy})

    def _turn(self, part: Part, row: RowSoFar | None = None) -> Turn:
        """Wait for the next turn, and report the part when it begins."""
        turn = self._channel.wait_for_turn(part, self._measured, row)
        self._methods = turn.methods
        if self._methods == 0:
            raise EarlyEnd
        if str(part) != self._doing:
            self._doing = str(part)
            self._channel.emit("stage", name=self._doing)
        return turn
