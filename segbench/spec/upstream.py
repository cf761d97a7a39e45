"""What a method needs of the methods that it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.contracts import SEGMENTING_MAPS

from .maps import SYNTHESIZING_MAPS, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .recipe import Method
    from .references import Reference

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
            if reason == "budget":
                _check_takes_time(methods[reference.to], reference)
                continue
            _check_maps(reason, methods[reference.to], reference)
            _check_weights_are_kept(reason, methods[reference.to], reference)
        if method.refines and method.is_trained:
            _check_one_level_of_folds(upstream[name]["refines"], methods)


def _check_takes_time(needed: Method, reference: Reference) -> None:
    if not needed.is_trained:
        raise reference.place.error(f"{needed.name!r} is not trained, so there are no seconds to train as long as")


def _check_maps(reason: str, needed: Method, reference: Reference) -> None:
    fitting = FITTING_MAPS.get(reason)
    if fitting and needed.maps not in fitting:
        raise reference.place.error(
            f"{needed.name!r} maps {needed.maps!r}; here stands a method that maps {listed(fitting)}"
        )


def _check_weights_are_kept(reason: str, needed: Method, reference: Reference) -> None:
    if needed.protocol.keep.model == "none":
        raise reference.place.error(
            f"{needed.name!r} leaves no weights to {PURPOSES[reason]}, since its protocol says keep: {{model: none}}; "
            "set keep: {model: last} for it"
        )


def _check_one_level_of_folds(base: Reference, methods: Mapping[str, Method]) -> None:
    """Refuse a base that, without one fold, would need folds of its own."""
    for method in _with_upstream(base.to, methods):
        if method.refines and method.is_trained:
            raise base.place.error(
                f"{method.name!r} is a trained refiner, learnt from predictions out of folds; another one that is "
                "trained on top of it would need folds of folds, which are not made. Refine "
                f"{method.refines.method!r} instead"
            )


def _with_upstream(name: str, methods: Mapping[str, Method]) -> Iterator[Method]:
    yield methods[name]
    for needed in methods[name].upstream.values():
        yield from _with_upstream(needed, methods)
