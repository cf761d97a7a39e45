from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config.protocol import Keep
from segbench.config.tuning import count_combinations, draw_combinations

from .conftest import START

KEYS = st.sampled_from(["lr", "weight", "crop", "decay"])
VALUES = st.integers(1, 4).map(lambda number: list(range(number)))
SPACES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)
SEEDS = st.integers(0, 2**63 - 1)


def test_combinations_are_counted():
    assert count_combinations({"a": [1, 2, 3], "b": [1, 2]}) == 6


@given(SPACES, SEEDS)
def test_as_many_trials_as_combinations_are_all_of_them(space, seed):
    drawn = draw_combinations(space, count_combinations(space), seed)
    assert len({tuple(sorted(trial.items())) for trial in drawn}) == count_combinations(space)
    assert all(set(trial) == set(space) for trial in drawn)


@given(SPACES, SEEDS, st.data())
def test_fewer_trials_are_the_first_of_more(space, seed, data):
    trials = data.draw(st.integers(0, count_combinations(space)))
    assert draw_combinations(space, trials, seed) == draw_combinations(space, count_combinations(space), seed)[:trials]


@given(SPACES, SEEDS)
def test_over_all_combinations_every_value_of_a_key_comes_equally_often(space, seed):
    drawn = draw_combinations(space, count_combinations(space), seed)
    for key in space:
        assert len(set(Counter(trial[key] for trial in drawn).values())) == 1


@given(VALUES, VALUES, SEEDS)
def test_spaces_that_share_a_key_try_the_same_values_in_the_same_trials(values, others, seed):
    alone = draw_combinations({"lr": values}, len(values), seed)
    for name in ("first", "weight"):  # sorts before lr, and after
        beside = draw_combinations({"lr": values, name: others}, len(values), seed)
        assert [trial["lr"] for trial in beside] == [trial["lr"] for trial in alone]


@given(st.permutations([0.1, 0.2, 0.4, 0.8]), SEEDS)
def test_the_order_of_the_list_does_not_count(values, seed):
    ordered = [0.1, 0.2, 0.4, 0.8]
    expected = [ordered[trial["lr"]] for trial in draw_combinations({"lr": ordered}, 4, seed)]
    assert [values[trial["lr"]] for trial in draw_combinations({"lr": values}, 4, seed)] == expected


def test_another_seed_draws_another_order():
    assert (
        len({tuple(trial["lr"] for trial in draw_combinations({"lr": [1, 2, 3, 4]}, 4, seed)) for seed in range(50)})
        > 12
    )


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], [{"use": "a"}, {"use": "b"}], [None, 1.0], [True, "x"]])
def test_values_may_be_anything_that_a_file_can_hold(values):
    assert sorted(trial["key"] for trial in draw_combinations({"key": values}, 2, seed=0)) == [0, 1]


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


def test_tuned_methods_that_share_a_key_try_the_same_values_of_it(workshop):
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


RATIO = (
    "critic: {extends: net, discriminator: critic, adversarial: {use: hinge, weight: {ratio: 0.1}}, "
    "tune: {adversarial.weight: [{ratio: 0.1}, WEIGHT]}}"
)


def test_a_ratio_is_tuned_and_the_placebo_takes_over_what_the_best_one_set(workshop):
    methods = read(workshop, NET, RATIO.replace("WEIGHT", "{ratio: 0.2}"), claims=CLAIM).methods
    assert {methods[name].adversarial.ratio for name in ("critic#1", "critic#2")} == {0.1, 0.2}
    frozen = methods["critic~frozen"].with_recipe_of(methods["critic#1"])
    assert (frozen.adversarial.placebo, frozen.adversarial.like) == ("frozen", "critic")


@pytest.mark.parametrize("weight", ["1.0", "{like: other}"])
def test_weights_of_one_kind_are_tuned(workshop, weight):
    other = "other: {extends: net, discriminator: critic, adversarial: {use: hinge, weight: {ratio: 0.1}}, tune: null}"
    message = refusal(workshop, NET, other, RATIO.replace("WEIGHT", weight))
    assert "methods.critic.tune: a weight is tuned among numbers or among ratios, as 'critic' has it" in message


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
        "bench.yaml:12: methods.long.protocol.budget.like: 'long' is tuned, but 'plain' is not, so its trials have "
        "none to train as long as; tune both, or write tune: null for 'long'"
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


def test_a_key_on_a_path_that_there_is_not_is_reported_with_its_place(workshop):
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
            "methods.net.protocol.optimiser: unknown key 'optimiser'. Did you mean 'optimizer'? Available: budget, ",
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
def test_a_recipe_that_is_wrong_in_one_trial_is_reported_with_place_and_trial(workshop, space, message):
    found = refusal(workshop, f"net: {{generator: net, losses: [entropy], tune: {{{space}}}}}")
    assert message in found
    assert found.startswith("bench.yaml:10: ")
    key = space.partition(":")[0]
    assert "\n  in the trial net#" in found
    assert f" with {key}: " in found


# Methods start on line 9.
SPACE = "tune: {protocol.optimizer.lr: [0.1, 0.2]}"
TUNE = "tune: {trials: 2, seed: 100}\n"


def read_tuning(workshop, methods, tune=TUNE, **choice):
    return workshop.methods(methods, start=START + tune, **choice)


def refusal_of_tuning(workshop, methods, tune=TUNE, **choice):
    lines = "\n".join(f"  {line}" for line in methods.strip().splitlines())
    return workshop.refusal(f"{START}methods:\n{lines}\n{tune}", **choice)


def net(space=SPACE):
    return f"net: {{generator: net, losses: [entropy], {space}}}"


def test_nothing_need_be_tuned(workshop):
    found = workshop.load()
    assert found.tune is None
    assert found.methods["net"].tuning is None


def test_trials_and_seed_are_read(workshop):
    tune = read_tuning(workshop, net()).tune
    assert (tune.trials, tune.seed) == (2, 100)


def test_a_setting_of_the_command_line_changes_them(workshop):
    found = read_tuning(workshop, net(), sets=["tune.trials=1", "tune.seed=7"])
    assert list(found.methods["net"].tuning.trials) == ["net#1"]
    assert found.methods["net"].tuning.seed == 7


@pytest.mark.parametrize(
    "setting",
    ["methods.net.tune.protocol.optimizer.lr=[0.3, 0.4]", "methods.net.tune={protocol: {optimizer: {lr: [0.3, 0.4]}}}"],
)
def test_a_setting_of_the_command_line_changes_a_space(workshop, setting):
    trials = read_tuning(workshop, net(), sets=[setting]).methods["net"].tuning.trials
    assert sorted(trial["protocol.optimizer.lr"] for trial in trials.values()) == [0.3, 0.4]


def test_a_key_may_be_added_to_a_space_from_the_command_line(workshop):
    trials = read_tuning(workshop, net(), sets=["methods.net.tune.generator.width=[3, 4]"]).methods["net"].tuning.trials
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
    methods = read_tuning(workshop, INHERITING).methods
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
    assert refusal_of_tuning(workshop, net(), tune) == (
        "bench.yaml:9: methods.net.tune: the benchmark does not say how many trials every method gets; add at its top "
        "level tune: {trials: 4, seed: 100}"
    )


def test_a_number_of_trials_needs_a_space(workshop):
    assert refusal_of_tuning(workshop, net("tune: null")) == (
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
        (f"{{trials: 2, seed: {2**63}}}", "tune.seed: this number has too many digits; whole numbers go up to"),
        (
            "{trial: 2, seed: 9}",
            "tune.trials: is missing\nbench.yaml:10: tune.trial: unknown key 'trial'. Did you mean 'trials'? "
            "Available: trials, seed.",
        ),
        (
            "{trials: 3, seed: 9}",
            "methods.net.tune: there are 2 combinations of these values, but every tuned method gets 3 trials; give "
            "more values, or lower tune.trials",
        ),
        (
            "{trials: 2, seed: 1}",
            "tune.seed: 1 is one of the benchmark's seeds: settings would be chosen on a run that is then "
            "reported; take another one, such as 100",
        ),
    ],
)
def test_wrong_trials_are_reported_with_their_place(workshop, tune, message):
    line = 9 if message.startswith("methods") else 10
    assert refusal_of_tuning(workshop, net(), f"tune: {tune}\n").startswith(f"bench.yaml:{line}: {message}")


def test_seeds_of_the_command_line_are_not_that_of_tuning_either(workshop):
    assert refusal_of_tuning(workshop, net(), seeds=[100, 101]).startswith(
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
        ("{generator.width: [3, 4, 3]}", ".generator.width.2: 3 is listed twice"),
        (
            "{generator.width: [3, 4], generator: {width: [5, 6]}}",
            ".generator.width: generator.width is listed twice",
        ),
        (
            "{protocol.budget.steps: [10, 20]}",
            ".protocol.budget.steps: protocol.budget cannot be tuned: every method trains as long as its budget says",
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
def test_wrong_spaces_are_reported_with_their_place(workshop, space, message):
    assert refusal_of_tuning(workshop, net(f"tune: {space}")).startswith(f"bench.yaml:9: methods.net.tune{message}")
