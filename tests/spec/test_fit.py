from __future__ import annotations

import pytest

from segbench.contracts import MAPS
from segbench.spec.maps import NOISY_MAPS

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

CRITIC = "discriminator: critic, adversarial: hinge"
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
    return f"generator: {GENERATORS[maps]}, {CRITIC}{refines}"


@pytest.mark.parametrize("maps", MAPS)
def test_whatever_a_generator_maps_a_critic_can_train_it(workshop, maps):
    method = read(workshop, needed(maps))
    assert (method.maps, method.losses, method.is_trained) == (maps, (), True)


@pytest.mark.parametrize("maps", ["image -> labels", "image, labels -> labels", "image -> image", "labels -> image"])
def test_what_has_a_right_answer_can_have_losses_beside_a_critic(workshop, maps):
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
def test_what_makes_images_needs_a_critic(workshop, maps):
    generator = GENERATORS[maps]
    assert refusal(workshop, f"generator: {generator}, losses: [entropy]") == (
        f"generator: generator toy/{generator} maps {maps!r}, which only a critic can teach it; add discriminator: "
        "NAME and adversarial: {use: LOSS}"
    )


@pytest.mark.parametrize("maps", ["noise -> image", "noise -> image, labels"])
def test_of_noise_there_is_nothing_to_compare_with(workshop, maps):
    assert refusal(workshop, f"{needed(maps)}, losses: [entropy]") == (
        f"losses: generator toy/{GENERATORS[maps]} maps {maps!r}: noise has no right answer for a loss to compare "
        "with; take losses out"
    )


@pytest.mark.parametrize("generator", ["net", "colours"])
def test_a_method_is_trained_by_something(workshop, generator):
    assert refusal(workshop, f"generator: {generator}") == (
        "losses: is missing; there is nothing to train this method by: give it losses, or a discriminator and an "
        "adversarial loss"
    )


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


@pytest.mark.parametrize("maps", MAPS)
def test_only_what_is_fed_noise_has_noise_channels(workshop, maps):
    if maps in NOISY_MAPS:
        assert read(workshop, f"{needed(maps)}, noise_channels: 8").noise_channels == 8
    else:
        assert refusal(workshop, f"{needed(maps)}, noise_channels: 8") == (
            f"noise_channels: generator toy/{GENERATORS[maps]} maps {maps!r} and is fed no noise; that is for what "
            "maps 'labels -> image', 'noise -> image', 'noise -> image, labels'"
        )


@pytest.mark.parametrize("maps", MAPS)
def test_only_probabilities_of_classes_are_multiplied_with_the_image(workshop, maps):
    recipe = needed(maps).replace("hinge", "{use: hinge, encoding: product}")
    if maps in ("image -> labels", "image, labels -> labels"):
        assert read(workshop, recipe).adversarial.encoding.use == "product"
    else:
        assert refusal(workshop, recipe) == (
            f"adversarial.encoding: generator toy/{GENERATORS[maps]} maps {maps!r}; product multiplies the "
            "probabilities of classes with the image, so it is for what maps 'image -> labels', 'image, labels -> "
            "labels'"
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
        f"unlabelled: generator toy/{GENERATORS[maps]} maps {maps!r}; this term is for what maps 'image -> labels'"
    )


@pytest.mark.parametrize("maps", [maps for maps in MAPS if maps not in ("image -> labels", "image -> image")])
def test_pseudo_labels_are_for_what_makes_labels(workshop, maps):
    recipe = f"{needed(maps)}, labels: {{fraction: 0.5}}, unlabelled: {{pseudo_labels_from: net}}"
    assert refusal(workshop, recipe) == (
        f"unlabelled: generator toy/{GENERATORS[maps]} maps {maps!r}; this term is for what maps 'image -> labels', "
        "'image -> image'"
    )


def test_pseudo_labels_serve_what_paints_labels_too(workshop):
    recipe = f"{needed('image -> image')}, labels: {{fraction: 0.5}}, unlabelled: {{pseudo_labels_from: net}}"
    assert read(workshop, recipe).unlabelled.pseudo_labels_from == "net"
