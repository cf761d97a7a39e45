from __future__ import annotations

import pytest

from .conftest import START

# Methods start on line 9.
SPACE = "tune: {protocol.optimizer.lr: [0.1, 0.2]}"
TUNE = "tune: {trials: 2, seed: 100}\n"


def read(workshop, methods, tune=TUNE, **choice):
    return workshop.methods(methods, start=START + tune, **choice)


def refusal(workshop, methods, tune=TUNE, **choice):
    lines = "\n".join(f"  {line}" for line in methods.strip().splitlines())
    return workshop.refusal(f"{START}methods:\n{lines}\n{tune}", **choice)


def net(space=SPACE):
    return f"net: {{generator: net, losses: [entropy], {space}}}"


def test_nothing_need_be_tuned(workshop):
    found = workshop.load()
    assert found.tune is None
    assert found.methods["net"].tuning is None


def test_trials_and_seed_are_read(workshop):
    tune = read(workshop, net()).tune
    assert (tune.trials, tune.seed) == (2, 100)


def test_a_setting_of_the_command_line_changes_them(workshop):
    found = read(workshop, net(), sets=["tune.trials=1", "tune.seed=7"])
    assert list(found.methods["net"].tuning.trials) == ["net#1"]
    assert found.methods["net"].tuning.seed == 7


@pytest.mark.parametrize(
    "setting",
    ["methods.net.tune.protocol.optimizer.lr=[0.3, 0.4]", "methods.net.tune={protocol: {optimizer: {lr: [0.3, 0.4]}}}"],
)
def test_a_setting_of_the_command_line_changes_a_space(workshop, setting):
    trials = read(workshop, net(), sets=[setting]).methods["net"].tuning.trials
    assert sorted(trial["protocol.optimizer.lr"] for trial in trials.values()) == [0.3, 0.4]


def test_a_key_may_be_added_to_a_space_from_the_command_line(workshop):
    trials = read(workshop, net(), sets=["methods.net.tune.generator.width=[3, 4]"]).methods["net"].tuning.trials
    assert all(set(trial) == {"protocol.optimizer.lr", "generator.width"} for trial in trials.values())


INHERITING = f"""
{net()}
same: {{extends: net}}
more: {{extends: net, tune: {{generator.width: [3, 4]}}}}
other: {{extends: net, tune: {{protocol.optimizer.lr: [0.5, 0.6]}}}}
fewer: {{extends: more, tune: {{protocol.optimizer.lr: null}}}}
none: {{extends: net, tune: null}}
"""


def test_a_space_is_inherited_like_all_of_a_recipe(workshop):
    methods = read(workshop, INHERITING).methods
    keys = {
        name: {key for trial in method.tuning.trials.values() for key in trial}
        for name, method in methods.items()
        if method.tuning
    }
    assert keys == {
        "net": {"protocol.optimizer.lr"},
        "same": {"protocol.optimizer.lr"},
        "more": {"protocol.optimizer.lr", "generator.width"},
        "other": {"protocol.optimizer.lr"},
        "fewer": {"generator.width"},
    }
    assert {trial["protocol.optimizer.lr"] for trial in methods["other"].tuning.trials.values()} == {0.5, 0.6}


@pytest.mark.parametrize("tune", ["", "tune:\n", "tune: null\n"])
def test_a_space_needs_a_number_of_trials(workshop, tune):
    assert refusal(workshop, net(), tune) == (
        "bench.yaml:9: methods.net.tune: the benchmark does not say how many trials every method gets; add at its top "
        "level tune: {trials: 4, seed: 100}"
    )


def test_a_number_of_trials_needs_a_space(workshop):
    assert refusal(workshop, net("tune: null")) == (
        "bench.yaml:10: tune: no method says what of it is tuned; give methods a tune: {protocol.optimizer.lr: [5e-4, "
        "2e-3]}, or take this out"
    )


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ("3", "tune: must be a mapping with keys of trials, seed, not the number 3"),
        ("{trials: 0, seed: 9}", "tune.trials: must be greater than 0, not the number 0"),
        ("{trials: 2}", "tune.seed: is missing"),
        ("{trials: 2, seed: -1}", "tune.seed: must be greater than or equal to 0, not the number -1"),
        (f"{{trials: 2, seed: {2**63}}}", "tune.seed: must be less than or equal to 9223372036854775807"),
        ("{trial: 2, seed: 9}", "tune.trials: is missing\nbench.yaml:10: tune.trial: unknown key 'trial'; allowed"),
        (
            "{trials: 3, seed: 9}",
            "methods.net.tune: there are 2 combinations of these values, but every tuned method gets 3 trials; give "
            "more values, or lower tune.trials",
        ),
        (
            "{trials: 2, seed: 1}",
            "tune.seed: 1 is one of the benchmark's seeds: settings would be chosen by the luck of a run that is then "
            "reported; take another one, such as 100",
        ),
    ],
)
def test_wrong_trials_are_told_with_their_place(workshop, tune, message):
    line = 9 if message.startswith("methods") else 10
    assert refusal(workshop, net(), f"tune: {tune}\n").startswith(f"bench.yaml:{line}: {message}")


def test_seeds_of_the_command_line_are_not_that_of_tuning_either(workshop):
    assert refusal(workshop, net(), seeds=[100, 101]).startswith(
        "bench.yaml:10: tune.seed: 100 is one of the benchmark's seeds"
    )


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            "3",
            ": must be a mapping from dotted keys of the recipe to lists of values, such as {protocol.optimizer.lr: ",
        ),
        ("{}", ": must be a mapping from dotted keys of the recipe to lists of values"),
        ("{generator.width: null}", ": must be a mapping from dotted keys of the recipe to lists of values"),
        ("{generator.width: 3}", ".generator.width: must be a list of the values that it may have, not the number 3"),
        ("{generator.width: []}", ".generator.width: there is no value; give at least one"),
        ("{generator.width: [3, 4, 3]}", ".generator.width.2: 3 is there twice"),
        (
            "{generator.width: [3, 4], generator: {width: [5, 6]}}",
            ".generator.width: generator.width is there twice",
        ),
        (
            "{protocol.budget.steps: [10, 20]}",
            ".protocol.budget.steps: protocol.budget cannot be tuned: every arm trains as long as its budget says",
        ),
        (
            "{protocol: {evaluate: [test, val]}}",
            ".protocol.evaluate: protocol.evaluate cannot be tuned: it says how results are measured",
        ),
        ("{start_from: [a, b]}", ".start_from: start_from cannot be tuned: it names another method"),
        ("{labels.fraction: [0.5, 1]}", ".labels.fraction: labels cannot be tuned: settings are tuned for each"),
        ("{adversarial.placebo: [frozen]}", ".adversarial.placebo: adversarial.placebo cannot be tuned: a placebo has"),
        (
            "{adversarial: [hinge, {use: hinge, weight: 3}]}",
            ".adversarial: adversarial cannot be tuned as a whole; name a key within it, but not adversarial.placebo: ",
        ),
    ],
)
def test_wrong_spaces_are_told_with_their_place(workshop, space, message):
    assert refusal(workshop, net(f"tune: {space}")).startswith(f"bench.yaml:9: methods.net.tune{message}")
