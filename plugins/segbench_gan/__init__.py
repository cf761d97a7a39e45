"""First-party components: gan/, what adversarial methods are made of: generators, discriminators, losses, penalties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import hookimpl

from . import discriminators, generators, losses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench import Component


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield the generators."""
    return generators.components()


@hookimpl
def segbench_discriminators() -> Iterable[Component]:
    """Yield the discriminators."""
    return discriminators.components()


@hookimpl
def segbench_losses() -> Iterable[Component]:
    """Yield the adversarial and unlabelled losses and the penalties, and L1 between images."""
    return losses.components()
