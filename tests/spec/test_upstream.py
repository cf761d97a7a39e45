from __future__ import annotations

import pytest

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
        f"bench.yaml:16: methods.a.{NEEDING[reason][1]}: {method!r} maps {ALL[method]!r}; here stands a method that "
        "maps 'image -> labels', 'image, labels -> labels', 'image -> image'"
    )


@pytest.mark.parametrize("method", [method for method in ALL if method not in MAKES_LABELLED_IMAGES])
def test_synthetic_samples_come_from_what_makes_images_whose_labels_are_known(workshop, method):
    assert workshop.methods_refusal(needing("trains_on", method)) == (
        f"bench.yaml:16: methods.a.trains_on.synthetic: {method!r} maps {ALL[method]!r}; here stands a method that "
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
def test_folds_of_folds_are_refused(workshop, between):
    text = f"{BASES}{between}\na: {{generator: refiner, losses: [entropy], refines: {'b' if between else 'fine'}}}"
    assert workshop.methods_refusal(text) == (
        "bench.yaml:17: methods.a.refines: 'fine' is a trained refiner, learnt from predictions out of folds; another "
        "one that is trained on top of it would need folds of folds, which are not made. Refine 'net' instead"
    )
