"""The keys of a recipe that make it adversarial: the loss, and how the critic is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .components import loss_of_role
from .merge import lay_over
from .node import Node
from .recipe import Adversarial, Penalty
from .validate import validated

if TYPE_CHECKING:
    from segbench.registry import Registry

    from .node import Place

ADVERSARIAL_KEYS = tuple(key for key in Adversarial.model_fields if key not in ("use", "options"))
PENALTY_KEYS = ("weight", "every")


def adversarial_use(node: Node, registry: Registry) -> Adversarial:
    """Resolve what stands under `adversarial`: keys of `Adversarial`, and the options of the loss beside them.

    Settings of the critic's optimiser that are not given are those of the default, unless another one is used.
    """
    loss = loss_of_role("adversarial", "adversarial", node, registry, ADVERSARIAL_KEYS)
    settings = dict(loss.settings.mapping("must be a mapping"))
    penalty = settings.pop("penalty", None)
    if "optimizer" in settings:
        settings["optimizer"] = lay_over(_default_optimizer(settings["optimizer"].place), settings["optimizer"])
    adversarial = validated(Adversarial, Node(settings, node.place))
    made_of = {"options": loss.use.options, "penalty": _penalty(penalty, registry)}
    return adversarial.model_copy(update=made_of)


def _penalty(node: Node | None, registry: Registry) -> Penalty | None:
    if node is None or node.value is None:
        return None
    penalty = loss_of_role("penalty", "penalty", node, registry, PENALTY_KEYS)
    return validated(Penalty, penalty.settings).model_copy(update={"options": penalty.use.options})


def _default_optimizer(place: Place) -> Node:
    default = Adversarial.model_fields["optimizer"].default.model_dump(mode="json", exclude_none=True)
    betas = Node([Node(beta, place) for beta in default.pop("betas")], place)
    return Node({**{key: Node(value, place) for key, value in default.items()}, "betas": betas}, place)
