from __future__ import annotations

import pytest

from segbench.config.components import ADVERSARIAL_KEYS, PENALTY_KEYS
from segbench.config.optimizer import Optimizer
from segbench.config.recipe import (
    Adversarial,
    ComponentUse,
    Encoding,
    Penalty,
    Refines,
    TrainsOn,
    UnlabelledTerm,
    WeightedLoss,
)
from segbench.contract import RESERVED_OPTIONS

NET = "net: {generator: toy/net, losses: [toy/entropy]}"


def test_losses_have_weights(workshop):
    losses = (
        workshop.methods("net: {generator: net, losses: [{use: dice, weight: 0.5, smooth: 1}]}").methods["net"].losses
    )
    assert losses == (WeightedLoss(use="toy/dice", options={"smooth": 1.0}, weight=0.5),)


@pytest.mark.parametrize(("loss", "role"), [("hinge", "adversarial"), ("slope", "penalty"), ("calm", "unlabelled")])
def test_losses_are_supervised(workshop, loss, role):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: [entropy, {{use: {loss}}}]}}")
    assert message == (
        f"bench.yaml:9: methods.net.losses.1.use: loss toy/{loss} has the role '{role}'; under losses: must be one "
        "with 'supervised'"
    )


def test_a_method_knows_what_its_generator_maps(workshop):
    methods = workshop.methods("net: {generator: net, losses: [entropy]}\nc: {generator: colours, losses: [entropy]}")
    assert [method.maps for method in methods.methods.values()] == ["image -> labels", "image -> image"]


def test_a_discriminator_has_options(workshop):
    method = workshop.methods(
        "net: {generator: net, losses: [entropy], discriminator: {use: critic, width: 9}, adversarial: hinge}"
    ).methods["net"]
    assert method.discriminator == ComponentUse(use="toy/critic", options={"width": 9})


def test_a_discriminator_is_a_discriminator(workshop):
    message = workshop.methods_refusal(
        "net: {generator: net, losses: [entropy], discriminator: net, adversarial: hinge}"
    )
    assert message.startswith(
        "bench.yaml:9: methods.net.discriminator: unknown discriminator 'net'. 'net' is a generator, not a "
    )


def test_an_option_that_a_loss_has_not_is_reported_with_the_keys_beside_options(workshop):
    message = workshop.methods_refusal("net: {generator: net, losses: [{use: dice, wieght: 2}]}")
    assert message == (
        "bench.yaml:9: methods.net.losses.0.wieght: loss toy/dice has no option 'wieght'. Did you mean "
        "'weight'? Available: smooth, weight."
    )


@pytest.mark.parametrize("losses", ["entropy", "{use: entropy}", "3"])
def test_losses_are_a_list(workshop, losses):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: {losses}}}")
    assert "bench.yaml:9: methods.net.losses: must be a list of losses" in message


def test_there_is_at_least_one_loss(workshop):
    assert "methods.net.losses: must name at least one loss" in workshop.methods_refusal(
        "net: {generator: net, losses: []}"
    )


@pytest.mark.parametrize("weight", ["0", "-1", "true", "x", "[1]"])
def test_a_weight_is_a_positive_number(workshop, weight):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: [{{use: dice, weight: {weight}}}]}}")
    assert message.startswith("bench.yaml:9: methods.net.losses.0.weight: must be ")
    assert ", not " in message


@pytest.mark.parametrize(
    ("written", "loss"),
    [
        ("[1, 3]", WeightedLoss(use="toy/weighed", options={"class_weights": [1.0, 3.0]})),
        ("null", WeightedLoss(use="toy/weighed", options={"class_weights": None})),
        (
            "median_frequency",
            WeightedLoss(use="toy/weighed", options={"class_weights": None}, class_weights="median_frequency"),
        ),
    ],
)
def test_class_weights_are_numbers_or_the_name_of_how_they_are_made(workshop, written, loss):
    methods = workshop.methods(f"net: {{generator: net, losses: [{{use: weighed, class_weights: {written}}}]}}").methods
    assert methods["net"].losses == (loss,)


def test_a_loss_may_know_class_weights_by_names_of_its_own(workshop):
    methods = workshop.methods("net: {generator: net, losses: [{use: balanced, class_weights: balanced}]}").methods
    assert methods["net"].losses == (WeightedLoss(use="toy/balanced", options={"class_weights": "balanced"}),)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            "{use: weighed, class_weights: median_freqency}",
            "unknown value 'median_freqency'. Did you mean 'median_frequency'? Available: median_frequency, "
            "inverse_square_root.",
        ),
        (
            "{use: dice, class_weights: median_frequency}",
            "loss toy/dice has no class weights; losses that take them: toy/weighed",
        ),
    ],
)
def test_class_weights_that_cannot_be_are_refused(workshop, loss, message):
    refusal = workshop.methods_refusal(f"net: {{generator: net, losses: [entropy, {loss}]}}")
    assert refusal == f"bench.yaml:9: methods.net.losses.1.class_weights: {message}"


def with_dataset(text):
    return f"name: t\nprotocol: {{budget: {{steps: 1}}}}\nseeds: [0]\nmethods: {{{NET}}}\ndatasets:\n  data: {text}\n"


def test_a_relative_root_is_relative_to_the_file(workshop):
    dataset = workshop.load(with_dataset("{use: pictures, root: ../somewhere, size: [3, 4]}")).datasets["data"]
    assert dataset.root == str(workshop.path.parent.parent / "somewhere")
    assert dataset.options == {"size": [3, 4]}


def test_a_tilde_is_the_home_folder(workshop, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    dataset = workshop.load(with_dataset("{use: pictures, root: ~/data}")).datasets["data"]
    assert dataset.root == str(tmp_path / "home" / "data")


def test_a_relative_root_of_the_command_line_is_relative_to_the_working_folder(workshop, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    dataset = workshop.load(with_dataset("pictures"), sets=["datasets.data.root=x"]).datasets["data"]
    assert dataset.root == str(tmp_path / "here" / "x")


def test_a_root_may_be_left_out(workshop):
    assert workshop.load(with_dataset("pictures")).datasets["data"].root is None
    assert workshop.load(with_dataset("{use: pictures, root: null}")).datasets["data"].root is None


def test_beside_a_dataset_stands_whether_its_images_may_be_passed_on(workshop):
    for text, expected in (("shapes", None), ("{use: shapes, redistributable: false}", False)):
        assert workshop.load(with_dataset(text)).datasets["data"].redistributable is expected
    message = workshop.refusal(with_dataset("\n    use: shapes\n    redistributable: 3"))
    assert message.startswith("bench.yaml:8: datasets.data.redistributable: must be true or false")


def test_a_dataset_without_files_takes_no_root(workshop):
    message = workshop.refusal(with_dataset("\n    use: shapes\n    root: x"))
    assert message.startswith("bench.yaml:8: datasets.data.root: dataset toy/shapes reads no folder")


def test_a_root_is_text(workshop):
    assert "datasets.data.root: must be the path of a folder, not the number 3" in workshop.refusal(
        with_dataset("{use: pictures, root: 3}")
    )


def test_the_home_of_nobody_is_an_error(workshop):
    assert "datasets.data.root: '~no-such-user-here/x':" in workshop.refusal(
        with_dataset("{use: pictures, root: ~no-such-user-here/x}")
    )


CRITIC = """
net:
  generator: net
  losses: [entropy]
  discriminator: critic
  adversarial: {}
"""

PLAIN = Adversarial(use="toy/hinge", options={"margin": 1.0, "flip": False})


def read(workshop, adversarial):
    return workshop.methods(CRITIC.format(adversarial)).methods["net"].adversarial


def refusal(workshop, adversarial):
    return workshop.methods_refusal(CRITIC.format(adversarial))


def test_a_bare_name_has_the_default_settings(workshop):
    found = read(workshop, "hinge")
    assert found == PLAIN
    assert (found.weight, found.d_steps, found.conditional, found.encoding.use) == (1, 1, True, "straight_through")
    assert found.optimizer == Optimizer(use="adam", lr=2e-4, betas=(0.5, 0.999))


def test_keys_of_the_recipe_and_options_of_the_loss_stand_beside_each_other(workshop):
    found = read(
        workshop,
        "{use: toy/hinge, margin: 2, weight: 0.05, clip: 0.01, d_steps: 5, warmup_steps: 7, conditional: false, "
        "placebo: frozen}",
    )
    changes = {"weight": 0.05, "clip": 0.01, "d_steps": 5, "warmup_steps": 7, "conditional": False, "placebo": "frozen"}
    assert found == PLAIN.model_copy(update={"options": {"margin": 2.0, "flip": False}, **changes})


def test_every_key_is_reserved_so_that_no_option_can_hide_behind_it():
    assert {*ADVERSARIAL_KEYS, *PENALTY_KEYS, "use", "pseudo_labels_from"} == RESERVED_OPTIONS


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("smoothed", Encoding(use="smoothed")),
        ("{use: smoothed, smoothing: 0.2}", Encoding(use="smoothed", smoothing=0.2)),
        ("{use: scaled, tau: 0.7}", Encoding(use="scaled", tau=0.7)),
        ("null", Encoding()),
    ],
)
def test_an_encoding_is_a_name_or_a_mapping(workshop, given, meant):
    assert read(workshop, f"{{use: hinge, encoding: {given}}}").encoding == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("null", None),
        ("slope", Penalty(use="toy/slope", options={"target": 1.0})),
        (
            "{use: slope, weight: 5, every: 16, target: 0}",
            Penalty(use="toy/slope", options={"target": 0.0}, weight=5, every=16),
        ),
    ],
)
def test_a_penalty_is_a_name_or_a_mapping(workshop, given, meant):
    assert read(workshop, f"{{use: hinge, penalty: {given}}}").penalty == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("{lr: 1e-4}", Optimizer(use="adam", lr=1e-4, betas=(0.5, 0.999))),
        ("adam", Optimizer(use="adam", lr=2e-4, betas=(0.5, 0.999))),
        ("{betas: [0, 0.9]}", Optimizer(use="adam", lr=2e-4, betas=(0, 0.9))),
        ("{betas: null}", Optimizer(use="adam", lr=2e-4)),
        ("{use: rmsprop, lr: 5e-5}", Optimizer(use="rmsprop", lr=5e-5)),
        ("sgd", Optimizer(use="sgd", lr=1e-3)),
        ("null", Optimizer(use="adam", lr=2e-4, betas=(0.5, 0.999))),
    ],
)
def test_settings_of_the_discriminators_optimizer_are_laid_over_the_default(workshop, given, meant):
    assert read(workshop, f"{{use: hinge, optimizer: {given}}}").optimizer == meant


def test_a_method_changes_what_it_inherits(workshop):
    text = CRITIC.format("{use: hinge, margin: 2, weight: 0.5, penalty: {use: slope, weight: 3}}")
    more = "more: {extends: net, adversarial: {weight: 0, penalty: {every: 4}, optimizer: {lr: 1}}}"
    found = workshop.methods(text + more).methods["more"].adversarial
    assert (found.weight, found.options["margin"], found.optimizer.lr) == (0, 2.0, 1.0)
    assert (found.penalty.weight, found.penalty.every) == (3, 4)


def test_a_weight_of_one_kind_takes_the_place_of_one_of_another_kind(workshop):
    text = CRITIC.format("{use: hinge, weight: {ratio: 0.1}}")
    more = (
        "more: {extends: net, adversarial: {weight: {like: net}}}\n"
        "most: {extends: more, adversarial: {weight: {ratio: 0.5}}}\n"
        "fixed: {extends: most, adversarial: {weight: 1}}\n"
    )
    methods = workshop.methods(text + more, sets=["methods.fixed.adversarial.weight.ratio=2"]).methods
    found = {name: (method.adversarial.ratio, method.adversarial.like) for name, method in methods.items()}
    assert found == {"net": (0.1, None), "more": (None, "net"), "most": (0.5, None), "fixed": (2.0, None)}
    assert methods["most"].adversarial.model_dump()["weight"] == {"ratio": 0.5}


@pytest.mark.parametrize(
    ("adversarial", "message"),
    [
        ("3", "adversarial: must be the name of a loss, or {use: NAME, option: value}, not the number 3"),
        ("{weight: 1}", "adversarial: must name its loss: {use: NAME, option: value}"),
        (
            "entropy",
            "adversarial: loss toy/entropy has the role 'supervised'; under adversarial: must be one with "
            "'adversarial'",
        ),
        (
            "{use: slope}",
            "adversarial.use: loss toy/slope has the role 'penalty'; under adversarial: must be one with 'adversarial'",
        ),
        (
            "{use: hinge, penalty: {use: calm}}",
            "adversarial.penalty.use: loss toy/calm has the role 'unlabelled'; under penalty: must be one with "
            "'penalty'",
        ),
        (
            "{use: hinge, wieght: 1}",
            "adversarial.wieght: loss toy/hinge has no option 'wieght'. Did you mean 'weight'? Available: margin, "
            "flip, weight, penalty, clip, d_steps, alternate, optimizer, warmup_steps, encoding, conditional, placebo.",
        ),
        (
            "{use: hinge, penalty: {use: slope, evry: 2}}",
            "adversarial.penalty.evry: loss toy/slope has no option 'evry'. Did you mean 'every'? Available: target, "
            "weight, every.",
        ),
        (
            "{use: hinge, margin: x}",
            "adversarial.margin: option 'margin' of loss toy/hinge must be float, but 'x' was given",
        ),
        ("{use: hinge, weight: -1}", "adversarial.weight: must be greater than or equal to 0, not the number -1"),
        ("{use: hinge, weight: true}", "adversarial.weight: must be a valid number, not true"),
        ("{use: hinge, weight: {ratio: 0}}", "adversarial.weight.ratio: must be greater than 0, not the number 0"),
        ("{use: hinge, weight: {share: 1}}", "adversarial.weight.share: unknown key 'share'. Available: ratio, like."),
        ("{use: hinge, weight: {}}", "adversarial.weight: write a number, {ratio: NUMBER} or {like: METHOD}"),
        ("{use: hinge, clip: 0}", "adversarial.clip: must be greater than 0, not the number 0"),
        ("{use: hinge, d_steps: 0}", "adversarial.d_steps: must be greater than 0, not the number 0"),
        ("{use: hinge, d_steps: 1.5}", "adversarial.d_steps: must be a valid integer, not the number 1.5"),
        ("{use: hinge, warmup_steps: -1}", "adversarial.warmup_steps: must be greater than or equal to 0, not the"),
        ("{use: hinge, conditional: 1}", "adversarial.conditional: must be true or false, not the number 1"),
        (
            "{use: hinge, placebo: sleepy}",
            "adversarial.placebo: unknown value 'sleepy'. Available: frozen, shuffled, noise, detached.",
        ),
        ("{use: hinge, penalty: {use: slope, weight: 0}}", "adversarial.penalty.weight: must be greater than 0, not"),
        ("{use: hinge, penalty: {use: slope, every: 0}}", "adversarial.penalty.every: must be greater than 0, not"),
        ("{use: hinge, optimizer: {lr: 0}}", "adversarial.optimizer.lr: must be greater than 0, not the number 0"),
        ("{use: hinge, optimizer: {use: sgd, betas: [0, 0.9]}}", "adversarial.optimizer: sgd has no betas"),
        ("{use: hinge, clip: 0.01, optimizer: {freeze: a.*}}", "adversarial: clip bounds every weight of the discri"),
        ("{use: hinge, optimizer: {rate: 1}}", "adversarial.optimizer.rate: unknown key 'rate'. Available: use, lr"),
        (
            "{use: hinge, encoding: hard}",
            "adversarial.encoding.use: unknown value 'hard'. Available: one_hot, smoothed, product, scaled, "
            "confidence_matched, straight_through.",
        ),
        (
            "{use: hinge, encoding: {use: smoothed, smoothing: 1}}",
            "adversarial.encoding.smoothing: must be less than 1",
        ),
        ("{use: hinge, encoding: {use: scaled, smoothing: 0.2}}", "adversarial.encoding: scaled has no smoothing"),
        ("{use: hinge, encoding: {tau: 0.5}}", "adversarial.encoding: straight_through has no tau"),
        ("{use: hinge, encoding: {tua: 0.5}}", "adversarial.encoding.tua: unknown key 'tua'. Did you mean 'tau'? "),
        (
            "{use: hinge, d_steps: 2, alternate: 500}",
            "adversarial: give d_steps or alternate, not both: with alternate: 500 the discriminator takes 500 steps "
            "and then the generator as many",
        ),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(workshop, adversarial, message):
    assert refusal(workshop, adversarial).startswith(f"bench.yaml:13: methods.net.{message}")


def test_a_clip_beside_a_penalty_is_allowed(workshop):
    found = read(workshop, "{use: hinge, clip: 0.01, penalty: slope}")
    assert (found.clip, found.penalty.use) == (0.01, "toy/slope")


def test_names_become_full_and_options_complete(workshop):
    method = workshop.methods("net: {generator: {use: net, width: 3}, losses: [entropy]}").methods["net"]
    assert method.generator == ComponentUse(use="toy/net", options={"width": 3, "encoder": "none"})
    assert method.losses == (WeightedLoss(use="toy/entropy", options={"smooth": 0.0}, weight=1.0),)


def test_an_unknown_component_keeps_the_text_of_the_registry(workshop):
    message = workshop.methods_refusal("\nnet:\n  generator: {use: toy/nett}\n  losses: [toy/entropy]")
    assert message.startswith(
        "bench.yaml:10: methods.net.generator.use: unknown generator 'toy/nett'. Did you mean 'toy/net'?"
    )


def test_a_component_of_a_broken_plugin_tells_what_is_broken(workshop):
    message = workshop.methods_refusal("net: {generator: ruined/net, losses: [toy/entropy]}")
    assert "methods.net.generator: generator 'ruined/net' is not available: plugin 'ruined'" in message
    assert "boom" in message


def test_an_unknown_option_has_the_line_of_the_option(workshop):
    assert workshop.methods_refusal("net:\n  generator:\n    use: net\n    widht: 3\n  losses: [entropy]") == (
        "bench.yaml:12: methods.net.generator.widht: generator toy/net has no option 'widht'. Did you mean "
        "'width'? Available: width, encoder."
    )


def test_a_wrong_option_has_the_line_of_the_option(workshop):
    message = workshop.methods_refusal(
        "net:\n  generator:\n    use: net\n    width: 3\n    encoder: tiny\n  losses: [entropy]"
    )
    assert message.startswith(
        "bench.yaml:13: methods.net.generator.encoder: option 'encoder' of generator toy/net: unknown "
    )


def test_of_two_wrong_options_the_first_is_reported(workshop):
    message = workshop.methods_refusal("net: {generator: {use: net, encoder: tiny, width: x}, losses: [entropy]}")
    assert "methods.net.generator.width: option 'width'" in message


def test_a_missing_option_has_the_line_of_the_component(workshop):
    message = workshop.methods_refusal("net:\n  generator: net\n  losses:\n    - entropy\n    - tuned")
    assert message == (
        "bench.yaml:13: methods.net.losses.1: option 'rate' of loss toy/tuned is missing; it is required and of type "
        "float."
    )


def test_a_library_that_is_missing_is_reported_with_the_cure(workshop):
    message = workshop.methods_refusal("net: {generator: heavy, losses: [entropy]}")
    assert "methods.net.generator: generator toy/heavy needs no-such-library" in message
    assert "pip install 'toy-plugin[heavy]'" in message


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ("3", "must be the name of a generator, or {use: NAME, option: value}, not the number 3"),
        ("[net]", "must be the name of a generator, or {use: NAME, option: value}, not a list"),
        ("{width: 3}", "must name its generator: {use: NAME, option: value}"),
        ("{use: 3}", "must be the name of a generator, not the number 3"),
        ("{use: net, weight: 2}", "generator toy/net has no option 'weight'"),
    ],
)
def test_a_generator_is_a_name_or_a_mapping(workshop, generator, message):
    assert message in workshop.methods_refusal(f"net: {{generator: {generator}, losses: [entropy]}}")


def test_the_path_of_a_file_is_relative_to_the_benchmark_file(workshop):
    weights = workshop.path.parent / "w.safetensors"
    weights.touch()
    method = workshop.methods("net: {generator: {use: pretrained, weights: ./w.safetensors}, losses: [entropy]}")
    assert method.methods["net"].generator.options == {"weights": str(weights.resolve())}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("gone/w.pth", "gone/w.pth; a relative path begins at the folder of the file it is written in"),
        ("/gone.safetensors", "/gone.safetensors"),
    ],
)
def test_a_file_of_weights_must_be_there(workshop, written, told):
    method = f"net: {{generator: {{use: pretrained, weights: {written}}}, losses: [entropy]}}"
    assert workshop.methods_refusal(method).endswith(f"weights: there is no file {told}")


def test_a_path_of_a_folder_starts_where_its_file_lies_if_it_is_written_as_a_path(workshop):
    folder = workshop.path.parent / "segformer"
    folder.mkdir()
    for written, expected in (("./segformer", str(folder.resolve())), ("segformer", "segformer"), ("./b", "./b")):
        method = workshop.methods(f"net: {{generator: {{use: pretrained, weights: {written}}}, losses: [entropy]}}")
        assert method.methods["net"].generator.options == {"weights": expected}


def test_text_that_names_no_file_stays_as_it_is(workshop):
    method = workshop.methods("net: {generator: {use: pretrained, weights: in1k.a1}, losses: [entropy]}")
    assert method.methods["net"].generator.options == {"weights": "in1k.a1"}


BASE = """
base: {generator: net, losses: [entropy], labels: {fraction: 0.5}}
synth: {generator: synthesizer, discriminator: critic, adversarial: hinge}
"""


def read_training_data(workshop, more, **choice):
    return workshop.methods(f"{BASE}more: {{extends: base, {more}}}", **choice).methods["more"]


def refusal_training_data(workshop, more):
    message = workshop.methods_refusal(f"{BASE}more: {{extends: base, {more}}}")
    assert message.startswith("bench.yaml:11: methods.more.")
    return message.removeprefix("bench.yaml:11: methods.more.")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("base", Refines(method="base", folds=5)),
        ("{method: base}", Refines(method="base", folds=5)),
        ("{method: base, folds: 2}", Refines(method="base", folds=2)),
    ],
)
def test_what_is_refined_is_a_name_or_a_mapping(workshop, given, meant):
    assert read_training_data(workshop, f"generator: refiner, refines: {given}").refines == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("3", "refines: must be a mapping with keys of method, folds, not the number 3"),
        ("{folds: 5}", "refines.method: is missing"),
        ("{method: base, folds: 1}", "refines.folds: must be greater than or equal to 2, not the number 1"),
        (
            "{method: base, fold: 3}",
            "refines.fold: unknown key 'fold'. Did you mean 'folds'? Available: method, folds.",
        ),
    ],
)
def test_what_is_refined_is_reported_where_it_is_wrong(workshop, given, message):
    assert refusal_training_data(workshop, f"generator: refiner, refines: {given}").startswith(message)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("{synthetic: synth}", TrainsOn(synthetic="synth", share=0.5)),
        ("{synthetic: synth, share: 0}", TrainsOn(synthetic="synth", share=0.0)),
        ("{synthetic: synth, share: 1}", TrainsOn(synthetic="synth", share=1.0)),
    ],
)
def test_synthetic_samples_take_a_share(workshop, given, meant):
    assert read_training_data(workshop, f"trains_on: {given}").trains_on == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("synth", "trains_on: must be a mapping with keys of synthetic, share, not the text 'synth'"),
        ("{share: 0.5}", "trains_on.synthetic: is missing"),
        ("{synthetic: synth, share: 1.5}", "trains_on.share: must be less than or equal to 1, not the number 1.5"),
    ],
)
def test_synthetic_samples_are_reported_where_they_are_wrong(workshop, given, message):
    assert refusal_training_data(workshop, f"trains_on: {given}") == message


@pytest.mark.parametrize(
    ("given", "meant"),
    [("0.125", (0.125,)), ("1", (1.0,)), ("[0.5]", (0.5,)), ("[1, 0.125, 0.25]", (1.0, 0.125, 0.25))],
)
def test_a_fraction_of_the_labels_is_one_number_or_several(workshop, given, meant):
    assert read_training_data(workshop, f"labels: {{fraction: {given}}}").labels == meant


def test_all_labels_are_used_by_default(workshop):
    assert read_training_data(workshop, "labels: null").labels == (1.0,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0.5", "labels: must be a mapping such as {fraction: 0.125}, not the number 0.5"),
        ("{part: 0.5}", "labels.part: unknown key 'part'. Available: fraction."),
        ("{fraction: 0}", "labels.fraction: must be a number greater than 0 and at most 1, not the number 0"),
        ("{fraction: [0.5, 0]}", "labels.fraction.1: must be a number greater than 0 and at most 1, not the number 0"),
        ("{fraction: 1.5}", "labels.fraction: must be a number greater than 0 and at most 1, not the number 1.5"),
        ("{fraction: true}", "labels.fraction: must be a number greater than 0 and at most 1, not true"),
        ("{fraction: half}", "labels.fraction: must be a number greater than 0 and at most 1, not the text 'half'"),
        ("{fraction: []}", "labels.fraction: there is no fraction; give at least one, such as [0.125, 1]"),
        ("{fraction: [1, 0.5, 1.0]}", "labels.fraction.2: the fraction 1.0 is listed twice"),
    ],
)
def test_a_wrong_fraction_is_reported_with_its_place(workshop, given, message):
    assert refusal_training_data(workshop, f"labels: {given}") == message


def test_labels_need_a_fraction(workshop):
    message = workshop.methods_refusal("base: {generator: net, losses: [entropy], labels: {}}")
    assert message == (
        "bench.yaml:9: methods.base.labels: must say which fraction of the labels: {fraction: 0.125}, or several: "
        "{fraction: [0.125, 1]}"
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("calm", UnlabelledTerm(loss=ComponentUse(use="toy/calm", options={"threshold": 0.5}))),
        (
            "{use: calm, threshold: 0.25, weight: 2}",
            UnlabelledTerm(loss=ComponentUse(use="toy/calm", options={"threshold": 0.25}), weight=2),
        ),
        ("{pseudo_labels_from: base}", UnlabelledTerm(pseudo_labels_from="base", threshold=0.9, weight=1)),
        (
            "{pseudo_labels_from: base, threshold: 0, weight: 0.5}",
            UnlabelledTerm(pseudo_labels_from="base", threshold=0, weight=0.5),
        ),
        ("{use: null, pseudo_labels_from: base}", UnlabelledTerm(pseudo_labels_from="base")),
    ],
)
def test_unlabelled_images_have_a_loss_or_the_labels_of_a_method(workshop, given, meant):
    assert read_training_data(workshop, f"unlabelled: {given}").unlabelled == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "3",
            "unlabelled: must be the name of a loss, {use: LOSS, option: value} or {pseudo_labels_from: METHOD}, not "
            "the number 3",
        ),
        ("{weight: 1}", "unlabelled: must have either use: LOSS or pseudo_labels_from: METHOD"),
        (
            "{use: calm, pseudo_labels_from: base}",
            "unlabelled: must have either use: LOSS or pseudo_labels_from: METHOD",
        ),
        (
            "entropy",
            "unlabelled: loss toy/entropy has the role 'supervised'; under unlabelled: must be one with 'unlabelled'",
        ),
        ("{use: calm, weight: 0}", "unlabelled.weight: must be greater than 0, not the number 0"),
        (
            "{pseudo_labels_from: base, margin: 1}",
            "unlabelled.margin: unknown key 'margin'. Available: pseudo_labels_from, threshold, weight.",
        ),
        (
            "{pseudo_labels_from: base, threshold: 2}",
            "unlabelled.threshold: must be less than or equal to 1, not the number 2",
        ),
    ],
)
def test_an_unlabelled_term_is_reported_where_it_is_wrong(workshop, given, message):
    assert refusal_training_data(workshop, f"unlabelled: {given}") == message
