"""Resolve the methods of a benchmark file: find components, coerce options, refuse parts that do not fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.contract import SEGMENTING_MAPS

from .attribution import read_attribution
from .components import (
    read_label_fractions,
    read_refines,
    resolve_adversarial,
    resolve_component,
    resolve_generator,
    resolve_losses,
    resolve_unlabelled_term,
)
from .inheritance import lay_over, upstream_references
from .protocol import read_protocol
from .recipe import (
    CLASSIFYING_MAPS,
    NOISY_MAPS,
    REFINING,
    SYNTHESIZING_MAPS,
    UNCONDITIONAL_MAPS,
    Method,
    TrainsOn,
    quote_names,
)
from .validation import check_exists, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from segbench.registry import Registry

    from .inheritance import MethodEntry
    from .validation import Reference
    from .yaml import Node, Place


def resolve_methods(
    written: Mapping[str, MethodEntry], protocol: Node, registry: Registry, only: Sequence[Reference]
) -> dict[str, Method]:
    """Return the methods, or of them those named in `only` and what these need, in the order of the file.

    References of every method are checked; components are resolved for those that are returned, so that a missing
    plugin does not stand in the way of the others. Raises SpecError.
    """
    upstream = upstream_references(written)
    chosen = _choose(only, upstream)
    methods = {
        name: resolve_method(name, method, protocol, registry) for name, method in written.items() if name in chosen
    }
    check_upstream(methods, upstream)
    return methods


def _choose(only: Sequence[Reference], upstream: Mapping[str, Mapping[str, Reference]]) -> set[str]:
    for reference in only:
        check_exists(reference, "method", upstream)
    waiting = [reference.to for reference in only] or list(upstream)
    chosen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting += [reference.to for reference in upstream[name].values()]
    return chosen


def resolve_method(name: str, written: MethodEntry, protocol: Node, registry: Registry) -> Method:
    """Return one method: components found, options coerced, its own protocol keys laid over the common protocol."""
    entries, place = written.entries, written.recipe.place
    if "generator" not in entries:
        raise place.entry("generator").error("is missing; every method needs a generator")
    common = read_protocol(protocol)
    own = read_protocol(lay_over(protocol, entries["protocol"])) if "protocol" in entries else common
    generator, maps = resolve_generator(entries["generator"], registry)
    method = Method(
        name=name,
        generator=generator,
        maps=maps,
        protocol=own,
        twin=written.twin,
        against=written.against,
        placebo_of=written.placebo_of,
        dose_of=written.dose_of,
        overrides=tuple(list_differences(common.model_dump(), own.model_dump())),
        attribution=read_attribution(entries, place),
        **_read_optional_fields(entries, registry),
    )
    check_method(method, entries, place)
    return method


def _read_optional_fields(entries: Mapping[str, Node], registry: Registry) -> dict[str, Any]:
    """Return those of the optional fields of a recipe that are given."""
    readers: dict[str, Callable[[Node], Any]] = {
        "losses": lambda node: resolve_losses(node, registry),
        "discriminator": lambda node: resolve_component("discriminator", node, registry).use,
        "adversarial": lambda node: resolve_adversarial(node, registry),
        "latent_channels": _latent_channels,
        "start_from": lambda node: node.value,
        "refines": read_refines,
        "trains_on": lambda node: validate(TrainsOn, node),
        "labels": read_label_fractions,
        "unlabelled": lambda node: resolve_unlabelled_term(node, registry),
    }
    return {key: read(entries[key]) for key, read in readers.items() if key in entries}


def _latent_channels(node: Node) -> int:
    if not isinstance(node.value, int) or isinstance(node.value, bool) or node.value < 1:
        raise node.error(f"must be a whole number of at least 1, not {node.kind()}")
    return node.value


def list_differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Return the dotted paths at which two nested mappings differ.

    >>> list_differences({"optimizer": {"lr": 0.1, "use": "sgd"}}, {"optimizer": {"lr": 0.2, "use": "sgd"}, "ema": 0.9})
    ['optimizer.lr', 'ema']
    """
    if not isinstance(first, dict) or not isinstance(second, dict):
        return [] if first == second else [path]
    paths: list[str] = []
    for key in dict.fromkeys([*first, *second]):
        paths += list_differences(first.get(key), second.get(key), f"{path}.{key}" if path else key)
    return paths


def check_method(method: Method, entries: Mapping[str, Node], place: Place) -> None:
    """Raise SpecError where a part of the recipe lacks another one, or has no meaning beside it.

    `entries` are the recipe's keys as they are written, `place` is where the method is.
    """
    _check_discriminator(entries)
    _check_training(method, entries, place)
    _check_cutmix(method, entries)
    _check_class_weights(method, entries)
    _check_refining(method, entries)
    _check_noise(method, entries)
    _check_encoding(method, entries)
    _check_ratio(method, entries)
    _check_synthetic(method, entries)
    _check_unlabelled(method, entries)


def _check_discriminator(entries: Mapping[str, Node]) -> None:
    if "adversarial" in entries and "discriminator" not in entries:
        raise entries["adversarial"].error(
            "there is an adversarial loss, but no discriminator that it could train; add discriminator: NAME"
        )
    if "discriminator" in entries and "adversarial" not in entries:
        raise entries["discriminator"].error(
            "there is a discriminator, but no adversarial loss to train it by; add adversarial: {use: LOSS, weight: "
            "0.05}"
        )


def _check_training(method: Method, entries: Mapping[str, Node], place: Place) -> None:
    if method.maps not in SEGMENTING_MAPS and method.adversarial is None:
        raise entries["generator"].error(
            f"{_describe_maps(method)}, so only a discriminator can train it; add discriminator: NAME and "
            "adversarial: {use: LOSS}"
        )
    if method.maps in UNCONDITIONAL_MAPS and method.losses:
        raise entries["losses"].error(
            f"{_describe_maps(method)}: noise has no right answer for a loss to compare with; remove losses"
        )
    if not method.is_trained and method.maps != REFINING:
        raise place.entry("losses").error(
            "is missing; there is nothing to train this method with: give it losses, or a discriminator and an "
            "adversarial loss"
        )


def _check_cutmix(method: Method, entries: Mapping[str, Node]) -> None:
    if method.protocol.augment.cutmix and method.maps not in CLASSIFYING_MAPS:
        raise entries["generator"].error(
            f"{_describe_maps(method)}; augment.cutmix cuts images up and is for generators that map "
            f"{quote_names(CLASSIFYING_MAPS)}; set protocol: {{augment: {{cutmix: 0}}}} for this method"
        )


def _check_class_weights(method: Method, entries: Mapping[str, Node]) -> None:
    for number, loss in enumerate(method.losses):
        if loss.class_weights is not None and method.maps not in CLASSIFYING_MAPS:
            place = entries["losses"].place.entry(f"{number}.class_weights")
            raise place.error(f"{_describe_maps(method)}, and losses of images weigh no classes; remove it")


def _check_refining(method: Method, entries: Mapping[str, Node]) -> None:
    if method.maps == REFINING and method.refines is None:
        raise entries["generator"].error(
            f"{_describe_maps(method)}, so it needs predictions that it can refine; add refines: METHOD"
        )
    if method.maps != REFINING and method.refines is not None:
        raise entries["refines"].error(f"{_describe_maps(method)}; only what maps {REFINING!r} refines predictions")


def _check_noise(method: Method, entries: Mapping[str, Node]) -> None:
    if "latent_channels" in entries and method.maps not in NOISY_MAPS:
        raise entries["latent_channels"].error(
            f"{_describe_maps(method)} and takes no noise; that is for generators that map {quote_names(NOISY_MAPS)}"
        )


def _check_encoding(method: Method, entries: Mapping[str, Node]) -> None:
    if method.adversarial is None or method.adversarial.encoding.use != "product":
        return
    if method.maps not in CLASSIFYING_MAPS:
        place = entries["adversarial"].place.entry("encoding")
        raise place.error(
            f"{_describe_maps(method)}; product multiplies the probabilities of classes with the image, so it is for "
            f"generators that map {quote_names(CLASSIFYING_MAPS)}"
        )


def _check_ratio(method: Method, entries: Mapping[str, Node]) -> None:
    if method.adversarial is None or method.adversarial.ratio is None or method.losses:
        return
    raise (
        entries["adversarial"]
        .place.entry("weight")
        .error(
            "a ratio needs a supervised gradient to be a ratio to, and there are no losses; give losses, or a number"
        )
    )


def _check_synthetic(method: Method, entries: Mapping[str, Node]) -> None:
    if method.trains_on is None:
        return
    if method.maps not in SEGMENTING_MAPS:
        raise entries["trains_on"].error(
            f"{_describe_maps(method)}; only what makes labels trains on synthetic samples"
        )
    if method.maps == REFINING:
        raise entries["trains_on"].error(f"{_describe_maps(method)}, and of synthetic samples there are no predictions")


def _check_unlabelled(method: Method, entries: Mapping[str, Node]) -> None:
    term = method.unlabelled
    if term is None:
        return
    fitting = CLASSIFYING_MAPS if term.loss else SEGMENTING_MAPS
    # A refiner has no out-of-fold predictions of unlabelled images to start from.
    fitting = tuple(maps for maps in fitting if maps != REFINING)
    if method.maps not in fitting:
        raise entries["unlabelled"].error(
            f"{_describe_maps(method)}; this term is for generators that map {quote_names(fitting)}"
        )
    if min(method.labels) == 1:
        raise entries["unlabelled"].error(
            "there are no unlabelled images, since all labels are used; add labels: {fraction: 0.125}, or several "
            "fractions, of which one is less than 1"
        )


def _describe_maps(method: Method) -> str:
    return f"generator {method.generator.use} maps {method.maps!r}"


# What a method must map to be referred to for a reason; to start from it, anything will do.
FITTING_MAPS = {
    "refines": SEGMENTING_MAPS,
    "trains_on": SYNTHESIZING_MAPS,
    "pseudo_labels_from": SEGMENTING_MAPS,
}

# What the weights of an upstream method are needed for.
PURPOSES = {
    "start_from": "start from",
    "refines": "make predictions with",
    "trains_on": "make samples with",
    "pseudo_labels_from": "label images with",
}


def check_upstream(methods: Mapping[str, Method], upstream: Mapping[str, Mapping[str, Reference]]) -> None:
    """Raise SpecError where a method refers to one that cannot give what it needs."""
    for name, method in methods.items():
        for reason, reference in upstream[name].items():
            if reason in CHECKS_OF_COURSE:
                CHECKS_OF_COURSE[reason](methods[reference.to], reference)
                continue
            _check_maps(reason, methods[reference.to], reference)
            _check_resizes_alike(reason, method, methods[reference.to], reference)
            _check_weights_are_kept(reason, methods[reference.to], reference)
        if method.refines and method.is_trained:
            _check_one_level_of_folds(upstream[name]["refines"], methods)


def _check_takes_time(needed: Method, reference: Reference) -> None:
    if not needed.is_trained:
        raise reference.place.error(f"{needed.name!r} is not trained, so there are no seconds to train as long as")


def _check_sets_weights(needed: Method, reference: Reference) -> None:
    if needed.adversarial is None or needed.adversarial.ratio is None:
        raise reference.place.error(
            f"{needed.name!r} has no weight: {{ratio: NUMBER}}, so there are no weights of its steps to take over"
        )


# What a method must have for which the course of its training is needed, not its weights.
CHECKS_OF_COURSE = {"budget": _check_takes_time, "weight": _check_sets_weights}


def _check_maps(reason: str, needed: Method, reference: Reference) -> None:
    fitting = FITTING_MAPS.get(reason)
    if fitting and needed.maps not in fitting:
        raise reference.place.error(
            f"{needed.name!r} maps {needed.maps!r}; this key takes a method that maps {quote_names(fitting)}"
        )


def _check_resizes_alike(reason: str, method: Method, needed: Method, reference: Reference) -> None:
    """Refuse images that one of two methods would see at another size than it was trained at."""
    if reason != "start_from" and method.protocol.resize != needed.protocol.resize:
        ours, theirs = (one.protocol.resize or "none" for one in (method, needed))
        raise reference.place.error(
            f"{needed.name!r} has images of another size (resize: {theirs}) than {method.name!r} (resize: {ours}); "
            "give both the same protocol.resize"
        )


def _check_weights_are_kept(reason: str, needed: Method, reference: Reference) -> None:
    if needed.protocol.keep.model == "none":
        raise reference.place.error(
            f"{needed.name!r} leaves no weights to {PURPOSES[reason]}, since its protocol says keep: {{model: none}}; "
            "set keep: {model: last} for it"
        )


def _check_one_level_of_folds(base: Reference, methods: Mapping[str, Method]) -> None:
    """Refuse a trained refiner on top of another trained refiner: it would need nested folds."""
    for method in _with_upstream(base.to, methods):
        if method.refines and method.is_trained:
            raise base.place.error(
                f"{method.name!r} is a trained refiner; another trained refiner on top of it would need nested folds, "
                f"which segbench does not make. Refine {method.refines.method!r} instead"
            )


def _with_upstream(name: str, methods: Mapping[str, Method]) -> Iterator[Method]:
    yield methods[name]
    for needed in methods[name].upstream.values():
        yield from _with_upstream(needed, methods)
