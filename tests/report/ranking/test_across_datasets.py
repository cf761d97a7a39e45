from __future__ import annotations

import json

import numpy as np
import pytest

from segbench.config.recipe import Adversarial
from segbench.report import load, render
from segbench.store.record import Evaluated

SHARES = np.random.default_rng(0).uniform(0.4, 0.8, size=12)
DATASETS = ("cells", "roads", "pets")


@pytest.fixture
def cells(trained, adversarial, counted):
    """Make the cells of unet and unet+critic on a dataset, three seeds each; the critic gains a share of the pixels."""

    def make(dataset, gain, **choices):
        noise = np.random.default_rng(len(dataset)).normal(0, 0.003, (6, 12))
        return [
            counted(record, SHARES + extra + noise[place])
            for place, (record, extra) in enumerate(
                (one, extra)
                for seed in range(3)
                for one, extra in (
                    (trained("unet", seed, dataset=dataset, fingerprint=dataset * 4, **choices), 0.0),
                    (adversarial(seed=seed, dataset=dataset, fingerprint=dataset * 4, **choices), gain),
                )
            )
        ]

    return make


@pytest.fixture
def three(cells, results):
    gains = zip(DATASETS, (0.04, 0.06, 0.05), strict=True)
    return results(*(cell for dataset, gain in gains for cell in cells(dataset, gain)))


def test_a_claim_is_judged_over_the_datasets_by_their_paired_differences(three):
    report = load([three])
    (found,) = report.across
    assert found.datasets == tuple(group.data.dataset for group in report.groups) == tuple(sorted(DATASETS))
    (claim,) = found.claims
    assert (claim.one, claim.other, claim.relation) == ("unet+critic", "unet", "twin")
    expected = {group.data.dataset: group.comparisons[0].miou.mean for group in report.groups}
    assert claim.judged.by_dataset == pytest.approx(expected)
    assert claim.judged.decision.verdict == "better"


def test_methods_have_a_mean_rank_with_its_interval(three):
    (found,) = load([three]).across
    assert [(one.name, one.rank.mean) for one in found.methods] == [("unet+critic", 1.0), ("unet", 2.0)]
    assert all(one.rank.interval.low <= one.rank.mean <= one.rank.interval.high for one in found.methods)


def test_two_datasets_decide_nothing(cells, results):
    folder = results(*cells("cells", 0.05), *cells("roads", 0.06))
    (found,) = load([folder]).across
    assert found.claims[0].judged.decision.verdict == "undecided"
    assert [one.rank.interval for one in found.methods] == [None, None]
    assert "undecided: 3 datasets are the least that can decide." in " ".join(render([folder]).split())


def test_one_dataset_another_protocol_and_another_share_of_the_labels_are_not_put_together(cells, results, trained):
    assert load([results(*cells("cells", 0.05), root="one")]).across == ()
    longer = trained("unet", dataset="roads", protocol={"budget": {"epochs": 3}})
    share = trained("unet", dataset="pets", subset="labels 0.5", recipe={"labels": (0.5,)})
    assert load([results(*cells("cells", 0.05), longer, share, root="apart")]).across == ()


def test_a_method_that_lacks_a_dataset_has_no_rank_and_placebos_have_none(three, trained, adversarial, results):
    frozen = {"placebo_of": "unet+critic", "adversarial": Adversarial(use="gan/hinge", placebo="frozen")}
    evaluated = {"evaluated": Evaluated(split="test", images=12)}

    def cell(make, method, dataset, **choices):
        return make(method, dataset=dataset, fingerprint=dataset * 4, fields=evaluated, **choices)

    placebos = [cell(adversarial, "unet+critic~frozen", dataset, recipe=frozen) for dataset in DATASETS]
    folder = results(cell(trained, "fpn", "cells"), *placebos)
    assert folder == three
    (found,) = load([folder]).across
    assert {one.name for one in found.methods if one.rank is None} == {"fpn", "unet+critic~frozen"}
    assert [one.relation for one in found.claims] == ["twin", "placebo"]


def test_sources_of_the_datasets_make_no_other_recipe(trained, results):
    def made(dataset):
        record = trained("unet", dataset=dataset)
        return record.model_copy(update={"spec": {**record.spec, "sources": {"smp": "c0ffee", dataset: dataset}}})

    (found,) = load([results(made("cells"), made("roads"))]).across
    assert [(one.name, sorted(one.rows)) for one in found.methods] == [("unet", ["cells", "roads"])]


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_every_text_has_methods_by_dataset_and_the_judgement(three, format, whole_text):
    text = " ".join(whole_text(three, format).replace("$-$", "-").split())
    for part in ("across datasets", "mean rank", "over the datasets", "each dataset is one draw"):
        assert part in text
    assert text.count("unet+critic") >= 3


def test_the_first_screen_has_one_line_of_it(three):
    text = " ".join(render([three]).split())
    assert "camvid, over 3 datasets (cells, pets, roads): unet+critic - unet = +" in text
    assert "mean rank" not in text


def test_without_a_claim_the_line_names_the_best_mean_rank(trained, results):
    records = [trained(name, 0, miou, dataset=one) for name, miou in (("a", 0.5), ("b", 0.6)) for one in DATASETS]
    assert "the best mean rank of 2 methods has b, 1.00." in " ".join(render([results(*records)]).split())


def test_json_has_scores_ranks_and_claims_by_dataset(three):
    (found,) = json.loads(render([three], format="json"))["across_datasets"]
    assert list(found) == ["benchmark", "subset", "datasets", "groups", "methods", "claims"]
    assert list(found["methods"][0]) == ["method", "miou", "mean_rank", "mean_rank_low", "mean_rank_high"]
    (claim,) = found["claims"]
    assert (claim["one"], claim["with"], claim["verdict"]) == ("unet+critic", "unet", "better")
    assert claim["low"] < claim["difference"] < claim["high"]
    assert set(claim["by_dataset"]) == set(DATASETS)
