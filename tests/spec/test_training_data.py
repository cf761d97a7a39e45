from __future__ import annotations

import pytest

from segbench.spec.recipe import ComponentUse, Refines, TrainsOn, UnlabelledTerm

BASE = """
base: {generator: net, losses: [entropy], labels: {fraction: 0.5}}
synth: {generator: synthesizer, discriminator: critic, adversarial: hinge}
"""


def read(workshop, more, **choice):
    return workshop.methods(f"{BASE}more: {{extends: base, {more}}}", **choice).methods["more"]


def refusal(workshop, more):
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
    assert read(workshop, f"generator: refiner, refines: {given}").refines == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("3", "refines: must be a mapping with keys of method, folds, not the number 3"),
        ("{folds: 5}", "refines.method: is missing"),
        ("{method: base, folds: 1}", "refines.folds: must be greater than or equal to 2, not the number 1"),
        ("{method: base, fold: 3}", "refines.fold: unknown key 'fold'; allowed here: method, folds."),
    ],
)
def test_what_is_refined_is_told_where_it_is_wrong(workshop, given, message):
    assert refusal(workshop, f"generator: refiner, refines: {given}").startswith(message)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("{synthetic: synth}", TrainsOn(synthetic="synth", share=0.5)),
        ("{synthetic: synth, share: 0}", TrainsOn(synthetic="synth", share=0.0)),
        ("{synthetic: synth, share: 1}", TrainsOn(synthetic="synth", share=1.0)),
    ],
)
def test_synthetic_samples_take_a_share(workshop, given, meant):
    assert read(workshop, f"trains_on: {given}").trains_on == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("synth", "trains_on: must be a mapping with keys of synthetic, share, not the text 'synth'"),
        ("{share: 0.5}", "trains_on.synthetic: is missing"),
        ("{synthetic: synth, share: 1.5}", "trains_on.share: must be less than or equal to 1, not the number 1.5"),
    ],
)
def test_synthetic_samples_are_told_where_they_are_wrong(workshop, given, message):
    assert refusal(workshop, f"trains_on: {given}") == message


@pytest.mark.parametrize(
    ("given", "meant"),
    [("0.125", (0.125,)), ("1", (1.0,)), ("[0.5]", (0.5,)), ("[1, 0.125, 0.25]", (1.0, 0.125, 0.25))],
)
def test_a_fraction_of_the_labels_is_one_number_or_several(workshop, given, meant):
    assert read(workshop, f"labels: {{fraction: {given}}}").labels == meant


def test_all_labels_are_used_by_default(workshop):
    assert read(workshop, "labels: null").labels == (1.0,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0.5", "labels: must be a mapping such as {fraction: 0.125}, not the number 0.5"),
        ("{part: 0.5}", "labels.part: unknown key 'part'; allowed here: fraction."),
        ("{fraction: 0}", "labels.fraction: must be a number greater than 0 and at most 1, not the number 0"),
        ("{fraction: [0.5, 0]}", "labels.fraction.1: must be a number greater than 0 and at most 1, not the number 0"),
        ("{fraction: 1.5}", "labels.fraction: must be a number greater than 0 and at most 1, not the number 1.5"),
        ("{fraction: true}", "labels.fraction: must be a number greater than 0 and at most 1, not true"),
        ("{fraction: half}", "labels.fraction: must be a number greater than 0 and at most 1, not the text 'half'"),
        ("{fraction: []}", "labels.fraction: there is no fraction; give at least one, such as [0.125, 1]"),
        ("{fraction: [1, 0.5, 1.0]}", "labels.fraction.2: the fraction 1.0 is there twice"),
    ],
)
def test_a_wrong_fraction_is_told_with_its_place(workshop, given, message):
    assert refusal(workshop, f"labels: {given}") == message


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
    assert read(workshop, f"unlabelled: {given}").unlabelled == meant


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
            "unlabelled: loss toy/entropy has the role 'supervised'; under unlabelled: stand those with 'unlabelled'",
        ),
        ("{use: calm, weight: 0}", "unlabelled.weight: must be greater than 0, not the number 0"),
        (
            "{pseudo_labels_from: base, margin: 1}",
            "unlabelled.margin: unknown key 'margin'; allowed here: pseudo_labels_from, threshold, weight.",
        ),
        (
            "{pseudo_labels_from: base, threshold: 2}",
            "unlabelled.threshold: must be less than or equal to 1, not the number 2",
        ),
    ],
)
def test_an_unlabelled_term_is_told_where_it_is_wrong(workshop, given, message):
    assert refusal(workshop, f"unlabelled: {given}") == message
