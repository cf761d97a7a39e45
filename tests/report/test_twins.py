from __future__ import annotations

import pytest

from segbench.report.groups import build_report
from segbench.report.sources import Sources
from segbench.report.twins import comparisons


def compared(*records):
    """Return the comparisons of the one ranking that the records make."""
    (group,) = build_report(Sources(records, (), ())).groups
    return comparisons(group)


def test_differences_are_taken_seed_by_seed(trained, adversarial):
    twin = [trained("unet", seed, miou) for seed, miou in enumerate([0.25, 0.5, 0.75])]
    critic = [adversarial(seed=seed, miou=miou) for seed, miou in [(1, 0.625), (2, 0.625), (3, 0.9)]]
    (one,) = compared(*twin, *critic)
    assert one.twin.method == "unet"
    assert one.miou.seeds == (1, 2)
    assert one.miou.differences == (0.125, -0.125)


def test_training_time_is_compared_over_the_seeds_in_common(trained, adversarial):
    def seconds(record, value):
        return record.model_copy(update={"train": record.train.model_copy(update={"seconds": value})})

    twin = [seconds(trained("unet", 0), 10.0), seconds(trained("unet", 1), 1000.0)]
    (one,) = compared(*twin, seconds(adversarial(seed=0), 25.0))
    assert one.time_ratio == 2.5


def test_placebos_follow_the_method_that_they_are_placebos_of(trained, adversarial):
    def placebo(kind, miou):
        return adversarial(f"unet+critic~{kind}", miou=miou, recipe={"placebo_of": "unet+critic"})

    found = compared(
        trained("unet", miou=0.6),
        placebo("noise", 0.9),
        placebo("frozen", 0.1),
        adversarial(miou=0.7),
        adversarial("other", miou=0.8),
    )
    assert [one.row.method for one in found] == ["other", "unet+critic", "unet+critic~frozen", "unet+critic~noise"]


def test_a_method_with_a_twin_and_no_critic_is_compared_too(trained):
    (one,) = compared(trained("unet"), trained("unet+dice", miou=0.7, recipe={"twin": "unet"}))
    assert one.miou.differences == pytest.approx([0.1])


def test_a_method_with_a_critic_and_no_twin_stands_alone(trained, adversarial):
    (one,) = compared(trained("unet"), adversarial(recipe={"twin": None}))
    assert one.twin is None
    assert one.time_ratio is None
    assert one.miou.seeds == ()


def test_a_twin_that_is_not_in_the_ranking_is_not_compared_with(trained, adversarial, scored):
    (one,) = compared(trained("fpn"), scored("unet"), adversarial())
    assert one.twin is None


def test_a_twin_of_two_recipes_is_not_compared_with(trained, adversarial):
    (one,) = compared(trained("unet", 0), trained("unet", 1, options={"encoder": "resnet34"}), adversarial())
    assert one.twin is None


def test_methods_that_generate_images_are_not_compared_by_miou(trained, generating):
    assert compared(trained("unet"), generating()) == []
