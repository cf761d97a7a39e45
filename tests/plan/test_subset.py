from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.errors import SegbenchError
from segbench.plan.subset import Subset

fractions = st.floats(0, 1, exclude_min=True)


@pytest.mark.parametrize(
    ("subset", "text"),
    [
        (Subset(), "all"),
        (Subset(0.125), "labels 0.125"),
        (Subset(1.0, 1, 5), "fold 1/5"),
        (Subset(0.125, 5, 5), "labels 0.125, fold 5/5"),
        (Subset(1e-05), "labels 1e-05"),
    ],
)
def test_a_subset_is_written_in_words(subset, text):
    assert str(subset) == text


@given(
    fractions, st.none() | st.integers(2, 99).flatmap(lambda folds: st.tuples(st.integers(1, folds), st.just(folds)))
)
def test_a_subset_reads_back_as_it_is_written(fraction, fold):
    subset = Subset(fraction, *(fold or ()))
    assert Subset.parse(str(subset)) == subset


@pytest.mark.parametrize(
    "text",
    [
        "",
        "everything",
        "labels",
        "labels 0",
        "labels 0.0",
        "labels 1.0",
        "labels 1.5",
        "labels 0.50",
        "labels 0.1.2",
        "fold 0/5",
        "fold 6/5",
        "fold 1/1",
        "fold 01/5",
        "fold 1",
        ", fold 1/5",
        "labels 0.5 fold 1/5",
        "labels 0.5fold 1/5",
        "fold 1/5, labels 0.5",
        "all, fold 1/5",
    ],
)
def test_what_is_no_subset_is_refused_with_what_may_be_written(text):
    with pytest.raises(SegbenchError) as caught:
        Subset.parse(text)
    assert str(caught.value) == (
        f"{text!r} is no subset; write 'all', 'labels 0.125', 'fold 1/5' or 'labels 0.125, fold 1/5'"
    )


def test_a_whole_number_is_written_as_a_fraction_is():
    assert str(Subset(1)) == "all"


def test_a_fold_is_left_out_of_a_subset_with_a_fold():
    assert not Subset(0.5).is_fold
    assert Subset(0.5, 1, 5).is_fold


def test_folds_are_left_out_in_turn_counted_from_one():
    left = ["labels 0.5, fold 1/3", "labels 0.5, fold 2/3", "labels 0.5, fold 3/3"]
    assert list(map(str, Subset(0.5).without_each(3))) == left
