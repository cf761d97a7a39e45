"""The components of a benchmark file: generators, discriminators, losses by their role, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import OptionError
from segbench.registry.datasets import dataset_root

from .component_use import used
from .recipe import ComponentUse, DatasetUse, WeightedLoss
from .validate import validated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.registry import Offer, Registry

    from .component_use import Used
    from .node import Node


def generator_use(node: Node, registry: Registry) -> tuple[ComponentUse, str]:
    """Resolve a method's generator, and return with it what it maps."""
    generator = used("generator", node, registry)
    return generator.use, generator.offer.component.maps


def discriminator_use(node: Node, registry: Registry) -> ComponentUse:
    """Resolve a method's discriminator."""
    return used("discriminator", node, registry).use


def weighted_losses(node: Node, registry: Registry) -> tuple[WeightedLoss, ...]:
    """Resolve a method's losses: a list of at least one."""
    items = node.sequence("must be a list of losses, such as [losses/cross_entropy]")
    if not items:
        raise node.error("must name at least one loss")
    return tuple(_weighted_loss(item, registry) for item in items)


def loss_of_role(role: str, key: str, node: Node, registry: Registry, keys: Sequence[str]) -> Used:
    """Resolve a loss that stands under `key`; SpecError if it has not the role that this takes."""
    loss = used("loss", node, registry, keys)
    found = loss.offer.component.role
    if found != role:
        raise loss.place.error(
            f"loss {loss.offer.full_name} has the role {found!r}; under {key}: stand those with {role!r}"
        )
    return loss


def dataset_use(node: Node, registry: Registry) -> DatasetUse:
    """Resolve a dataset; a relative root is relative to the folder of the file (or command line) it is written in."""
    dataset = used("dataset", node, registry, ("root",))
    root = dataset.settings.mapping("must be a mapping").get("root")
    if root is None or root.value is None:
        return DatasetUse(use=dataset.use.use, options=dataset.use.options)
    return DatasetUse(use=dataset.use.use, options=dataset.use.options, root=_root(dataset.offer, root))


def _weighted_loss(node: Node, registry: Registry) -> WeightedLoss:
    loss = loss_of_role("supervised", "losses", node, registry, ("weight",))
    return validated(WeightedLoss, loss.settings).model_copy(update={"options": loss.use.options})


def _root(offer: Offer, node: Node) -> str:
    text = node.text("must be the path of a folder")
    try:
        dataset_root(offer, text)
        return str((node.place.folder / Path(text).expanduser()).resolve())
    except OptionError as error:
        raise node.error(str(error)) from error
    except RuntimeError as error:  # ~nobody
        raise node.error(f"{text!r}: {error}") from error
