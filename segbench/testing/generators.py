"""Checks of generators, whatever they map; the engine's own wrapper stands between them and their inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import generator_hardware, generator_outputs, generator_state, generator_training

if TYPE_CHECKING:
    from .check import Check

# The state of the process comes first: what a module changes when it is imported shows only once.
CHECKS: tuple[Check, ...] = (
    *generator_state.CHECKS,
    *generator_outputs.CHECKS,
    *generator_training.CHECKS,
    *generator_hardware.CHECKS,
)
