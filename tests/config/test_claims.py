from __future__ import annotations

import pytest

from segbench.config.recipe import Claim

from .conftest import START

METHODS = """\
methods:
  net: {generator: net, losses: [entropy]}
  net+critic: {extends: net, discriminator: critic, adversarial: {use: hinge, weight: 0.05}}
  rival: {extends: net, losses: [dice]}
"""

# The claims stand on line 12.
START_OF_CLAIMS = f"{START}{METHODS}compare: "


def read(workshop, claims, **choice):
    return workshop.load(f"{START_OF_CLAIMS}{claims}\n", **choice)


def refusal(workshop, claims, **choice):
    return workshop.refusal(f"{START_OF_CLAIMS}{claims}\n", **choice)


TRIPLET = "[{claim: net+critic, against: net, placebo: [frozen, noise]}]"
WITH_PLACEBOS = ["net", "net+critic", "net+critic~frozen", "net+critic~noise", "rival"]


def test_nothing_need_be_claimed(workshop):
    assert workshop.load(START + METHODS).compare == ()
    assert read(workshop, "").compare == ()
    assert read(workshop, "[]").compare == ()


def test_a_claim_is_read(workshop):
    found = read(workshop, "[{claim: net+critic, against: net}, {claim: rival, against: net+critic}]")
    assert found.compare == (Claim(claim="net+critic", against="net"), Claim(claim="rival", against="net+critic"))
    assert list(found.methods) == ["net", "net+critic", "rival"]


def test_placebos_join_the_methods_after_the_one_that_is_claimed(workshop):
    found = read(workshop, TRIPLET)
    assert list(found.methods) == WITH_PLACEBOS
    assert found.compare == (Claim(claim="net+critic", against="net", placebo=("frozen", "noise")),)


def test_a_placebo_has_the_claimed_recipe_with_a_broken_discriminator(workshop):
    methods = read(workshop, TRIPLET).methods
    claimed, frozen = methods["net+critic"], methods["net+critic~frozen"]
    assert frozen.adversarial == claimed.adversarial.model_copy(update={"placebo": "frozen"})
    same = {"name", "adversarial", "placebo_of"}
    assert frozen.model_dump(exclude=same) == claimed.model_dump(exclude=same)
    assert (frozen.name, frozen.placebo_of, frozen.twin) == ("net+critic~frozen", "net+critic", "net")


def test_placebos_whose_gradient_is_not_the_claims_take_over_the_weights_that_a_ratio_set(workshop):
    ratio = ["methods.net+critic.adversarial.weight={ratio: 0.1}"]
    claims = "[{claim: net+critic, against: net, placebo: [frozen, shuffled, noise, detached]}]"
    methods = read(workshop, claims, sets=ratio).methods
    weights = {name.partition("~")[2]: method.adversarial for name, method in methods.items() if method.placebo_of}
    assert {name: (one.ratio, one.like) for name, one in weights.items()} == {
        "frozen": (None, "net+critic"),
        "shuffled": (None, "net+critic"),
        "noise": (0.1, None),
        "detached": (0.1, None),
    }
    assert methods["net+critic~frozen"].upstream == {"weight": "net+critic"}


def test_placebos_of_a_fixed_weight_have_that_weight(workshop):
    methods = read(workshop, TRIPLET).methods
    assert methods["net+critic~frozen"].adversarial.weight == methods["net+critic"].adversarial.weight == 0.05
    assert methods["net+critic~frozen"].upstream == {}


DOSES = "[{claim: net+critic, against: net, placebo: [frozen], dose: [0.01, 0.05, 1]}]"


@pytest.mark.parametrize("by_ratio", [False, True])
def test_a_claim_is_made_of_the_method_at_other_doses_with_their_placebos(workshop, by_ratio):
    sets = ["methods.net+critic.adversarial.weight={ratio: 0.05}"] if by_ratio else []
    found = read(workshop, DOSES, sets=sets)
    critic, arms = "net+critic", ["net+critic@0.01", "net+critic@1.0"]
    assert list(found.methods) == [
        "net",
        *(name for method in (critic, *arms) for name in (method, f"{method}~frozen")),
        "rival",
    ]
    methods = [found.methods[name] for name in (critic, *arms)]
    assert [method.adversarial.ratio if by_ratio else method.adversarial.weight for method in methods] == [
        0.05,
        0.01,
        1,
    ]
    assert [method.dose_of for method in methods] == [None, critic, critic]
    assert {method.twin for method in methods} == {"net"}
    for method in methods:
        placebo = found.methods[f"{method.name}~frozen"]
        assert (placebo.placebo_of, placebo.twin, placebo.dose_of) == (method.name, "net", None)
        assert placebo.upstream == ({"weight": method.name} if by_ratio else {})
        assert placebo.adversarial.placebo == "frozen"
    assert [(claim.claim, claim.placebo) for claim in found.compare] == [
        (method.name, ("frozen",)) for method in methods
    ]


def test_methods_at_doses_are_chosen_by_their_names(workshop):
    assert list(read(workshop, DOSES, only=["net+critic@1.0~frozen"]).methods) == ["net+critic@1.0~frozen"]


def test_the_default_weight_is_a_dose_too(workshop):
    claims = "[{claim: net+critic, against: net, dose: [1, 2]}]"
    found = read(workshop, claims, sets=["methods.net+critic.adversarial=hinge"])
    assert list(found.methods) == ["net", "net+critic", "net+critic@2.0", "rival"]


def test_a_claim_is_against_what_the_method_extends_if_nothing_else_is_said(workshop):
    assert read(workshop, "[{claim: net+critic}]").compare == (Claim(claim="net+critic", against="net"),)
    assert refusal(workshop, "[{claim: net}]") == "bench.yaml:12: compare.0.against: is missing"


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("claim: rival, against: net, dose: [1]", "dose: 'rival' is not adversarial, so it has no weight that"),
        ("claim: net+critic, dose: [1, 2, 1.0]", "dose: 1 is listed twice"),
        ("claim: net+critic, dose: [0]", "dose.0: must be greater than 0, not the number 0"),
        ("claim: net+critic, dose: 0.1", "dose: must be a list, not the number 0.1"),
        ("claim: net+critic, dose: [1], doses: [2]", "doses: unknown key 'doses'. Did you mean 'dose'?"),
    ],
)
def test_doses_that_are_wrong_are_refused(workshop, claim, message):
    assert refusal(workshop, f"[{{{claim}}}]").startswith(f"bench.yaml:12: compare.0.{message}")


def test_what_has_no_dose_of_its_own_has_none(workshop):
    claims = "[{claim: net+critic, dose: [1]}]\ntune: {trials: 2, seed: 9}"
    spaces = {"net": "{protocol.optimizer.lr: [0.1, 0.2]}", "net+critic": "{adversarial.weight: [0.1, 0.2]}"}
    tuned = [f"methods.{name}.tune={space}" for name, space in spaces.items()]
    assert "'net+critic' tunes its weight, so it has no dose of its own" in refusal(workshop, claims, sets=tuned)
    like = "methods.net+critic.adversarial.weight={like: rival}"
    assert "takes over the weights of another method" in refusal(workshop, claims.partition("\n")[0], sets=[like])


def test_the_twin_of_a_placebo_is_what_is_claimed_against(workshop):
    methods = read(workshop, "[{claim: net+critic, against: rival, placebo: [frozen]}]").methods
    assert (methods["net+critic~frozen"].twin, methods["net+critic"].twin) == ("rival", "net")


def test_a_discriminator_that_is_given_by_its_name_alone_has_placebos_too(workshop):
    found = read(workshop, TRIPLET, sets=["methods.net+critic.adversarial=hinge"])
    assert found.methods["net+critic~noise"].adversarial.placebo == "noise"


def test_two_claims_share_a_placebo(workshop):
    claims = "[{claim: net+critic, against: net, placebo: [frozen]}, {claim: net+critic, against: rival, placebo: "
    found = read(workshop, claims + "[noise, frozen]}]")
    assert list(found.methods) == WITH_PLACEBOS
    assert [claim.placebo for claim in found.compare] == [("frozen",), ("noise", "frozen")]
    assert found.methods["net+critic~frozen"].twin == "net"


TWO_RIVALS = "[{claim: net+critic, against: net, placebo: [frozen]}, {claim: net+critic, against: rival}]"


def test_methods_know_what_claims_compare_them_with_beside_their_twin(workshop):
    methods = read(workshop, TWO_RIVALS).methods
    assert {name: method.against for name, method in methods.items()} == {
        "net": (),
        "net+critic": ("rival",),
        "net+critic~frozen": ("rival",),
        "rival": (),
    }


def test_a_placebo_is_compared_with_all_methods_of_its_claim_but_its_twin(workshop):
    claims = "[{claim: net+critic, against: rival, placebo: [frozen]}, {claim: net+critic, against: net}]"
    methods = read(workshop, claims).methods
    assert (methods["net+critic"].twin, methods["net+critic"].against) == ("net", ("rival",))
    assert (methods["net+critic~frozen"].twin, methods["net+critic~frozen"].against) == ("rival", ("net",))


def test_what_has_no_twin_is_compared_with_what_it_is_claimed_against(workshop):
    assert read(workshop, "[{claim: net, against: rival}]").methods["net"].against == ("rival",)


def test_one_method_of_a_claim_cannot_be_tuned_alone(workshop):
    claims = "[{claim: net+critic, against: rival}]\ntune: {trials: 2, seed: 9}"
    space = "methods.METHOD.tune={protocol.optimizer.lr: [0.1, 0.2]}"
    for tuned, other in (("net+critic", "rival"), ("rival", "net+critic")):
        assert refusal(workshop, claims, sets=[space.replace("METHOD", tuned)]) == (
            f"bench.yaml:12: compare.0: {tuned!r} is tuned and {other!r} is not, so a difference may be that of the "
            f"tuning; give {other!r} a tune: as well, for as many trials, or write tune: null for {tuned!r}"
        )
    both = [space.replace("METHOD", name) for name in ("net+critic", "rival")]
    assert read(workshop, claims, sets=both).methods["rival"].tuning.seed == 9


def test_a_placebo_may_be_written_by_hand(workshop):
    text = START + METHODS + "  broken: {extends: net+critic, adversarial: {placebo: detached}}\n"
    broken = workshop.load(text).methods["broken"]
    assert (broken.adversarial.placebo, broken.adversarial.weight, broken.twin) == ("detached", 0.05, "net+critic")
    assert broken.placebo_of is None


@pytest.mark.parametrize(
    ("only", "methods", "claims"),
    [
        (["net+critic"], ["net+critic"], []),
        (["net+critic", "net"], ["net", "net+critic"], [()]),
        (["net+critic~noise"], ["net+critic~noise"], []),
        (["net+critic", "net", "net+critic~noise"], ["net", "net+critic", "net+critic~noise"], [("noise",)]),
    ],
)
def test_only_what_is_named_is_kept_of_a_claim(workshop, only, methods, claims):
    found = read(workshop, TRIPLET, only=only)
    assert list(found.methods) == methods
    assert [claim.placebo for claim in found.compare] == claims


def test_a_placebo_that_nobody_asked_for_is_unknown(workshop):
    message = refusal(workshop, TRIPLET, only=["net+critic~shuffled"])
    assert message.startswith(
        "--only net+critic~shuffled: there is no method 'net+critic~shuffled'. Did you mean 'net+critic'? "
        "Available: net, net+critic, net+critic~frozen, net+critic~noise, rival."
    )


def test_a_placebo_may_be_needed_by_a_method(workshop):
    text = METHODS + "  more: {extends: net, start_from: net+critic~frozen}\n"
    found = workshop.load(f"{START}{text}compare: {TRIPLET}\n", only=["more"])
    assert list(found.methods) == ["net+critic~frozen", "more"]


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        (
            "{claim: net+critic, against: net}",
            "compare: must be a list of claims, such as [{claim: METHOD, against: METHOD, placebo: [frozen]}], not a "
            "mapping",
        ),
        ("[net]", "compare.0: must be a mapping with keys of claim, against, placebo, dose, not the text 'net'"),
        ("[{claim: net}]", "compare.0.against: is missing"),
        ("[{against: net}]", "compare.0.claim: is missing"),
        ("[{claim: net, against: 3}]", "compare.0.against: must be a valid string, not the number 3"),
        ("[{claim: net, versus: net}]", "compare.0.against: is missing\nbench.yaml:12: compare.0.versus: unknown key"),
        (
            "[{claim: net+critci, against: net}]",
            "compare.0.claim: there is no method 'net+critci'. Did you mean 'net+critic'? Available: net, "
            "net+critic, rival.",
        ),
        (
            "[{claim: net, against: nte}]",
            "compare.0.against: there is no method 'nte'. Did you mean 'net'? Available: net, net+critic, rival.",
        ),
        ("[{claim: net, against: net}]", "compare.0.against: 'net' cannot be compared with itself"),
        (
            "[{claim: net, against: rival}, {claim: net, against: rival, placebo: []}]",
            "compare.1: 'net' is compared with 'rival' twice",
        ),
        (
            "[{claim: rival, against: net, placebo: [frozen]}]",
            "compare.0.placebo: 'rival' is not adversarial, so there is no discriminator to make a placebo of; remove "
            "this",
        ),
        (
            "[{claim: net+critic, against: net, placebo: [frozen, frozen]}]",
            "compare.0.placebo: 'frozen' is listed twice",
        ),
        (
            "[{claim: net+critic, against: net, placebo: [sleepy]}]",
            "compare.0.placebo.0: unknown value 'sleepy'. Available: frozen, shuffled, noise, detached.",
        ),
        (
            "[{claim: net+critic, against: net, placebo: frozen}]",
            "compare.0.placebo: must be a list, not the text 'frozen'",
        ),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(workshop, claims, message):
    assert refusal(workshop, claims).startswith(f"bench.yaml:12: {message}")


def test_there_is_no_placebo_of_a_placebo(workshop):
    message = refusal(workshop, TRIPLET, sets=["methods.net+critic.adversarial.placebo=shuffled"])
    assert message == (
        "bench.yaml:12: compare.0.placebo: 'net+critic' is a placebo itself, since it says placebo: shuffled"
    )


def test_both_methods_of_a_claim_share_a_fraction_of_the_labels(workshop):
    half, both = "methods.net+critic.labels.fraction=0.5", "methods.net+critic.labels.fraction=[0.5, 1]"
    assert read(workshop, TRIPLET, sets=[both]).methods["net+critic~noise"].labels == (0.5, 1.0)
    assert refusal(workshop, TRIPLET, sets=[half]) == (
        "bench.yaml:12: compare.0: 'net+critic' is trained with 0.5 of the labels and 'net' with 1, so they cannot be "
        "compared; give both the same labels: {fraction: ...}"
    )
