from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import (
    Adversarial,
    Claim,
    ComponentUse,
    DatasetUse,
    Encoding,
    Folds,
    Method,
    Penalty,
    Refines,
    TrainsOn,
    Tuning,
    UnlabelledTerm,
    WeightedLoss,
)


def method(name="net", **changes):
    facts = {"generator": ComponentUse(use="toy/net"), "protocol": TrainingProtocol(budget={"steps": 10})}
    return Method(name=name, **{**facts, **changes})


ADVERSARIAL = {
    "discriminator": ComponentUse(use="toy/critic"),
    "adversarial": Adversarial(use="toy/hinge", penalty=Penalty(use="toy/slope")),
}


def test_all_components_of_a_method_are_listed_with_their_kinds():
    calm = UnlabelledTerm(loss=ComponentUse(use="toy/calm"))
    full = method(losses=(WeightedLoss(use="toy/entropy"),), unlabelled=calm, **ADVERSARIAL)
    assert [(kind, use.use) for kind, use in full.components] == [
        ("generator", "toy/net"),
        ("discriminator", "toy/critic"),
        ("loss", "toy/entropy"),
        ("loss", "toy/hinge"),
        ("loss", "toy/slope"),
        ("loss", "toy/calm"),
    ]
    assert [(kind, use.use) for kind, use in method().components] == [("generator", "toy/net")]


@pytest.mark.parametrize(
    ("parts", "trained"),
    [({}, False), ({"losses": (WeightedLoss(use="toy/entropy"),)}, True), (ADVERSARIAL, True)],
)
def test_a_method_is_trained_if_it_has_a_loss_or_a_discriminator(parts, trained):
    assert method(**parts).is_trained is trained


def test_a_cell_needs_those_of_upstream_methods_and_trials_by_the_reason():
    full = method(
        start_from="a",
        refines=Refines(method="b"),
        trains_on=TrainsOn(synthetic="c"),
        unlabelled=UnlabelledTerm(pseudo_labels_from="d"),
        protocol=TrainingProtocol(budget={"like": "e"}),
        adversarial=Adversarial(use="toy/hinge", weight={"like": "f"}),
        tuning=Tuning(seed=9, trials={"net#1": {"lr": 1}, "net#2": {"lr": 2}}),
    )
    assert full.upstream == {
        "start_from": "a",
        "refines": "b",
        "trains_on": "c",
        "pseudo_labels_from": "d",
        "budget": "e",
        "weight": "f",
    }
    assert full.trials == {"trial 1/2": "net#1", "trial 2/2": "net#2"}
    assert [full.needed_for(reason) for reason in ("refines fold 1/5", "trial 2/2")] == ["b", "net#2"]
    assert (method().upstream, method().trials) == ({}, {})


def test_a_method_takes_the_recipe_of_its_best_trial_and_keeps_its_own_placebo_budget_and_split():
    own = {
        "budget": {"like": "a"},
        "evaluate": "test",
        "keep": {"model": "last"},
    }
    frozen = method(
        "net~frozen",
        twin="a",
        placebo_of="net",
        labels=(0.5,),
        discriminator=ComponentUse(use="toy/critic"),
        adversarial=Adversarial(use="toy/hinge", placebo="frozen"),
        protocol=TrainingProtocol(**own),
    )
    tried = {
        "generator": ComponentUse(use="toy/net", options={"width": 3}),
        "discriminator": ComponentUse(use="toy/critic", options={"width": 4}),
        "adversarial": Adversarial(use="toy/hinge", weight=0.5),
    }
    settings = {"optimizer": "sgd", "batch_size": 3}
    trial = method(
        "net#2",
        trial_of="net",
        **tried,
        protocol=TrainingProtocol(budget={"steps": 10}, evaluate="val", keep={"model": "none"}, **settings),
    )
    expected = frozen.model_copy(
        update={
            **tried,
            "adversarial": Adversarial(use="toy/hinge", weight=0.5, placebo="frozen"),
            "protocol": TrainingProtocol(**own, **settings),
        }
    )
    assert frozen.with_recipe_of(trial) == expected


def test_a_recorded_recipe_may_use_the_former_name_of_latent_channels():
    made = method(latent_channels=7)
    recorded = made.model_dump(mode="json")
    recorded["noise_channels"] = recorded.pop("latent_channels")
    assert Method.model_validate(recorded) == made


@pytest.mark.parametrize("given", [{"use": "one_hot", "smoothing": 0.2}, {"use": "smoothed", "tau": 0.5}])
def test_an_encoding_has_no_setting_of_another_one(given):
    with pytest.raises(
        ValidationError, match=f"{given['use']} has no {'smoothing' if 'smoothing' in given else 'tau'}"
    ):
        Encoding(**given)


def test_one_discriminator_step_beside_alternate_is_no_contradiction():
    assert Adversarial(use="toy/hinge", d_steps=1, alternate=500).alternate == 500
    with pytest.raises(ValidationError, match="give d_steps or alternate, not both: with alternate: 500 the discrimi"):
        Adversarial(use="toy/hinge", d_steps=2, alternate=500)


def test_a_placebo_is_named_after_the_claimed_method():
    assert Claim(claim="net+critic", against="net").name_of("frozen") == "net+critic~frozen"


def test_folds_may_be_written_as_their_bare_number():
    assert Folds.model_validate(5) == Folds(count=5)
    assert Folds.model_validate(Folds(count=5)) == Folds(count=5)


@pytest.mark.parametrize(
    "given", [1, 0, -5, 1001, 2.5, "five", True, {"count": 5, "pool": []}, {"count": 5, "pool": ["val", "val"]}]
)
def test_what_are_no_folds_is_refused(given):
    with pytest.raises(ValidationError):
        Folds.model_validate(given)


def test_a_dataset_that_is_not_cross_validated_says_nothing_of_folds():
    assert "folds" not in DatasetUse(use="toy/shapes").model_dump(mode="json")
    assert DatasetUse(use="toy/shapes", folds=Folds(count=5)).scored()["folds"] == {"count": 5, "pool": None}
