from __future__ import annotations

import pytest

from segbench.report.folds import folds_of, pool
from segbench.store.record import FromUpstream, Generation, Refinement


@pytest.fixture
def fold(trained):
    return lambda number, **fields: trained(subset=f"test fold {number}/2", folds={"count": 2}, fields=fields)


def test_a_record_that_is_not_pooled_stands_for_itself(trained):
    record = trained()
    assert folds_of(record) == (record,)


def test_generated_images_have_the_mean_of_the_folds(fold):
    def generated(number, kid, recall):
        generation = Generation(features="resnet18", images=10, kid=kid, recall=recall)
        return fold(number, scores=None, per_class=None, generation=generation)

    found = pool([generated(1, 0.25, None), generated(2, 0.75, 0.5)], "all", [])
    assert (found.generation.kid, found.generation.recall, found.scores) == (0.5, None, None)
    assert (found.generation.features, found.generation.images) == ("resnet18", 10)


def test_what_a_refiner_changed_is_a_share_of_the_pixels_of_all_folds(fold, counted):
    shares = [(0.5, 0.5), (0.1, 1.0)]
    cells = [
        counted(fold(number, refinement=Refinement(changed=changed, corrected=right, spoilt=1 - right)), [0.9])
        for number, (changed, right) in enumerate(shares, 1)
    ]
    one, other = (counts for _, counts in cells)
    other = type(other)(("another",), other.split, 3 * other.confusion)
    found = pool([record for record, _ in cells], "all", [one, other]).refinement
    # Of 100 pixels 50 are changed and 25 corrected; of 300 it is 30 and 30.
    assert found.changed == pytest.approx(80 / 400)
    assert found.corrected == pytest.approx(55 / 80)
    assert found.spoilt == pytest.approx(25 / 80)


def test_a_budget_that_was_taken_over_is_the_mean_and_costs_are_the_largest(fold):
    def cell(number, seconds, peak):
        cost = fold(number).cost.model_copy(update={"train_peak_bytes": peak})
        return fold(number, settled=FromUpstream(seconds=seconds), cost=cost, scores=None)

    found = pool([cell(1, 10.0, 7), cell(2, 20.0, 9)], "all", [])
    assert found.settled.seconds == 15.0
    assert (found.cost.train_peak_bytes, found.cost.parameters) == (9, fold(1).cost.parameters)
