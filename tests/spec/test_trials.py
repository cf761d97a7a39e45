from __future__ import annotations

import pytest

from segbench.spec.protocol import Keep

from .conftest import START

LR = "protocol.optimizer.lr"

# Trials and seed stand on line 8, methods start on line 10.
TUNED = f"{START}tune: {{trials: 2, seed: 100}}\n"
NET = "net: {generator: net, losses: [entropy], tune: {protocol.optimizer.lr: [0.1, 0.2]}}"
CRITIC = "critic: {extends: net, discriminator: critic, adversarial: hinge, tune: {adversarial.weight: [0.3, 0.4]}}"


def read(workshop, *methods, claims="", **choice):
    lines = "\n".join(f"  {method}" for method in methods)
    return workshop.load(f"{TUNED}methods:\n{lines}\n{claims}", **choice)


def refusal(workshop, *methods, **choice):
    lines = "\n".join(f"  {method}" for method in methods)
    return workshop.refusal(f"{TUNED}methods:\n{lines}\n", **choice)


def rates(methods, arm):
    return [methods[name].protocol.optimizer.lr for name in methods[arm].tuning.trials]


def test_every_tuned_method_is_followed_by_its_trials(workshop):
    methods = read(workshop, NET, "plain: {extends: net, tune: null}", CRITIC).methods
    assert list(methods) == ["net", "net#1", "net#2", "plain", "critic", "critic#1", "critic#2"]
    assert {name: method.trial_of for name, method in methods.items() if method.trial_of} == {
        **{"net#1": "net", "net#2": "net"},
        **{"critic#1": "critic", "critic#2": "critic"},
    }
    assert methods["net"].trials == {"trial 1/2": "net#1", "trial 2/2": "net#2"}
    assert methods["plain"].trials == {}


def test_a_trial_is_the_method_in_other_settings_scored_on_val(workshop):
    methods = read(workshop, CRITIC, NET).methods
    for name, settings in methods["critic"].tuning.trials.items():
        trial, critic = methods[name], methods["critic"]
        assert trial.protocol.optimizer.lr == settings[LR]
        assert trial.adversarial.weight == settings["adversarial.weight"]
        assert trial.protocol.evaluate == "val"
        assert trial.protocol.keep == Keep(model="none", samples=0)
        assert (trial.generator, trial.losses) == (critic.generator, critic.losses)
        assert (trial.twin, trial.against, trial.tuning) == (None, (), None)
    assert methods["critic"].protocol.optimizer.lr == 1e-3
    assert methods["critic"].overrides == ()


def test_arms_that_share_a_key_try_the_same_values_of_it(workshop):
    methods = read(workshop, NET, CRITIC).methods
    assert rates(methods, "net") == rates(methods, "critic")
    assert sorted(rates(methods, "net")) == [0.1, 0.2]


def test_a_trial_has_the_fractions_of_its_method(workshop):
    methods = read(workshop, NET, sets=["methods.net.labels.fraction=[0.5, 1]"]).methods
    assert methods["net#2"].labels == (0.5, 1.0)


def test_options_items_of_lists_and_bare_names_are_tuned(workshop):
    space = "tune: {losses.0.weight: [2, 3], generator.width: [4, 5], protocol.schedule.power: [0.5, 1.5]}"
    methods = read(workshop, f"net: {{generator: net, losses: [entropy], {space}}}").methods
    assert {methods[name].losses[0].weight for name in ("net#1", "net#2")} == {2, 3}
    assert {methods[name].generator.options["width"] for name in ("net#1", "net#2")} == {4, 5}
    assert {methods[name].protocol.schedule.power for name in ("net#1", "net#2")} == {0.5, 1.5}


def test_null_tries_a_key_as_if_it_were_not_given(workshop):
    methods = read(workshop, "net: {generator: net, losses: [entropy], tune: {protocol.ema: [null, 0.9]}}").methods
    assert {methods[name].protocol.ema for name in ("net#1", "net#2")} == {None, 0.9}


def test_a_trial_may_select_the_best_weights_as_its_method_does(workshop):
    chosen = ["protocol.select=best", "protocol.validations=2"]
    trial = read(workshop, NET, sets=chosen).methods["net#1"].protocol
    assert (trial.select, trial.evaluate) == ("best", "val")


CLAIM = "compare: [{claim: critic, against: net, placebo: [frozen]}]\n"


def test_a_placebo_has_the_trials_of_its_claim(workshop):
    methods = read(workshop, NET, CRITIC, claims=CLAIM).methods
    names = ["net", "net#1", "net#2", "critic", "critic#1", "critic#2", "critic~frozen"]
    assert list(methods) == names
    assert methods["critic~frozen"].tuning == methods["critic"].tuning
    assert methods["critic#1"].adversarial.placebo is None


def test_a_placebo_alone_brings_the_trials_of_its_claim(workshop):
    methods = read(workshop, NET, CRITIC, claims=CLAIM, only=["critic~frozen"]).methods
    assert list(methods) == ["critic~frozen", "critic#1", "critic#2"]


def test_a_method_takes_the_recipe_of_its_best_trial_and_keeps_its_own_placebo_budget_and_split(workshop):
    methods = read(workshop, NET, CRITIC, claims=CLAIM, sets=["protocol.evaluate=test"]).methods
    frozen, trial = methods["critic~frozen"], methods["critic#2"]
    settled = frozen.with_recipe_of(trial)
    assert settled.adversarial == trial.adversarial.model_copy(update={"placebo": "frozen"})
    assert settled.protocol.optimizer == trial.protocol.optimizer
    assert (settled.protocol.evaluate, settled.protocol.keep) == ("test", frozen.protocol.keep)
    assert settled.protocol.budget == frozen.protocol.budget
    own = {"name", "twin", "against", "placebo_of", "trial_of", "tuning", "overrides", "start_from", "labels"}
    assert settled.model_dump(include=own) == frozen.model_dump(include=own)


def test_a_trial_of_a_method_that_takes_anothers_time_takes_that_of_the_others_trial(workshop):
    long = "long: {extends: net, protocol: {budget: {like: critic, in: seconds}}}"
    methods = read(workshop, NET, CRITIC, long).methods
    assert methods["long"].upstream == {"budget": "critic"}
    assert [methods[name].protocol.budget.like for name in ("long#1", "long#2")] == ["critic#1", "critic#2"]
    assert methods["long"].overrides == ("budget.steps", "budget.like")


def test_a_trial_may_take_the_time_of_a_trial_of_a_placebos_claim(workshop):
    long = "long: {extends: net, protocol: {budget: {like: critic~frozen, in: seconds}}}"
    methods = read(workshop, NET, CRITIC, long, claims=CLAIM, only=["long"]).methods
    assert set(methods) == {"long", "long#1", "long#2", "critic~frozen", "critic#1", "critic#2"}
    assert methods["long#2"].protocol.budget.like == "critic#2"


def test_a_trial_cannot_take_the_time_of_a_method_without_trials(workshop):
    message = refusal(
        workshop,
        NET,
        "plain: {extends: net, tune: null}",
        "long: {extends: net, protocol: {budget: {like: plain, in: seconds}}}",
    )
    assert message == (
        "bench.yaml:12: methods.long.protocol.budget.like: 'long' is tuned, but 'plain' is not, so there are no trials "
        "whose time its own could take; tune both, or write tune: null for 'long'"
    )


def test_scores_of_the_split_that_settings_are_chosen_on_are_refused(workshop):
    assert refusal(workshop, NET, sets=["protocol.evaluate=val"]) == (
        "bench.yaml:10: methods.net.tune: settings are chosen on val, so scores of val, for which protocol.evaluate "
        "asks, would look too good; set evaluate: test"
    )


def test_what_has_no_miou_cannot_be_tuned(workshop):
    painter = (
        "painter: {generator: painter, discriminator: critic, adversarial: hinge, tune: {generator.width: [3, 4]}}"
    )
    assert refusal(workshop, painter) == (
        "bench.yaml:10: methods.painter.tune: settings are chosen by mIoU on val, which only methods have that map "
        "'image -> labels', 'image, labels -> labels', 'image -> image'; toy/painter maps 'noise -> image'"
    )


def test_a_key_on_a_path_that_there_is_not_is_told_with_its_place(workshop):
    found = refusal(workshop, "net: {generator: net, losses: [entropy], tune: {losses.1.weight: [1, 2]}}")
    assert found == ("bench.yaml:10: methods.net.losses: is a list of 1; give the number of an item, from 0, not '1'")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            "protocol.optimizer.lr: [0.1, -1]",
            "methods.net.tune.protocol.optimizer.lr.1: must be greater than 0, not the number -1\n  in the trial net#",
        ),
        (
            "protocol.optimiser.lr: [0.1, 0.2]",
            "methods.net.protocol.optimiser: unknown key 'optimiser'; allowed here: budget, ",
        ),
        ("generator.widht: [3, 4]", "methods.net.tune.generator.widht.0: "),
        ("generator.width: [wide, wider]", "methods.net.tune.generator.width."),
        ("adversarial.weight: [1, 2]", "methods.net.adversarial: must name its loss: {use: NAME, option: value}"),
        ("protocol.optimizer.momentum: [0.1, 0.2]", "methods.net.protocol.optimizer: adamw has no momentum"),
        (
            "generator.use: [net, colours]",
            "methods.net.tune: a generator is tuned among those that map 'image -> labels'; toy/colours maps 'image -> "
            "image'\n  in the trial net#",
        ),
    ],
)
def test_a_recipe_that_is_wrong_in_one_trial_is_told_with_place_and_trial(workshop, space, message):
    found = refusal(workshop, f"net: {{generator: net, losses: [entropy], tune: {{{space}}}}}")
    assert message in found
    assert found.startswith("bench.yaml:10: ")
    key = space.partition(":")[0]
    assert "\n  in the trial net#" in found
    assert f" with {key}: " in found
