from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import (
    REFINING,
    Adversarial,
    Benchmark,
    ComponentUse,
    DatasetUse,
    Refines,
    TrainsOn,
    Tuning,
    UnlabelledTerm,
)
from segbench.errors import SegbenchError, SpecError
from segbench.plan.cell import Identity, Subset, sort_upstream_first

from .conftest import cell, method


@pytest.mark.parametrize(
    ("subset", "label"),
    [
        ("all", "shapes / net / seed 0"),
        ("labels 0.125", "shapes / net / labels 0.125 / seed 0"),
        ("labels 0.125, fold 1/5", "shapes / net / labels 0.125, fold 1/5 / seed 0"),
        ("test fold 2/5", "shapes / net / test fold 2/5 / seed 0"),
    ],
)
def test_a_label_names_the_subset_where_it_is_not_everything(subset, label):
    assert cell(subset=subset).label == label


def test_every_component_of_a_cell_counts():
    adversarial = Adversarial(use="a/hinge", penalty={"use": "b/r1"})
    made = cell(method=method(adversarial=adversarial, discriminator=ComponentUse(use="c/critic")))
    assert {"toy/shapes", "toy/net", "toy/entropy", "a/hinge", "b/r1", "c/critic"} == set(made.component_names)


def benchmark(*methods, seeds=(0,), datasets=("d",), folds=None):
    return Benchmark(
        name="test",
        source="bench.yaml",
        datasets={name: DatasetUse(use="toy/shapes", folds=folds) for name in datasets},
        seeds=seeds,
        methods={method.name: method for method in methods},
    )


def planned(*methods, **facts):
    """Return the cells in their order, each with what it needs, as text without the dataset and seed 0."""
    cells = sort_upstream_first(benchmark(*methods, **facts))
    return {short(cell): {why: short(other) for why, other in needed.items()} for cell, needed in cells.items()}


def short(identity):
    return str(identity).replace("d / ", "").replace(" / seed 0", "")


def refiner(name, base, folds=2, **changes):
    return method(name, maps=REFINING, refines=Refines(method=base, folds=folds), **changes)


def test_every_fraction_is_a_cell():
    assert planned(method("a", labels=(0.125, 1.0)), method("b")) == {"a / labels 0.125": {}, "a": {}, "b": {}}


def test_it_goes_dataset_by_dataset_and_seed_by_seed():
    cells = list(sort_upstream_first(benchmark(method("a", labels=(0.5, 1.0)), seeds=(3, 1), datasets=("d", "e"))))
    half, everything = Subset(0.5), Subset()
    assert cells == [
        Identity(dataset, subset, "a", seed) for dataset in "de" for seed in (3, 1) for subset in (half, everything)
    ]


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("start_from", {"start_from": "a"}),
        ("budget", {"protocol": TrainingProtocol(budget={"like": "a"})}),
        ("weight", {"adversarial": Adversarial(use="toy/hinge", weight={"like": "a"})}),
        ("trains_on", {"trains_on": TrainsOn(synthetic="a")}),
        ("pseudo_labels_from", {"unlabelled": UnlabelledTerm(pseudo_labels_from="a")}),
        ("refines", {"refines": Refines(method="a"), "maps": REFINING, "losses": ()}),
    ],
)
def test_a_cell_needs_the_cell_of_the_same_subset_though_nobody_asked_for_it(reason, changes):
    assert planned(method("b", labels=(0.125,), **changes), method("a")) == {
        "a / labels 0.125": {},
        "a": {},
        "b / labels 0.125": {reason: "a / labels 0.125"},
    }


def test_a_cell_that_several_need_is_there_once():
    cells = planned(method("a"), method("b", start_from="a"), method("c", start_from="a"))
    assert list(cells) == ["a", "b", "c"]


def test_cells_of_other_datasets_and_seeds_are_not_needed():
    made = benchmark(method("b", start_from="a"), method("a"), seeds=(0, 1), datasets=("d", "e"))
    for one, needed in sort_upstream_first(made).items():
        assert all((other.dataset, other.seed) == (one.dataset, one.seed) for other in needed.values())


def test_where_all_labels_are_used_nothing_is_labelled():
    labelled = method("b", labels=(0.5, 1.0), unlabelled=UnlabelledTerm(pseudo_labels_from="a"))
    assert planned(labelled, method("a", labels=(0.5,))) == {
        "a / labels 0.5": {},
        "b": {},
        "b / labels 0.5": {"pseudo_labels_from": "a / labels 0.5"},
    }


CRITIC = {"losses": (), "discriminator": ComponentUse(use="toy/critic"), "adversarial": Adversarial(use="toy/hinge")}


@pytest.mark.parametrize("trained", [{}, CRITIC])
def test_a_trained_refiner_needs_the_base_and_the_base_without_each_fold(trained):
    assert planned(method("base"), refiner("fine", "base", folds=3, **trained)) == {
        "base": {},
        "base / fold 1/3": {},
        "base / fold 2/3": {},
        "base / fold 3/3": {},
        "fine": {
            "refines": "base",
            "refines fold 1/3": "base / fold 1/3",
            "refines fold 2/3": "base / fold 2/3",
            "refines fold 3/3": "base / fold 3/3",
        },
    }


def test_an_untrained_refiner_needs_the_base_only():
    assert planned(method("base"), refiner("crf", "base", losses=())) == {"base": {}, "crf": {"refines": "base"}}


def test_folds_are_of_the_labels_that_the_refiner_is_trained_with():
    cells = planned(method("base"), refiner("fine", "base", labels=(0.5,)))
    assert cells["fine / labels 0.5"] == {
        "refines": "base / labels 0.5",
        "refines fold 1/2": "base / labels 0.5, fold 1/2",
        "refines fold 2/2": "base / labels 0.5, fold 2/2",
    }


def test_refiners_of_one_base_share_its_folds():
    cells = planned(method("base"), refiner("fine", "base"), refiner("finer", "base"))
    assert list(cells) == ["base", "base / fold 1/2", "base / fold 2/2", "fine", "finer"]


def test_what_a_base_without_a_fold_needs_has_not_seen_that_fold_either():
    cells = planned(method("first"), method("base", start_from="first"), refiner("fine", "base"))
    assert cells["base / fold 2/2"] == {"start_from": "first / fold 2/2"}


def test_an_untrained_refiner_between_base_and_refiner_has_folds_too():
    cells = planned(method("base"), refiner("crf", "base", losses=()), refiner("fine", "crf"))
    assert cells["fine"] == {
        "refines": "crf",
        "refines fold 1/2": "crf / fold 1/2",
        "refines fold 2/2": "crf / fold 2/2",
    }
    assert cells["crf / fold 1/2"] == {"refines": "base / fold 1/2"}


def tuned(name, trials=2, **changes):
    """Return a tuned method and its trials, whose seed is 9."""
    names = [f"{name}#{number}" for number in range(1, trials + 1)]
    tuning = Tuning(seed=9, trials={trial: {"protocol.optimizer.lr": 0.1} for trial in names})
    tries = [method(trial, trial_of=name, **changes) for trial in names]
    return [method(name, tuning=tuning, **changes), *tries]


def test_a_tuned_method_needs_its_trials_which_nobody_else_asks_for():
    trials = {"trial 1/2": "a#1 / seed 9", "trial 2/2": "a#2 / seed 9"}
    assert planned(*tuned("a"), seeds=(0, 3)) == {
        "a#1 / seed 9": {},
        "a#2 / seed 9": {},
        "a": trials,
        "a / seed 3": trials,
    }


def test_a_method_is_tuned_at_each_of_its_fractions():
    cells = planned(*tuned("a", trials=1, labels=(0.5, 1.0)))
    assert cells["a / labels 0.5"] == {"trial 1/1": "a#1 / labels 0.5 / seed 9"}
    assert cells["a"] == {"trial 1/1": "a#1 / seed 9"}


def test_without_a_fold_a_base_has_the_settings_that_it_has_with_it():
    cells = planned(*tuned("base", trials=1), refiner("fine", "base"))
    assert cells["base / fold 1/2"] == cells["base"] == {"trial 1/1": "base#1 / seed 9"}


def test_a_trial_needs_what_its_method_needs_with_its_own_seed():
    cells = planned(method("base"), *tuned("a", trials=1, start_from="base"))
    assert cells == {
        "base / seed 9": {},
        "a#1 / seed 9": {"start_from": "base / seed 9"},
        "base": {},
        "a": {"start_from": "base", "trial 1/1": "a#1 / seed 9"},
    }


def test_a_method_that_takes_the_time_of_a_tuned_one_needs_it_and_no_trial():
    long = method("long", protocol=TrainingProtocol(budget={"like": "a"}))
    assert planned(*tuned("a", trials=1), long)["long"] == {"budget": "a"}


def test_a_tuned_method_whose_trials_there_are_not_is_refused():
    with pytest.raises(SpecError, match=r"bench.yaml: methods.a.tune: there is no method 'a#1'"):
        planned(tuned("a")[0])


def test_a_cross_validated_dataset_has_a_cell_for_each_test_fold_and_fraction():
    cells = planned(method("a", labels=(0.5, 1.0)), folds=2)
    assert list(cells) == [
        "a / test fold 1/2, labels 0.5",
        "a / test fold 2/2, labels 0.5",
        "a / test fold 1/2",
        "a / test fold 2/2",
    ]


def test_what_serves_a_cell_leaves_out_the_same_test_fold():
    base, *tries = tuned("base", trials=1, labels=(0.5,))
    cells = sort_upstream_first(benchmark(base, *tries, refiner("fine", "base", labels=(0.5,)), folds=3))
    assert len(cells) == 3 * (1 + 1 + 2 + 1)  # trial, base, its two folds, refiner
    for one, needed in cells.items():
        assert one.subset.is_cross_validated
        assert {other.subset.test_fold for other in needed.values()} <= {one.subset.test_fold}
    without_a_fold = Identity("d", Subset(0.5, 1, 2, 3, 3), "base", 0)
    assert cells[without_a_fold] == {"trial 1/1": Identity("d", Subset(0.5, None, None, 3, 3), "base#1", 9)}


def test_nested_folds_are_refused():
    with pytest.raises(SpecError, match=r"bench.yaml: methods.fine.refines: another trained refiner on top of"):
        planned(method("base"), refiner("fine", "base"), refiner("finer", "fine"))


def test_cells_that_wait_for_each_other_are_refused():
    with pytest.raises(SpecError, match=r"bench.yaml: cyclic reference between cells: d / [ab] / labels 0.5 / seed 0"):
        planned(method("a", start_from="b", labels=(0.5,)), method("b", trains_on=TrainsOn(synthetic="a")))


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("start_from", {"start_from": "gone"}),
        ("refines", {"refines": Refines(method="gone")}),
        ("trains_on", {"trains_on": TrainsOn(synthetic="gone")}),
        ("pseudo_labels_from", {"unlabelled": UnlabelledTerm(pseudo_labels_from="gone"), "labels": (0.5,)}),
    ],
)
def test_a_method_that_needs_what_there_is_not_is_refused(reason, changes):
    with pytest.raises(SpecError, match=rf"bench.yaml: methods.a.{reason}: there is no method 'gone'"):
        planned(method("a", **changes))


needs = st.sampled_from(["start_from", "refines", "trains_on", None])


@given(
    st.lists(st.tuples(st.integers(0, 5), needs, st.sets(st.sampled_from([0.25, 0.5, 1.0]), min_size=1)), max_size=6)
)
def test_every_cell_comes_once_and_after_all_that_it_needs(tree):
    def made(index, to, reason, labels):
        changes = {"labels": tuple(labels)}
        if to < index and reason == "refines":
            changes |= {"refines": Refines(method=str(to)), "losses": ()}
        elif to < index and reason:
            changes |= {"start_from": str(to)} if reason == "start_from" else {"trains_on": TrainsOn(synthetic=str(to))}
        return method(str(index), **changes)

    methods = [made(index, *choice) for index, choice in enumerate(tree)]
    seen = set()
    cells = sort_upstream_first(benchmark(*methods))
    for one, needed in cells.items():
        assert set(needed.values()) <= seen
        seen.add(one)
    asked = {Identity("d", Subset(fraction), method.name, 0) for method in methods for fraction in method.labels}
    assert asked <= seen


fractions = st.floats(0, 1, exclude_min=True)


@pytest.mark.parametrize(
    ("subset", "text"),
    [
        (Subset(), "all"),
        (Subset(0.125), "labels 0.125"),
        (Subset(1.0, 1, 5), "fold 1/5"),
        (Subset(0.125, 5, 5), "labels 0.125, fold 5/5"),
        (Subset(1e-05), "labels 1e-05"),
        (Subset(test_fold=2, test_folds=5), "test fold 2/5"),
        (Subset(1.0, 1, 4, 2, 5), "test fold 2/5, fold 1/4"),
        (Subset(0.125, 1, 4, 2, 5), "test fold 2/5, labels 0.125, fold 1/4"),
    ],
)
def test_a_subset_is_written_in_words(subset, text):
    assert str(subset) == text


no_fold = st.just((None, None))
a_fold = st.integers(2, 99).flatmap(lambda folds: st.tuples(st.integers(1, folds), st.just(folds)))


@given(fractions, no_fold | a_fold, no_fold | a_fold)
def test_a_subset_reads_back_as_it_is_written(fraction, fold, test_fold):
    subset = Subset(fraction, *fold, *test_fold)
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
        "test fold 0/5",
        "test fold 6/5",
        "test fold 1/1",
        "test fold 1",
        "test fold 01/5",
        "fold 1/5, test fold 1/5",
        "labels 0.5, test fold 1/5",
        "test fold 1/5, test fold 1/5",
        "all, test fold 1/5",
    ],
)
def test_what_is_no_subset_is_refused_with_what_may_be_written(text):
    with pytest.raises(SegbenchError) as caught:
        Subset.parse(text)
    assert str(caught.value) == (
        f"{text!r} is no subset; write 'all', or one or more of 'test fold 2/5', 'labels 0.125' and 'fold 1/5', in "
        "this order, with a comma and a space in between"
    )


def test_a_whole_number_is_written_as_a_fraction_is():
    assert str(Subset(1)) == "all"


def test_a_fold_is_left_out_of_a_subset_with_a_fold():
    assert not Subset(0.5).is_fold
    assert Subset(0.5, 1, 5).is_fold


def test_the_folds_that_are_tested_and_those_that_are_predicted_for_a_refiner_are_told_apart():
    tested, predicted = Subset.parse("test fold 2/5"), Subset.parse("test fold 2/5, labels 0.5, fold 1/4")
    assert (tested.is_cross_validated, tested.is_fold) == (True, False)
    assert (predicted.is_cross_validated, predicted.is_fold) == (True, True)
    assert not Subset(0.5, 1, 5).is_cross_validated
    assert str(predicted.whole()) == "test fold 2/5, labels 0.5"
    assert str(predicted.pooled()) == "labels 0.5, fold 1/4"


def test_folds_are_left_out_in_turn_counted_from_one():
    left = ["labels 0.5, fold 1/3", "labels 0.5, fold 2/3", "labels 0.5, fold 3/3"]
    assert list(map(str, Subset(0.5).without_each(3))) == left
