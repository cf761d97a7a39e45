"""Resolve the components of a benchmark file: look names up in the registry, coerce options, read their other keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import ComponentError, OptionError
from segbench.registry.datasets import dataset_root
from segbench.registry.options import check_requirements, coerce_options, takes_option
from segbench.weights import SUFFIXES as WEIGHTS_SUFFIXES

from .inheritance import expand_name, lay_over
from .recipe import Adversarial, ComponentUse, DatasetUse, Penalty, Refines, UnlabelledTerm, WeightedLoss
from .validation import validate
from .yaml import Node, check_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.contract import Kind
    from segbench.registry import Offer, Registry

    from .yaml import Place

# Keys that stand beside the options of a component and are no options.
ADVERSARIAL_KEYS = tuple(key for key in Adversarial.model_fields if key not in ("use", "options"))
PENALTY_KEYS = ("weight", "every")
DATASET_KEYS = ("root", "redistributable", "folds")
PSEUDO_LABEL_KEYS = ("pseudo_labels_from", "threshold", "weight")


def resolve_generator(node: Node, registry: Registry) -> tuple[ComponentUse, str]:
    """Resolve a method's generator, and return with it what it maps."""
    generator = resolve_component("generator", node, registry)
    return generator.use, generator.offer.component.maps


def resolve_losses(node: Node, registry: Registry) -> tuple[WeightedLoss, ...]:
    """Resolve a method's losses: a list of at least one."""
    items = node.sequence("must be a list of losses, such as [losses/cross_entropy]")
    if not items:
        raise node.error("must name at least one loss")
    return tuple(_resolve_weighted_loss(item, registry) for item in items)


def resolve_loss(role: str, key: str, node: Node, registry: Registry, keys: Sequence[str]) -> ResolvedComponent:
    """Resolve a loss that stands under `key`; SpecError if it has another role than `role`."""
    loss = resolve_component("loss", node, registry, keys)
    found = loss.offer.component.role
    if found != role:
        raise loss.place.error(
            f"loss {loss.offer.full_name} has the role {found!r}; under {key}: must be one with {role!r}"
        )
    return loss


def resolve_dataset(node: Node, registry: Registry) -> DatasetUse:
    """Resolve a dataset; a relative root is relative to the folder of the file (or command line) it is written in."""
    dataset = resolve_component("dataset", node, registry, DATASET_KEYS)
    settings = dict(dataset.settings.mapping())
    root = settings.pop("root", None)
    use = validate(DatasetUse, Node(settings, node.place)).model_copy(update={"options": dataset.use.options})
    if root is None or root.value is None:
        return use
    return use.model_copy(update={"root": _resolve_root(dataset.offer, root)})


def _resolve_weighted_loss(node: Node, registry: Registry) -> WeightedLoss:
    keys = ("weight", "class_weights") if _names_class_weights(node, registry) else ("weight",)
    loss = resolve_loss("supervised", "losses", node, registry, keys)
    return validate(WeightedLoss, loss.settings).model_copy(update={"options": loss.use.options})


def _names_class_weights(node: Node, registry: Registry) -> bool:
    """Tell whether a loss has class weights by name, which the engine makes, and not as it takes them itself.

    Raises SpecError if it does not take weights as numbers either.
    """
    written = node.value.get("class_weights") if isinstance(node.value, dict) else None
    if written is None or not isinstance(written.value, str):
        return False
    offer = _find_offer("loss", _read_entries("loss", node)["use"], registry)
    if takes_option(offer, "class_weights", written.value):
        return False
    if not takes_class_weights(offer):
        takers = [one.full_name for one in registry.offers("loss") if takes_class_weights(one)]
        raise written.error(
            f"loss {offer.full_name} has no class weights; losses that take them: {', '.join(takers) or 'none'}"
        )
    return True


def takes_class_weights(offer: Offer) -> bool:
    """Tell whether a loss takes class weights as numbers, so that the engine can make them."""
    return takes_option(offer, "class_weights", [1.0])


def _resolve_root(offer: Offer, node: Node) -> str:
    text = node.text("must be the path of a folder")
    try:
        dataset_root(offer, text)
        return str((node.place.folder / Path(text).expanduser()).resolve())
    except OptionError as error:
        raise node.error(str(error)) from error
    except RuntimeError as error:  # ~nobody
        raise node.error(f"{text!r}: {error}") from error


def resolve_adversarial(node: Node, registry: Registry) -> Adversarial:
    """Resolve what stands under `adversarial`: keys of `Adversarial`, and the options of the loss beside them.

    Settings of the discriminator's optimiser that are not given are those of the default, unless another one is used.
    """
    loss = resolve_loss("adversarial", "adversarial", node, registry, ADVERSARIAL_KEYS)
    settings = dict(loss.settings.mapping())
    penalty = settings.pop("penalty", None)
    if "optimizer" in settings:
        settings["optimizer"] = lay_over(_default_optimizer(settings["optimizer"].place), settings["optimizer"])
    adversarial = validate(Adversarial, Node(settings, node.place))
    made_of = {"options": loss.use.options, "penalty": _resolve_penalty(penalty, registry)}
    return adversarial.model_copy(update=made_of)


def _resolve_penalty(node: Node | None, registry: Registry) -> Penalty | None:
    if node is None or node.value is None:
        return None
    penalty = resolve_loss("penalty", "penalty", node, registry, PENALTY_KEYS)
    return validate(Penalty, penalty.settings).model_copy(update={"options": penalty.use.options})


def _default_optimizer(place: Place) -> Node:
    default = Adversarial.model_fields["optimizer"].default.model_dump(mode="json", exclude_none=True)
    betas = Node([Node(beta, place) for beta in default.pop("betas")], place)
    return Node({**{key: Node(value, place) for key, value in default.items()}, "betas": betas}, place)


def read_refines(node: Node) -> Refines:
    """Read `METHOD` or `{method: METHOD, folds: 5}`."""
    return validate(Refines, expand_name(node) if isinstance(node.value, str) else node)


def read_label_fractions(node: Node) -> tuple[float, ...]:
    """Read `{fraction: 0.125}` or `{fraction: [0.125, 1]}`: shares of the training labels, each once."""
    entries = check_keys(node, "must be a mapping such as {fraction: 0.125}", ("fraction",))
    if "fraction" not in entries:
        raise node.error("must say which fraction of the labels: {fraction: 0.125}, or several: {fraction: [0.125, 1]}")
    given = entries["fraction"]
    items = given.value if isinstance(given.value, list) else [given]
    if not items:
        raise given.error("there is no fraction; give at least one, such as [0.125, 1]")
    fractions = [_read_fraction(item) for item in items]
    for index, item in enumerate(items):
        if fractions[index] in fractions[:index]:
            raise item.error(f"the fraction {item.value} is listed twice")
    return tuple(fractions)


def resolve_unlabelled_term(node: Node, registry: Registry) -> UnlabelledTerm:
    """Read a loss with its options and weight, or `{pseudo_labels_from: METHOD, threshold: 0.9, weight: 1}`."""
    written = (expand_name(node) if isinstance(node.value, str) else node).mapping(
        "must be the name of a loss, {use: LOSS, option: value} or {pseudo_labels_from: METHOD}"
    )
    entries = {key: entry for key, entry in written.items() if entry.value is not None}
    if ("use" in entries) == ("pseudo_labels_from" in entries):
        raise node.error("must have either use: LOSS or pseudo_labels_from: METHOD")
    if "pseudo_labels_from" in entries:
        given = Node(entries, node.place)
        check_keys(given, "must be a mapping", PSEUDO_LABEL_KEYS)
        return validate(UnlabelledTerm, given)
    loss = resolve_loss("unlabelled", "unlabelled", node, registry, ("weight",))
    settings = {key: entry for key, entry in loss.settings.mapping().items() if key != "use"}
    return validate(UnlabelledTerm, Node(settings, node.place)).model_copy(update={"loss": loss.use})


def _read_fraction(node: Node) -> float:
    fraction = node.value
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 1:
        raise node.error(f"must be a number greater than 0 and at most 1, not {node.kind()}")
    return float(fraction)


class ResolvedComponent(NamedTuple):
    """A component that a file uses: the offer, its full name with all options, the entries that are no options.

    `place` is where its name stands.
    """

    offer: Offer
    use: ComponentUse
    settings: Node
    place: Place


def resolve_component(kind: Kind, node: Node, registry: Registry, keys: Sequence[str] = ()) -> ResolvedComponent:
    """Resolve a component that is given by its name or as a mapping with `use`, options, and entries under `keys`.

    The settings are the full name under `use` and what stands under `keys`. Raises SpecError.
    """
    entries = _read_entries(kind, node)
    offer = _find_offer(kind, entries["use"], registry)
    own = {key: entry for key, entry in entries.items() if key in keys}
    others = {key: entry for key, entry in entries.items() if key != "use" and key not in keys}
    options = _coerce_options(offer, node.place, others, keys)
    name = Node(offer.full_name, entries["use"].place)
    settings = Node({"use": name, **own}, node.place)
    return ResolvedComponent(offer, ComponentUse(use=offer.full_name, options=options), settings, entries["use"].place)


def _read_entries(kind: Kind, node: Node) -> dict[str, Node]:
    if isinstance(node.value, str):
        node = expand_name(node)
    entries = node.mapping(f"must be the name of a {kind}, or {{use: NAME, option: value}}")
    if "use" not in entries:
        raise node.error(f"must name its {kind}: {{use: NAME, option: value}}")
    entries["use"].text(f"must be the name of a {kind}")
    return entries


def _find_offer(kind: Kind, node: Node, registry: Registry) -> Offer:
    try:
        offer = registry.find(kind, str(node.value))
        check_requirements(offer)
    except ComponentError as error:
        raise node.error(str(error)).among(error.allowed) from error
    return offer


def _coerce_options(offer: Offer, place: Place, nodes: Mapping[str, Node], keys: Sequence[str]) -> dict[str, object]:
    given = {name: node.plain() for name, node in nodes.items()}
    try:
        options: dict[str, object] = coerce_options(offer, given, keys)
    except OptionError as error:
        where = nodes[error.option].place if error.option and error.option in nodes else place
        raise where.error(str(error)).among(error.allowed) from error
    for name, node in nodes.items():
        options[name] = _resolve_file(options[name], node.place)
        if offer.kind != "dataset":  # whose folders lie below its root
            options[name] = _resolve_folder(options[name], node.place)
    return options


def _resolve_file(value: object, place: Place) -> object:
    """Make the path of an existing file absolute; it is relative to the folder of the file it is written in.

    A file of weights must exist: the key of a cell is made of its content.
    """
    if not isinstance(value, str) or not Path(value).suffix:
        return value
    path = place.folder / os.path.expanduser(value)
    if path.is_file():
        return str(path.resolve())
    if path.suffix.lower() in WEIGHTS_SUFFIXES:
        where = "" if os.path.isabs(value) else "; a relative path begins at the folder of the file it is written in"
        raise place.error(f"there is no file {path.absolute()}{where}")
    return value


def _resolve_folder(value: object, place: Place) -> object:
    """Make the path of an existing folder absolute if it is written as nothing but a path is: ./name, ~/name."""
    if not isinstance(value, str) or not value.startswith(("./", "../", "~/", "/")):
        return value
    path = place.folder / os.path.expanduser(value)
    return str(path.resolve()) if path.is_dir() else value
