"""The four hooks: a plugin implements those it needs, each yielding components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .component import Component

hookspec = pluggy.HookspecMarker("segbench")
hookimpl = pluggy.HookimplMarker("segbench")


@hookspec
def segbench_generators() -> Iterable[Component]:
    """Yield generators; called once when plugins are loaded, so it must not import torch."""
    raise NotImplementedError


@hookspec
def segbench_discriminators() -> Iterable[Component]:
    """Yield discriminators; called once when plugins are loaded, so it must not import torch."""
    raise NotImplementedError


@hookspec
def segbench_losses() -> Iterable[Component]:
    """Yield losses and penalties; called once when plugins are loaded, so it must not import torch."""
    raise NotImplementedError


@hookspec
def segbench_datasets() -> Iterable[Component]:
    """Yield datasets; called once when plugins are loaded; datasets never import torch at all."""
    raise NotImplementedError
