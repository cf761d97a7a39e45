"""What of one recipe fits together: its parts, and what its generator maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.contracts import SEGMENTING_MAPS

from .maps import CLASSIFYING_MAPS, NOISY_MAPS, REFINING, UNCONDITIONAL_MAPS, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .node import Node, Place
    from .recipe import Method


def check_fit(method: Method, entries: Mapping[str, Node], place: Place) -> None:
    """Raise SpecError where a part of the recipe lacks another one, or has no meaning beside it.

    `entries` are the recipe's keys as they are written, `place` is where the method is.
    """
    _check_critic(entries)
    _check_training(method, entries, place)
    _check_refining(method, entries)
    _check_noise(method, entries)
    _check_encoding(method, entries)
    _check_synthetic(method, entries)
    _check_unlabelled(method, entries)


def _check_critic(entries: Mapping[str, Node]) -> None:
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
            f"{_what(method)}, which only a critic can teach it; add discriminator: NAME and adversarial: {{use: LOSS}}"
        )
    if method.maps in UNCONDITIONAL_MAPS and method.losses:
        raise entries["losses"].error(
            f"{_what(method)}: noise has no right answer for a loss to compare with; take losses out"
        )
    if not method.is_trained and method.maps != REFINING:
        raise place.entry("losses").error(
            "is missing; there is nothing to train this method by: give it losses, or a discriminator and an "
            "adversarial loss"
        )


def _check_refining(method: Method, entries: Mapping[str, Node]) -> None:
    if method.maps == REFINING and method.refines is None:
        raise entries["generator"].error(
            f"{_what(method)}, so it needs predictions that it can refine; add refines: METHOD"
        )
    if method.maps != REFINING and method.refines is not None:
        raise entries["refines"].error(f"{_what(method)}; only what maps {REFINING!r} refines predictions")


def _check_noise(method: Method, entries: Mapping[str, Node]) -> None:
    if "noise_channels" in entries and method.maps not in NOISY_MAPS:
        raise entries["noise_channels"].error(
            f"{_what(method)} and is fed no noise; that is for what maps {listed(NOISY_MAPS)}"
        )


def _check_encoding(method: Method, entries: Mapping[str, Node]) -> None:
    if method.adversarial is None or method.adversarial.encoding.use != "product":
        return
    if method.maps not in CLASSIFYING_MAPS:
        place = entries["adversarial"].place.entry("encoding")
        raise place.error(
            f"{_what(method)}; product multiplies the probabilities of classes with the image, so it is for what maps "
            f"{listed(CLASSIFYING_MAPS)}"
        )


def _check_synthetic(method: Method, entries: Mapping[str, Node]) -> None:
    if method.trains_on is None:
        return
    if method.maps not in SEGMENTING_MAPS:
        raise entries["trains_on"].error(f"{_what(method)}; only what makes labels trains on synthetic samples")
    if method.maps == REFINING:
        raise entries["trains_on"].error(f"{_what(method)}, and of synthetic samples there are no predictions")


def _check_unlabelled(method: Method, entries: Mapping[str, Node]) -> None:
    term = method.unlabelled
    if term is None:
        return
    # A refiner has no out-of-fold predictions of unlabelled images to start from.
    fitting = tuple(maps for maps in (CLASSIFYING_MAPS if term.loss else SEGMENTING_MAPS) if maps != REFINING)
    if method.maps not in fitting:
        raise entries["unlabelled"].error(f"{_what(method)}; this term is for what maps {listed(fitting)}")
    if min(method.labels) == 1:
        raise entries["unlabelled"].error(
            "there are no unlabelled images, since all labels are used; add labels: {fraction: 0.125}, or several "
            "fractions, of which one is less than 1"
        )


def _what(method: Method) -> str:
    return f"generator {method.generator.use} maps {method.maps!r}"
