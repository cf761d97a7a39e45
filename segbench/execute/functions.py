"""What workers are asked to do, by dotted path: this package never imports torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Functions:
    """The engine's entry points, each "module:function" called with (job, channel).

    `probe` gets the device as the user wrote it and returns the environment with "machine" and the resolved "device";
    the others get a `segbench.engine.job.CellJob`.
    """

    probe: str = "segbench.engine.probe:probe"
    preflight: str = "segbench.engine.preflight:preflight"
    cell: str = "segbench.engine.cell:run_cell"
    timing: str = "segbench.engine.timing:time_cell"


ENGINE = Functions()
