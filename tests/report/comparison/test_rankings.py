from __future__ import annotations

import re

from segbench.report.comparison.compare import compare_methods

from .conftest import QUICK, counted


def test_seeds_without_a_partner_and_failed_ones_are_named(two_methods, store, trained, failed, results, compared):
    store(trained(seed=7), counted(70))
    results(failed("unet+critic", seed=4))
    notes = compared().notes
    assert "unet, seed 7 ignored: unet+critic has no result for this seed" in notes
    assert "unet+critic, seed 4 failed: the loss is NaN at step 17 (plugin losses)" in notes


def test_an_unknown_method_is_named_with_the_nearest(two_methods, refusal):
    assert "no record of a method 'unet+critik'" in refusal("unet+critik")
    assert "Did you mean 'unet+critic'?" in refusal("unet+critik")


def test_a_method_is_not_compared_with_itself(two_methods, refusal):
    assert "cannot be compared with itself" in refusal("unet", "unet")


def test_a_failed_twin_says_why_it_failed(store, adversarial, failed, results, refusal):
    store(adversarial(), counted(70))
    results(failed("unet", seed=0), failed("unet", seed=1))
    assert (
        "'unet' has no result (seeds 0, 1 failed: the loss is NaN at step 17 (plugin losses)); "
        "remove the cause and run the benchmark again"
    ) in refusal()


def test_a_method_whose_cells_only_serve_others_is_in_no_ranking(store, trained, adversarial, refusal):
    store(trained(subset="fold 1/5"), counted(70))
    store(adversarial(), counted(70))
    assert "only serve other methods" in refusal()


def test_a_method_that_makes_images_has_nothing_to_compare(store, trained, generating, results, refusal):
    store(trained(), counted(70))
    results(generating("dcgan"))
    assert "'dcgan' makes images, not label maps" in refusal("dcgan", "unet")


def test_two_recipes_of_one_name_are_not_averaged(two_methods, store, trained, refusal):
    store(trained(seed=5, options={"encoder": "resnet50"}), counted(70))
    assert "'unet' is the name of 2 recipes: write unet@latest, unet=DIR or one of these:" in refusal()
    assert re.search(r"unet@[0-9a-f]{8}: generator.options.encoder=resnet50", refusal())


def test_what_is_asked_for_and_is_not_there_is_named(two_methods, refusal):
    assert "no record of dataset 'camvit'. Did you mean 'camvid'? Available: camvid." in refusal(dataset="camvit")
    assert "no record of subset 'labels 0.5'. Available: all." in refusal(subset="labels 0.5")


def test_each_ranking_with_both_methods_is_compared(two_methods, store, trained, adversarial, tmp_path):
    choices = {"subset": "labels 0.125", "recipe": {"labels": (0.125,)}}
    store(trained(**choices), counted(40))
    store(adversarial(**choices), counted(45))
    found = compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK).found
    assert [one.ranking.group.data.subset for one in found] == ["all", "labels 0.125"]
    only = compare_methods([tmp_path / "results"], ("unet+critic", "unet"), subset="labels 0.125", settings=QUICK).found
    assert [one.seeds for one in only] == [(0,)]
