from __future__ import annotations

import pytest

from segbench.config.methods import list_differences
from segbench.config.recipe import NOISY_MAPS
from segbench.contract import MAPS

BASE = """
base: {generator: {use: net, width: 3}, losses: [entropy]}
"""


def test_a_method_overrides_protocol_keys(workshop):
    text = (
        BASE
        + "fast: {extends: base, protocol: {budget: {epochs: 2}, optimizer: {lr: 0.5}, crop: [8, 8], batch_size: 8}}"
    )
    fast = workshop.methods(text).methods["fast"]
    assert (fast.protocol.budget.epochs, fast.protocol.budget.steps) == (2, None)
    assert (fast.protocol.optimizer.use, fast.protocol.optimizer.lr) == ("adamw", 0.5)
    assert fast.overrides == ("budget.epochs", "budget.steps", "crop", "optimizer.lr")


def test_an_override_is_inherited(workshop):
    text = "a: {generator: net, losses: [entropy], protocol: {batch_size: 2}}\nb: {extends: a}"
    assert workshop.methods(text).methods["b"].overrides == ("batch_size",)


def test_a_wrong_override_has_its_own_line(workshop):
    message = workshop.methods_refusal("a:\n  generator: net\n  losses: [entropy]\n  protocol:\n    batch_size: x")
    assert message == "bench.yaml:13: methods.a.protocol.batch_size: must be a valid integer, not the text 'x'"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("{losses: [entropy]}", "bench.yaml:9: methods.a.generator: is missing"),
        ("{generator: net}", "bench.yaml:9: methods.a.losses: is missing; there is nothing to train this method with"),
        ("{}", "bench.yaml:9: methods.a.generator: is missing"),
        ("net", "bench.yaml:9: methods.a: must be a mapping with keys of generator, losses"),
        ("", "bench.yaml:9: methods.a: must be a mapping with keys of generator, losses"),
        ("{extends: [b]}", "bench.yaml:9: methods.a.extends: must be the name of a method, not a list"),
        ("{generator: net, losses: [dice], start_from: 1}", "methods.a.start_from: must be the name of a method, not"),
        ("{extends: b}", "bench.yaml:9: methods.a.extends: there is no method 'b'. Available: a."),
        (
            "{generator: net, losses: [dice], start_from: b}",
            "methods.a.start_from: there is no method 'b'. Available: a.",
        ),
        ("{generator: net, losses: [dice], start_from: a}", "cyclic reference: a -> a"),
        ("{extends: a}", "cyclic reference: a -> a"),
    ],
)
def test_a_method_that_is_wrong_is_refused(workshop, method, message):
    assert message in workshop.methods_refusal(f"a: {method}")


CHAIN = (
    BASE
    + "second: {extends: base, start_from: base}\nthird: {extends: base, start_from: second}\nfourth: {extends: third}"
)


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        (["base"], ["base"]),
        (["third"], ["base", "second", "third"]),
        (["third", "base"], ["base", "second", "third"]),
        (["fourth"], ["base", "second", "fourth"]),
        ([], ["base", "second", "third", "fourth"]),
    ],
)
def test_only_some_methods_are_kept_with_what_they_need(workshop, only, kept):
    assert list(workshop.methods(CHAIN, only=only).methods) == kept


def test_an_unknown_method_is_refused_with_the_nearest(workshop):
    assert workshop.methods_refusal(CHAIN, only=["thirt"]) == (
        "--only thirt: there is no method 'thirt'. Did you mean 'third'? Available: base, second, third, fourth."
    )


def test_a_method_that_is_left_out_may_need_what_is_not_installed(workshop):
    text = BASE + "heavy: {generator: heavy, losses: [entropy]}\nruined: {generator: ruined/x, losses: [entropy]}"
    assert list(workshop.methods(text, only=["base"]).methods) == ["base"]


def test_differences_are_named_by_their_paths():
    first = {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 1}, "g": 1}
    second = {"a": 1, "b": {"c": 2, "d": 4}, "e": None, "h": 1}
    assert list_differences(first, second) == ["b.d", "e", "g", "h"]
    assert list_differences(first, first) == []


CRITIC = """
net: {generator: net, losses: [entropy]}
net+critic: {extends: net, discriminator: critic, adversarial: hinge}
synth: {generator: {use: synthesizer}, discriminator: critic, adversarial: hinge, latent_channels: 7}
"""


def test_latent_channels_are_given(workshop):
    assert workshop.methods(CRITIC).methods["synth"].latent_channels == 7


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "true", "x", "[3]"])
def test_latent_channels_are_a_whole_number(workshop, given):
    message = workshop.methods_refusal(CRITIC, sets=[f"methods.synth.latent_channels={given}"])
    assert "methods.synth.latent_channels: must be a whole number of at least 1, not " in message


def test_what_is_needed_for_any_reason_is_kept(workshop):
    text = (
        CRITIC
        + """
half: {extends: net, labels: {fraction: 0.5}}
fine: {generator: refiner, losses: [entropy], refines: net+critic}
made: {extends: net, trains_on: {synthetic: synth}}
labelled: {extends: half, unlabelled: {pseudo_labels_from: fine}}
"""
    )
    assert list(workshop.methods(text, only=["made"]).methods) == ["synth", "made"]
    assert list(workshop.methods(text, only=["labelled"]).methods) == ["net+critic", "fine", "labelled"]


# What the methods under test refer to; the method under test then stands on line 12.
OTHERS = """
net: {generator: net, losses: [entropy]}
synth: {generator: synthesizer, discriminator: critic, adversarial: hinge}
"""

GENERATORS = {
    "image -> labels": "net",
    "image, labels -> labels": "refiner",
    "image -> image": "colours",
    "labels -> image": "synthesizer",
    "noise -> image": "painter",
    "noise -> image, labels": "joint",
}

CRITIC_OF_FIT = "discriminator: critic, adversarial: hinge"
REFINER = "generator: refiner, losses: [entropy], refines: net"


def read(workshop, recipe):
    return workshop.methods(f"{OTHERS}a: {{{recipe}}}").methods["a"]


def refusal(workshop, recipe):
    message = workshop.methods_refusal(f"{OTHERS}a: {{{recipe}}}")
    assert message.startswith("bench.yaml:11: methods.a.")
    return message.removeprefix("bench.yaml:11: methods.a.")


def needed(maps):
    """Return a recipe with what a generator needs at least."""
    refines = ", refines: net" if maps == "image, labels -> labels" else ""
    return f"generator: {GENERATORS[maps]}, {CRITIC_OF_FIT}{refines}"


@pytest.mark.parametrize("maps", MAPS)
def test_whatever_a_generator_maps_a_discriminator_can_train_it(workshop, maps):
    method = read(workshop, needed(maps))
    assert (method.maps, method.losses, method.is_trained) == (maps, (), True)


@pytest.mark.parametrize("maps", ["image -> labels", "image, labels -> labels", "image -> image", "labels -> image"])
def test_what_has_a_right_answer_can_have_losses_beside_a_discriminator(workshop, maps):
    assert read(workshop, f"{needed(maps)}, losses: [entropy]").losses


@pytest.mark.parametrize("generator", ["net", "colours", "synthesizer", "painter"])
def test_a_discriminator_needs_an_adversarial_loss(workshop, generator):
    assert refusal(workshop, f"generator: {generator}, losses: [entropy], discriminator: critic") == (
        "discriminator: there is a discriminator, but no adversarial loss to train it by; add adversarial: {use: LOSS, "
        "weight: 0.05}"
    )


@pytest.mark.parametrize("generator", ["net", "colours", "synthesizer", "painter"])
def test_an_adversarial_loss_needs_a_discriminator(workshop, generator):
    assert refusal(workshop, f"generator: {generator}, losses: [entropy], adversarial: hinge") == (
        "adversarial: there is an adversarial loss, but no discriminator that it could train; add discriminator: NAME"
    )


@pytest.mark.parametrize("maps", ["labels -> image", "noise -> image", "noise -> image, labels"])
def test_what_makes_images_needs_a_discriminator(workshop, maps):
    generator = GENERATORS[maps]
    assert refusal(workshop, f"generator: {generator}, losses: [entropy]") == (
        f"generator: generator toy/{generator} maps {maps!r}, so only a discriminator can train it; add discriminator: "
        "NAME and adversarial: {use: LOSS}"
    )


@pytest.mark.parametrize("maps", ["noise -> image", "noise -> image, labels"])
def test_of_noise_there_is_nothing_to_compare_with(workshop, maps):
    assert refusal(workshop, f"{needed(maps)}, losses: [entropy]") == (
        f"losses: generator toy/{GENERATORS[maps]} maps {maps!r}: noise has no right answer for a loss to compare "
        "with; remove losses"
    )


@pytest.mark.parametrize("generator", ["net", "colours"])
def test_a_method_is_trained_by_something(workshop, generator):
    assert refusal(workshop, f"generator: {generator}") == (
        "losses: is missing; there is nothing to train this method with: give it losses, or a discriminator and an "
        "adversarial loss"
    )


@pytest.mark.parametrize("maps", ["colours", "synthesizer"])
def test_losses_of_images_weigh_no_classes(workshop, maps):
    loss = "{use: weighed, class_weights: inverse_square_root}"
    message = workshop.methods_refusal(
        f"net: {{generator: {maps}, losses: [{loss}], discriminator: critic, adversarial: hinge}}"
    )
    assert message.startswith(f"bench.yaml:9: methods.net.losses.0.class_weights: generator toy/{maps} maps ")
    assert message.endswith(", and losses of images weigh no classes; remove it")


def test_a_refiner_may_be_untrained(workshop):
    method = read(workshop, "generator: refiner, refines: net")
    assert not method.is_trained


def test_a_refiner_needs_predictions(workshop):
    assert refusal(workshop, "generator: refiner, losses: [entropy]") == (
        "generator: generator toy/refiner maps 'image, labels -> labels', so it needs predictions that it can refine; "
        "add refines: METHOD"
    )


@pytest.mark.parametrize("maps", [maps for maps in MAPS if maps != "image, labels -> labels"])
def test_only_a_refiner_refines(workshop, maps):
    assert refusal(workshop, f"{needed(maps)}, refines: net") == (
        f"refines: generator toy/{GENERATORS[maps]} maps {maps!r}; only what maps 'image, labels -> labels' refines "
        "predictions"
    )


FORMER = CRITIC.replace("latent_channels", "noise_channels")


def test_the_former_name_of_latent_channels_is_read_with_one_notice(workshop):
    loaded = workshop.methods(f"{FORMER}\nother: {{extends: synth, noise_channels: 9}}")
    assert [loaded.methods[name].latent_channels for name in ("synth", "other")] == [7, 9]
    (notice,) = loaded.notices
    for word in ("methods.synth.noise_channels", "methods.other.noise_channels", "is now called latent_channels"):
        assert word in notice
    assert workshop.methods(CRITIC).notices == ()


def test_a_setting_may_use_the_former_name_of_latent_channels(workshop):
    loaded = workshop.methods(CRITIC.replace(", latent_channels: 7", ""), sets=["methods.synth.noise_channels=9"])
    assert loaded.methods["synth"].latent_channels == 9
    assert loaded.notices[0].startswith("--set methods.synth.noise_channels=9: methods.synth.noise_channels: ")


def test_both_names_of_latent_channels_are_one_too_many(workshop):
    message = workshop.methods_refusal(FORMER, sets=["methods.synth.latent_channels=9"])
    assert "methods.synth.noise_channels: this is the former name of latent_channels, which is given too" in message


@pytest.mark.parametrize("maps", MAPS)
def test_only_what_is_fed_noise_has_latent_channels(workshop, maps):
    if maps in NOISY_MAPS:
        assert read(workshop, f"{needed(maps)}, latent_channels: 8").latent_channels == 8
    else:
        assert refusal(workshop, f"{needed(maps)}, latent_channels: 8") == (
            f"latent_channels: generator toy/{GENERATORS[maps]} maps {maps!r} and takes no noise; that is for "
            "generators that map 'labels -> image', 'noise -> image', 'noise -> image, labels'"
        )


@pytest.mark.parametrize("maps", MAPS)
def test_only_probabilities_of_classes_are_multiplied_with_the_image(workshop, maps):
    recipe = needed(maps).replace("hinge", "{use: hinge, encoding: product}")
    if maps in ("image -> labels", "image, labels -> labels"):
        assert read(workshop, recipe).adversarial.encoding.use == "product"
    else:
        assert refusal(workshop, recipe) == (
            f"adversarial.encoding: generator toy/{GENERATORS[maps]} maps {maps!r}; product multiplies the "
            "probabilities of classes with the image, so it is for generators that map 'image -> labels', 'image, "
            "labels -> labels'"
        )


@pytest.mark.parametrize("maps", ["image -> labels", "image -> image"])
def test_what_makes_labels_trains_on_synthetic_samples(workshop, maps):
    assert read(workshop, f"{needed(maps)}, trains_on: {{synthetic: synth}}").trains_on.synthetic == "synth"


@pytest.mark.parametrize("maps", ["labels -> image", "noise -> image", "noise -> image, labels"])
def test_what_makes_images_does_not_train_on_synthetic_samples(workshop, maps):
    assert refusal(workshop, f"{needed(maps)}, trains_on: {{synthetic: synth}}") == (
        f"trains_on: generator toy/{GENERATORS[maps]} maps {maps!r}; only what makes labels trains on synthetic samples"
    )


def test_a_refiner_does_not_train_on_synthetic_samples(workshop):
    assert refusal(workshop, f"{REFINER}, trains_on: {{synthetic: synth}}") == (
        "trains_on: generator toy/refiner maps 'image, labels -> labels', and of synthetic samples there are no "
        "predictions"
    )


@pytest.mark.parametrize("term", ["calm", "{pseudo_labels_from: net}"])
@pytest.mark.parametrize("labels", ["", ", labels: {fraction: 1}"])
def test_without_a_fraction_there_are_no_unlabelled_images(workshop, term, labels):
    assert refusal(workshop, f"generator: net, losses: [entropy], unlabelled: {term}{labels}") == (
        "unlabelled: there are no unlabelled images, since all labels are used; add labels: {fraction: 0.125}, or "
        "several fractions, of which one is less than 1"
    )


@pytest.mark.parametrize("term", ["calm", "{pseudo_labels_from: net}"])
def test_one_fraction_below_one_is_enough_for_unlabelled_images(workshop, term):
    recipe = f"generator: net, losses: [entropy], labels: {{fraction: [1, 0.5]}}, unlabelled: {term}"
    assert read(workshop, recipe).unlabelled is not None


@pytest.mark.parametrize("maps", [maps for maps in MAPS if maps != "image -> labels"])
def test_a_loss_of_unlabelled_images_is_for_what_gives_probabilities_of_images_alone(workshop, maps):
    assert refusal(workshop, f"{needed(maps)}, labels: {{fraction: 0.5}}, unlabelled: calm") == (
        f"unlabelled: generator toy/{GENERATORS[maps]} maps {maps!r}; this term is for generators that map "
        "'image -> labels'"
    )


@pytest.mark.parametrize("maps", [maps for maps in MAPS if maps not in ("image -> labels", "image -> image")])
def test_pseudo_labels_are_for_what_makes_labels(workshop, maps):
    recipe = f"{needed(maps)}, labels: {{fraction: 0.5}}, unlabelled: {{pseudo_labels_from: net}}"
    assert refusal(workshop, recipe) == (
        f"unlabelled: generator toy/{GENERATORS[maps]} maps {maps!r}; this term is for generators that map "
        "'image -> labels', 'image -> image'"
    )


def test_pseudo_labels_serve_what_paints_labels_too(workshop):
    recipe = f"{needed('image -> image')}, labels: {{fraction: 0.5}}, unlabelled: {{pseudo_labels_from: net}}"
    assert read(workshop, recipe).unlabelled.pseudo_labels_from == "net"


BASES = """
net: {generator: net, losses: [entropy]}
fine: {generator: refiner, losses: [entropy], refines: net}
colours: {generator: colours, losses: [entropy]}
synth: {generator: synthesizer, discriminator: critic, adversarial: hinge}
painter: {generator: painter, discriminator: critic, adversarial: hinge}
joint: {generator: joint, discriminator: critic, adversarial: hinge}
classical: {generator: refiner, refines: net}
"""

# One method that needs METHOD for each reason, and where it says so.
NEEDING = {
    "start_from": ("a: {generator: net, losses: [entropy], start_from: METHOD}", "start_from"),
    "refines": ("a: {generator: refiner, refines: METHOD}", "refines"),
    "trains_on": ("a: {generator: net, losses: [entropy], trains_on: {synthetic: METHOD}}", "trains_on.synthetic"),
    "pseudo_labels_from": (
        "a: {generator: net, losses: [entropy], labels: {fraction: 0.5}, unlabelled: {pseudo_labels_from: METHOD}}",
        "unlabelled.pseudo_labels_from",
    ),
}

MAKES_LABELS = ["net", "fine", "colours", "classical"]
MAKES_LABELLED_IMAGES = ["synth", "joint"]

ALL = {
    "net": "image -> labels",
    "fine": "image, labels -> labels",
    "colours": "image -> image",
    "synth": "labels -> image",
    "painter": "noise -> image",
    "joint": "noise -> image, labels",
    "classical": "image, labels -> labels",
}


def needing(reason, method):
    return f"{BASES}{NEEDING[reason][0].replace('METHOD', method)}"


@pytest.mark.parametrize(
    ("reason", "method"),
    [
        *(("start_from", method) for method in ALL),
        *((reason, method) for reason in ("refines", "pseudo_labels_from") for method in MAKES_LABELS),
        *(("trains_on", method) for method in MAKES_LABELLED_IMAGES),
    ],
)
def test_a_method_that_gives_what_is_needed_may_be_named(workshop, reason, method):
    assert workshop.methods(needing(reason, method)).methods["a"].upstream == {reason: method}


@pytest.mark.parametrize(
    ("reason", "method"),
    [(reason, method) for reason in ("refines", "pseudo_labels_from") for method in ALL if method not in MAKES_LABELS],
)
def test_predictions_come_from_what_makes_labels(workshop, reason, method):
    assert workshop.methods_refusal(needing(reason, method)) == (
        f"bench.yaml:16: methods.a.{NEEDING[reason][1]}: {method!r} maps {ALL[method]!r}; this key takes a method that "
        "maps 'image -> labels', 'image, labels -> labels', 'image -> image'"
    )


@pytest.mark.parametrize("method", [method for method in ALL if method not in MAKES_LABELLED_IMAGES])
def test_synthetic_samples_come_from_what_makes_images_whose_labels_are_known(workshop, method):
    assert workshop.methods_refusal(needing("trains_on", method)) == (
        f"bench.yaml:16: methods.a.trains_on.synthetic: {method!r} maps {ALL[method]!r}; this key takes a method that "
        "maps 'labels -> image', 'noise -> image, labels'"
    )


@pytest.mark.parametrize("method", [method for method in ALL if method != "classical"])
def test_a_method_may_train_as_long_as_any_other_that_is_trained(workshop, method):
    text = f"{BASES}a: {{generator: net, losses: [entropy], protocol: {{budget: {{like: {method}, in: seconds}}}}}}"
    assert workshop.methods(text).methods["a"].upstream == {"budget": method}
    nothing_kept = [f"methods.{method}.protocol.keep.model=none"]
    assert workshop.methods(text, sets=nothing_kept, only=["a"]).methods["a"].upstream == {"budget": method}


def test_what_is_not_trained_takes_no_seconds(workshop):
    text = f"{BASES}a: {{generator: net, losses: [entropy], protocol: {{budget: {{like: classical}}}}}}"
    assert workshop.methods_refusal(text) == (
        "bench.yaml:16: methods.a.protocol.budget.like: 'classical' is not trained, so there are no seconds to train "
        "as long as"
    )


@pytest.mark.parametrize("reason", ["refines", "trains_on", "pseudo_labels_from"])
def test_what_shares_its_images_with_another_method_has_them_at_the_same_size(workshop, reason):
    method = "synth" if reason == "trains_on" else "net"
    halved, quartered = "protocol.resize.factor=0.5", f"methods.{method}.protocol.resize.factor=0.25"
    assert workshop.methods(needing(reason, method), sets=[halved], only=["a"]).methods["a"].overrides == ()
    assert workshop.methods_refusal(needing(reason, method), sets=[halved, quartered], only=["a"]) == (
        f"bench.yaml:16: methods.a.{NEEDING[reason][1]}: {method!r} has images of another size (resize: factor 0.25) "
        "than 'a' (resize: factor 0.5); give both the same protocol.resize"
    )


def test_weights_may_come_from_images_of_another_size(workshop):
    quartered = ["methods.net.protocol.resize.factor=0.25"]
    found = workshop.methods(needing("start_from", "net"), sets=quartered, only=["a"]).methods["net"]
    assert found.overrides == ("resize",)


WEIGHED = (
    "critic: {generator: net, losses: [entropy], discriminator: critic, adversarial: {use: hinge, weight: WEIGHT}}"
)


@pytest.mark.parametrize("weight", ["0.1", "{ratio: 0.1}"])
def test_weights_are_taken_over_from_a_method_whose_weights_a_ratio_sets(workshop, weight):
    more = "more: {extends: critic, adversarial: {weight: {like: critic}}, protocol: {keep: {model: none}}}"
    text = f"{WEIGHED.replace('WEIGHT', weight)}\n{more}"
    if weight == "0.1":
        assert workshop.methods_refusal(text) == (
            "bench.yaml:10: methods.more.adversarial.weight.like: 'critic' has no weight: {ratio: NUMBER}, so there "
            "are no weights of its steps to take over"
        )
    else:
        assert workshop.methods(text, only=["more"]).methods["more"].upstream == {"weight": "critic"}


def test_a_ratio_of_gradients_needs_a_supervised_one(workshop):
    alone = WEIGHED.replace("WEIGHT", "{ratio: 0.1}").replace("losses: [entropy], ", "")
    assert workshop.methods_refusal(alone) == (
        "bench.yaml:9: methods.critic.adversarial.weight: a ratio needs a supervised gradient to be a ratio to, and "
        "there are no losses; give losses, or a number"
    )


@pytest.mark.parametrize(
    ("reason", "purpose"),
    [
        ("start_from", "start from"),
        ("refines", "make predictions with"),
        ("trains_on", "make samples with"),
        ("pseudo_labels_from", "label images with"),
    ],
)
def test_weights_that_are_not_kept_cannot_be_used(workshop, reason, purpose):
    method = "synth" if reason == "trains_on" else "net"
    nothing_kept = [f"methods.{method}.protocol.keep.model=none"]
    assert workshop.methods_refusal(needing(reason, method), sets=nothing_kept, only=["a"]) == (
        f"bench.yaml:16: methods.a.{NEEDING[reason][1]}: {method!r} leaves no weights to {purpose}, since its protocol "
        "says keep: {model: none}; set keep: {model: last} for it"
    )


def test_a_trained_refiner_may_refine_an_untrained_one_and_the_reverse(workshop):
    trained = workshop.methods(f"{BASES}a: {{extends: fine, refines: classical}}").methods["a"]
    untrained = workshop.methods(f"{BASES}a: {{extends: classical, refines: fine}}").methods["a"]
    assert (trained.upstream, untrained.upstream) == ({"refines": "classical"}, {"refines": "fine"})


@pytest.mark.parametrize(
    "between",
    [
        "",
        "b: {generator: refiner, refines: fine}",
        "b: {generator: net, losses: [entropy], start_from: fine}",
    ],
)
def test_a_trained_refiner_on_top_of_another_is_refused(workshop, between):
    text = f"{BASES}{between}\na: {{generator: refiner, losses: [entropy], refines: {'b' if between else 'fine'}}}"
    assert workshop.methods_refusal(text) == (
        "bench.yaml:17: methods.a.refines: 'fine' is a trained refiner; another trained refiner on top of it would "
        "need nested folds, which segbench does not make. Refine 'net' instead"
    )
