"""What a benchmark file claims of its methods, and the placebos and doses of methods that the claims ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .inheritance import MethodEntry, lay_over
from .recipe import Adversarial, Claim
from .tuning import is_tuned, tuned_keys
from .validation import Reference, check_exists, validate
from .yaml import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .recipe import Method, Placebo
    from .yaml import Place


# Placebos whose discriminator does not learn what the claim's does, so that its gradient has a norm of its own: a ratio
# would raise it until it pushes as hard as the claim's, and break a second link. The noise of `noise` has the norm of a
# gradient that a discriminator has learnt, so the claim's ratio gives it the claim's dose; `detached` has none.
WITH_THE_CLAIMS_WEIGHTS: tuple[Placebo, ...] = ("frozen", "shuffled")


class ClaimEntry(NamedTuple):
    """A claim, and where it is written."""

    claim: Claim
    place: Place


def read_claims(node: Node | None, methods: Mapping[str, MethodEntry]) -> list[ClaimEntry]:
    """Return the claims of a file.

    Raises SpecError for a claim that names no method, or asks for placebos of a method without a discriminator.
    """
    if node is None or node.value is None:
        return []
    items = node.sequence("must be a list of claims, such as [{claim: METHOD, against: METHOD, placebo: [frozen]}]")
    claims = [_read_claim(item, methods) for item in items]
    pairs = [(claim.claim, claim.against) for claim, _ in claims]
    for index, (pair, (_, place)) in enumerate(zip(pairs, claims, strict=True)):
        if pair in pairs[:index]:
            raise place.error(f"{pair[0]!r} is compared with {pair[1]!r} twice")
    return claims


def add_doses(methods: Mapping[str, MethodEntry], claims: Sequence[ClaimEntry]) -> dict[str, MethodEntry]:
    """Return the methods with those at other doses that the claims ask for, each after the method that it is of.

    One is the claimed method with another adversarial weight, or ratio of gradients if that is what it has, and has as
    its twin what the claim is against. At its own dose the method is that itself.
    """
    found: dict[str, MethodEntry] = {}
    for name, method in methods.items():
        found[name] = method
        for claim, place in claims:
            for dose in claim.dose if claim.claim == name else ():
                if dose != _dose_of(method):
                    found.setdefault(claim.at(dose).claim, _make_dose(method, claim, dose, place))
    return found


def claim_doses(claims: Sequence[ClaimEntry], methods: Mapping[str, MethodEntry]) -> list[ClaimEntry]:
    """Return the claims, each followed by what it claims of the other doses of its method."""
    return [
        entry
        for claim, place in claims
        for entry in (
            ClaimEntry(claim, place),
            *(ClaimEntry(at, place) for at in map(claim.at, claim.dose) if at.claim in methods),
        )
    ]


def add_placebos(methods: Mapping[str, MethodEntry], claims: Sequence[ClaimEntry]) -> dict[str, MethodEntry]:
    """Return the methods with the placebos that the claims ask for, each after the method whose placebo it is.

    A placebo has the recipe of the claimed method with one link broken, and as its twin the method that the claim is
    against. Where a ratio of gradients sets the claimed method's weight, some take over its weights. `against` of a
    claimed method and of its placebos names all other methods that claims compare them with.
    """
    found: dict[str, MethodEntry] = {}
    for name, method in methods.items():
        others = [claim.against for claim, _ in claims if claim.claim == name]
        found[name] = _compare_with(others, method)
        for claim, place in claims:
            for placebo in claim.placebo if claim.claim == name else ():
                broken = _compare_with(others, _make_placebo(method, claim, placebo, place))
                found.setdefault(claim.name_of(placebo), broken)
    return found


def select_claims(claims: Iterable[ClaimEntry], methods: Mapping[str, Method]) -> tuple[Claim, ...]:
    """Return the claims whose methods are both there, with the placebos that are.

    Raises SpecError if the two methods of a claim are never trained with the same share of the labels.
    """
    kept = [(claim, place) for claim, place in claims if {claim.claim, claim.against} <= set(methods)]
    for claim, place in kept:
        _check_common_labels(methods[claim.claim], methods[claim.against], place)
    return tuple(
        claim.model_copy(update={"placebo": tuple(kind for kind in claim.placebo if claim.name_of(kind) in methods)})
        for claim, _ in kept
    )


def _read_claim(node: Node, methods: Mapping[str, MethodEntry]) -> ClaimEntry:
    node = _with_twin(node, methods)
    claim = validate(Claim, node)
    entries = node.mapping()
    for key in ("claim", "against"):
        check_exists(Reference(getattr(claim, key), entries[key].place), "method", methods)
    if claim.claim == claim.against:
        raise entries["against"].error(f"{claim.claim!r} cannot be compared with itself")
    _check_equal_tuning(claim, methods, node)
    if claim.placebo:
        _check_placebos(claim, methods[claim.claim], entries["placebo"])
    if claim.dose:
        _check_doses(claim, methods[claim.claim], entries["dose"])
    return ClaimEntry(claim, node.place)


def _with_twin(node: Node, methods: Mapping[str, MethodEntry]) -> Node:
    """Return a claim that does not say what it is against as one against the method that the claimed one extends."""
    entries = node.value if isinstance(node.value, dict) else {}
    claimed = methods.get(str(entries["claim"].value)) if "claim" in entries else None
    if claimed is None or claimed.twin is None or "against" in entries:
        return node
    return Node({**entries, "against": Node(claimed.twin, node.place)}, node.place)


def _check_doses(claim: Claim, claimed: MethodEntry, node: Node) -> None:
    if "adversarial" not in claimed.entries:
        raise node.error(
            f"{claim.claim!r} is not adversarial, so it has no weight that could be another one; remove this"
        )
    if isinstance(_weight_of(claimed), dict) and not _has_ratio(claimed):
        raise node.error(f"{claim.claim!r} takes over the weights of another method; claim this of that method instead")
    if any(key.startswith("adversarial.weight") for key in tuned_keys(claimed)):
        raise node.error(f"{claim.claim!r} tunes its weight, so it has no dose of its own; take one of both out")
    for index, dose in enumerate(claim.dose):
        if dose in claim.dose[:index]:
            raise node.error(f"{dose:g} is listed twice")


def _check_placebos(claim: Claim, claimed: MethodEntry, node: Node) -> None:
    adversarial = claimed.entries.get("adversarial")
    if adversarial is None:
        raise node.error(
            f"{claim.claim!r} is not adversarial, so there is no discriminator to make a placebo of; remove this"
        )
    if isinstance(adversarial.value, dict) and (given := adversarial.value.get("placebo")) and given.value is not None:
        raise node.error(f"{claim.claim!r} is a placebo itself, since it says placebo: {given.value}")
    for index, placebo in enumerate(claim.placebo):
        if placebo in claim.placebo[:index]:
            raise node.error(f"{placebo!r} is listed twice")


def _make_placebo(method: MethodEntry, claim: Claim, placebo: Placebo, place: Place) -> MethodEntry:
    entries = {"placebo": Node(placebo, place)}
    if placebo in WITH_THE_CLAIMS_WEIGHTS and _has_ratio(method):
        entries["weight"] = Node({"like": Node(claim.claim, place)}, place)
    recipe = lay_over(method.recipe, Node({"adversarial": Node(entries, place)}, place))
    return MethodEntry(recipe, twin=claim.against, placebo_of=claim.claim)


def _make_dose(method: MethodEntry, claim: Claim, dose: float, place: Place) -> MethodEntry:
    number = Node(dose, place)
    weight = Node({"ratio": number}, place) if _has_ratio(method) else number
    recipe = lay_over(method.recipe, Node({"adversarial": Node({"weight": weight}, place)}, place))
    return MethodEntry(recipe, twin=claim.against, dose_of=claim.claim)


def _dose_of(method: MethodEntry) -> Any:
    """Return the weight of a method, or the ratio that sets it, as it is written; it is checked where methods are."""
    weight = _weight_of(method)
    if weight is None:
        return Adversarial.model_fields["weight"].default
    return weight["ratio"].value if _has_ratio(method) else weight


def _has_ratio(method: MethodEntry) -> bool:
    weight = _weight_of(method)
    return isinstance(weight, dict) and "ratio" in weight


def _weight_of(method: MethodEntry) -> Any:
    """Return what stands under `adversarial.weight`, None for nothing."""
    adversarial = method.entries["adversarial"].value
    weight = adversarial.get("weight") if isinstance(adversarial, dict) else None
    return weight.value if weight is not None else None


def _compare_with(others: Sequence[str], method: MethodEntry) -> MethodEntry:
    return method._replace(against=tuple(other for other in others if other != method.twin))


def _check_equal_tuning(claim: Claim, methods: Mapping[str, MethodEntry], node: Node) -> None:
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
            f"{claim.name!r} is trained with {_list_fractions(claim)} of the labels and {against.name!r} with "
            f"{_list_fractions(against)}, so they cannot be compared; give both the same labels: {{fraction: ...}}"
        )


def _list_fractions(method: Method) -> str:
    return ", ".join(f"{fraction:g}" for fraction in method.labels)
