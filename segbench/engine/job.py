"""Jobs of worker processes, their results, and the names of a cell's files; plain data that needs no torch."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field

from segbench.config.frozen import Frozen
from segbench.config.timing import Runtime
from segbench.plan.cell import Cell
from segbench.store.record import Inference, Measurements, Timing

# Files that a cell leaves in its folder for later cells and commands.
MODEL = "model.safetensors"
DISCRIMINATOR = "critic.safetensors"
PROBABILITIES = "probabilities"
ADVERSARIAL_WEIGHTS = "adversarial_weights.safetensors"


class CellJob(Frozen):
    """One cell to run: where its files go, on which device, and where those of the cells lie that it needs.

    `folder` is that of the attempt (results/<benchmark>/<key>/<attempt>); `upstream` maps the reason ("start_from") to
    the folder of what belongs to the record of the finished cell. `share` is that of the device which is the cell's
    own. `traced` has each kernel waited for, so that a device's error comes up where it is made. Of several processes
    that train the cell each has its `rank`, from 0, and all have the folder of their `meeting`.
    """

    cell: Cell
    folder: str
    device: str
    upstream: dict[str, str] = Field(default_factory=dict)
    checkpoint_seconds: float = 120.0
    share: float = 1.0
    traced: bool = False
    rank: int = 0
    meeting: str | None = None

    @property
    def processes(self) -> int:
        """The number of processes that train the cell together."""
        return self.cell.method.protocol.processes if self.meeting is not None else 1


class CellResult(Measurements):
    """Result of a finished or interrupted cell, from which the parent process writes the record."""

    status: Literal["ok", "interrupted"]
    environment: dict[str, Any] = Field(default_factory=dict)


class TimingJob(CellJob):
    """A cell whose method is to be timed, with the weights in its folder where there are any.

    `size` is the [height, width] of images, by default that of most images of the evaluated split. Where it is given,
    the stage "loading" is left out, since files have sizes of their own. A `runtime` other than torch runs the network
    alone, from an ONNX file on the CPU.
    """

    size: tuple[int, int] | None = None
    runtime: Runtime = "torch"


class TimingResult(Frozen):
    """Result of timing a method: `Record.inference`, `Record.timing`, peak memory in bytes (None if unknown)."""

    inference: tuple[Inference, ...]
    inference_peak_bytes: int | None
    timing: Timing


class Channel(Protocol):
    """How a running cell reports to its parent process."""

    def emit(self, event: str, **fields: Any) -> None:
        """Report an event.

        stage(name), step(step, steps, seconds, loss, images_per_second), validation(step, miou), resumed(step),
        warning(message), usage(host_bytes, device_bytes, device_total_bytes, busy).
        """

    def stop_requested(self) -> bool:
        """Tell whether the parent asks for a checkpoint and an early end."""
