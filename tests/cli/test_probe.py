from __future__ import annotations

import json

import pytest

from segbench.cli import main
from segbench.cli.probe import advice
from segbench.config.recipe import Adversarial
from segbench.engine import encoding_leak
from segbench.engine.encoding_leak import Finding

CRITIC = "discriminator: {use: gan/patchgan, receptive_field: 1, width: 16, norm: none}"
LOSS = "use: gan/non_saturating, optimizer: {use: adam, lr: 0.01}"

BENCHMARK = f"""\
name: probed
datasets:
  shapes: {{use: data/shapes, classes: 3, size: [24, 24], train: 12, val: 4, test: 1}}
  streets: {{use: data/camvid, root: nowhere}}
protocol: {{budget: {{steps: 1}}, batch_size: 4, crop: [16, 16], threads: 1}}
seeds: [0, 1]
methods:
  fcn: {{generator: {{use: basic/fcn, width: 8}}, losses: [losses/cross_entropy]}}
  other: {{extends: fcn, generator: {{width: 4}}}}
  sharp: {{extends: fcn, {CRITIC}, adversarial: {{{LOSS}, encoding: one_hot}}}}
  clean: {{extends: fcn, {CRITIC}, adversarial: {{{LOSS}}}}}
  against-other: {{extends: other, {CRITIC}, adversarial: {{{LOSS}}}}}
  fewer: {{extends: clean, labels: {{fraction: [0.25, 0.5]}}}}
  images: {{generator: gan/spade, {CRITIC}, adversarial: {{{LOSS}}}}}
"""


@pytest.fixture(autouse=True)
def _benchmark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoding_leak, "SYNTHETIC_CONFIDENCES", (0.41,))
    (tmp_path / "bench.yaml").write_text(BENCHMARK)


def probe(method, *more, steps=2):
    return main(["probe", "bench.yaml", method, "--steps", str(steps), "--device", "cpu", *more])


def probed(capsys, method, *more, steps=2):
    assert probe(method, *more, "--json", steps=steps) == 0
    return json.loads(capsys.readouterr().out)


def failure(capsys, method, *more):
    assert probe(method, *more) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.trains
def test_a_leak_is_reported_with_what_to_do(capsys, training_seed):
    assert probe("sharp", "--seed", str(training_seed), steps=200) == 0
    captured = capsys.readouterr()
    title, header, row, sentence = captured.out.splitlines()
    assert title == (
        "sharp on shapes: gan/patchgan under gan/non_saturating, encoding one_hot, with condition, 200 steps, seed "
        f"{training_seed}"
    )
    assert header.split() == ["PREDICTIONS", "CONFIDENCE", "DIFFERENCE", "ACCURACY", "VERDICT"]
    assert row.split()[:2] == ["made", "0.41"]
    assert row.endswith("strong leak")
    assert sentence.startswith(
        "Set adversarial.encoding to straight_through or confidence_matched: with the present encoding the"
    )
    assert captured.err == ""


def test_a_clean_encoding_needs_nothing(capsys):
    assert probe("clean") == 0
    *_, row, sentence = capsys.readouterr().out.splitlines()
    assert row.split() == ["made", "0.41", "0.0000", "0.500", "±", "0.000", "clean"]
    assert sentence.startswith("Nothing to do: where predictions are correct, real and fake are equal")


def test_json_holds_the_recipe_and_the_findings(capsys):
    content = probed(capsys, "clean", "--seed", "7", "--set", "methods.clean.adversarial.encoding=scaled")
    assert (content["method"], content["dataset"], content["seed"], content["steps"]) == ("clean", "shapes", 7, 2)
    assert content["encoding"] == {"use": "scaled", "smoothing": 0.1, "tau": 0.9}
    [found] = content["findings"]
    assert found.keys() == {"predictions", "confidence", "difference", "accuracy", "standard_error", "verdict"}
    assert found["difference"] > 0


def test_of_several_label_fractions_the_largest_is_probed(capsys):
    assert probed(capsys, "fewer")["subset"] == "labels 0.5"


def test_a_finished_cell_of_the_twin_is_probed_too(recorded_cell, capsys):
    results = str(recorded_cell.parent.parent)
    content = probed(capsys, "clean", "--cell", recorded_cell.stem[:6], "--results", results)
    made, own = content["findings"]
    assert (made["predictions"], own["predictions"]) == ("made", recorded_cell.stem)
    assert (own["difference"], own["verdict"]) == (0, "clean")
    assert 1 / 3 < own["confidence"] < 1


def test_a_cell_of_another_method_is_refused(recorded_cell, capsys):
    error = failure(capsys, "against-other", "--cell", str(recorded_cell))
    assert "it is a cell of method 'fcn'; give a cell of 'against-other' or 'other'" in error


def test_an_unknown_cell_is_an_error(capsys):
    assert failure(capsys, "clean", "--cell", "ffff").startswith("error: no key in results begins with 'ffff'")


def test_an_unknown_method_is_an_error_with_the_nearest(capsys):
    assert "there is no method 'sharpp'" in (error := failure(capsys, "sharpp"))
    assert "Did you mean 'sharp'?" in error


def test_a_method_without_a_discriminator_is_an_error(capsys):
    assert failure(capsys, "fcn").startswith(
        "error: method 'fcn' has no adversarial loss, so it has no discriminator to probe"
    )


def test_a_generator_of_images_is_refused_with_the_reason(capsys):
    error = failure(capsys, "images")
    assert "maps 'labels -> image': its discriminator compares images with images, and no labels are encoded" in error


def test_an_unknown_dataset_is_an_error_with_the_nearest(capsys):
    assert failure(capsys, "clean", "--dataset", "street") == (
        "error: --dataset street: the benchmark has no such dataset. Did you mean 'streets'? "
        "Available: shapes, streets.\n"
    )


def test_data_that_is_not_at_hand_is_an_error(capsys):
    assert "nowhere" in failure(capsys, "clean", "--dataset", "streets")


def test_an_unknown_device_is_an_error(capsys):
    assert main(["probe", "bench.yaml", "clean", "--device", "tpu"]) == 2
    assert "unknown device 'tpu'" in capsys.readouterr().err


def test_a_discriminator_at_chance_between_different_fields_should_train_longer():
    at_chance = [Finding("made", 0.99, 0.1, 0.5, 0.0)]
    sentence = advice("image -> labels", Adversarial(use="gan/hinge", encoding="one_hot"), at_chance)
    assert sentence.startswith("The discriminator is at chance, but real and fake differ; train it longer (--steps)")


def test_advice_says_why_there_is_no_accuracy():
    undefined = [Finding("made", 0.6, 0.1), Finding("made", 1.0, 0.0)]
    sentence = advice("image -> labels", Adversarial(use="gan/segan_l1", encoding="one_hot"), undefined)
    assert "gan/segan_l1 compares features and never scores real against fake, so there is no accuracy" in sentence


def test_advice_for_colours_is_to_map_to_labels():
    leaking = [Finding("made", 0.6, 0.1, 1.0, 0.0)]
    sentence = advice("image -> image", Adversarial(use="gan/hinge"), leaking)
    assert sentence.startswith("Let the generator map image -> labels, with the encoding straight_through")
