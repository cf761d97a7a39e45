"""What a benchmark claims of its methods, and the placebo methods that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .inheritance import Written, lay_over
from .recipe import Claim
from .tuning import is_tuned
from .validation import Reference, check_exists, validated
from .yaml import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .recipe import Method, Placebo
    from .yaml import Place


class WrittenClaim(NamedTuple):
    """A claim, and where it is written."""

    claim: Claim
    place: Place


def written_claims(node: Node | None, methods: Mapping[str, Written]) -> list[WrittenClaim]:
    """Return the claims of a file; SpecError if one names no method, or asks for placebos of what has no critic."""
    if node is None or node.value is None:
        return []
    items = node.sequence("must be a list of claims, such as [{claim: METHOD, against: METHOD, placebo: [frozen]}]")
    claims = [_written_claim(item, methods) for item in items]
    pairs = [(claim.claim, claim.against) for claim, _ in claims]
    for index, (pair, (_, place)) in enumerate(zip(pairs, claims, strict=True)):
        if pair in pairs[:index]:
            raise place.error(f"{pair[0]!r} is compared with {pair[1]!r} twice")
    return claims


def with_placebos(methods: Mapping[str, Written], claims: Sequence[WrittenClaim]) -> dict[str, Written]:
    """Return the methods with the placebos that the claims ask for, each after the method whose placebo it is.

    A placebo has the recipe of the claimed method, whose critic it breaks, and the twin that the claim is against.
    Claim and placebos are told all that the claims compare them with.
    """
    joined: dict[str, Written] = {}
    for name, method in methods.items():
        rivals = [claim.against for claim, _ in claims if claim.claim == name]
        joined[name] = _against(rivals, method)
        for claim, place in claims:
            for placebo in claim.placebo if claim.claim == name else ():
                broken = _against(rivals, _broken(method, claim, placebo, place))
                joined.setdefault(claim.name_of(placebo), broken)
    return joined


def kept_claims(claims: Iterable[WrittenClaim], methods: Mapping[str, Method]) -> tuple[Claim, ...]:
    """Return the claims whose methods are both there, with the placebos that are.

    Raises SpecError if claim and rival are never trained with the same share of the labels.
    """
    kept = [(claim, place) for claim, place in claims if {claim.claim, claim.against} <= set(methods)]
    for claim, place in kept:
        _check_common_labels(methods[claim.claim], methods[claim.against], place)
    return tuple(
        claim.model_copy(update={"placebo": tuple(kind for kind in claim.placebo if claim.name_of(kind) in methods)})
        for claim, _ in kept
    )


def _written_claim(node: Node, methods: Mapping[str, Written]) -> WrittenClaim:
    claim = validated(Claim, node)
    entries = node.mapping("must be a mapping")
    for key in ("claim", "against"):
        check_exists(Reference(getattr(claim, key), entries[key].place), "method", methods)
    if claim.claim == claim.against:
        raise entries["against"].error(f"{claim.claim!r} cannot be compared with itself")
    _check_equal_tuning(claim, methods, node)
    if claim.placebo:
        _check_placebos(claim, methods[claim.claim], entries["placebo"])
    return WrittenClaim(claim, node.place)


def _check_placebos(claim: Claim, claimed: Written, node: Node) -> None:
    adversarial = claimed.entries.get("adversarial")
    if adversarial is None:
        raise node.error(
            f"{claim.claim!r} is not adversarial, so there is no critic to make a placebo of; leave it out"
        )
    if isinstance(adversarial.value, dict) and (given := adversarial.value.get("placebo")) and given.value is not None:
        raise node.error(f"{claim.claim!r} is a placebo itself, since it says placebo: {given.value}")
    for index, placebo in enumerate(claim.placebo):
        if placebo in claim.placebo[:index]:
            raise node.error(f"{placebo!r} is there twice")


def _broken(method: Written, claim: Claim, placebo: Placebo, place: Place) -> Written:
    adversarial = Node({"placebo": Node(placebo, place)}, place)
    recipe = lay_over(method.recipe, Node({"adversarial": adversarial}, place))
    return Written(recipe, twin=claim.against, placebo_of=claim.claim)


def _against(rivals: Sequence[str], method: Written) -> Written:
    return method._replace(against=tuple(rival for rival in rivals if rival != method.twin))


def _check_equal_tuning(claim: Claim, methods: Mapping[str, Written], node: Node) -> None:
    tuned = [name for name in (claim.claim, claim.against) if is_tuned(methods[name])]
    if len(tuned) == 1:
        other = claim.against if tuned == [claim.claim] else claim.claim
        raise node.error(
            f"{tuned[0]!r} is tuned and {other!r} is not, so a difference may be that of the tuning; give {other!r} a "
            f"tune: as well, for as many trials, or write tune: null for {tuned[0]!r}"
        )


def _check_common_labels(claim: Method, against: Method, place: Place) -> None:
    if not set(claim.labels) & set(against.labels):
        raise place.error(
            f"{claim.name!r} is trained with {_fractions(claim)} of the labels and {against.name!r} with "
            f"{_fractions(against)}, so they cannot be compared; give both the same labels: {{fraction: ...}}"
        )


def _fractions(method: Method) -> str:
    return ", ".join(f"{fraction:g}" for fraction in method.labels)
