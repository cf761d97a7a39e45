from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from segbench.spec.merge import lay_over
from segbench.spec.node import Place
from segbench.spec.reader import read_text


def over(base, patch):
    place = Place("bench.yaml", Path(), line=1)
    return lay_over(read_text(base, place), read_text(patch, place)).plain()


def test_mappings_merge_deeply():
    assert over("{a: {b: 1, c: 2}, d: 3}", "{a: {c: 4}}") == {"a": {"b": 1, "c": 4}, "d": 3}


def test_lists_and_scalars_replace():
    assert over("{a: [1, 2], b: 1}", "{a: [3], b: 2}") == {"a": [3], "b": 2}


def test_null_removes():
    assert over("{a: 1, b: {c: 2, d: 3}}", "{a: null, b: {c: null}, e: null}") == {"b": {"d": 3}}


def test_a_changed_use_replaces_the_mapping():
    assert over("{g: {use: x, width: 3}}", "{g: {use: y, depth: 2}}") == {"g": {"use": "y", "depth": 2}}


def test_the_same_use_merges():
    assert over("{g: {use: x, width: 3}}", "{g: {use: x, depth: 2}}") == {"g": {"use": "x", "width": 3, "depth": 2}}


def test_options_are_added_to_a_bare_name():
    assert over("{g: x}", "{g: {width: 3}}") == {"g": {"use": "x", "width": 3}}


def test_a_bare_name_replaces_the_mapping_of_another_component():
    assert over("{g: {use: x, width: 3}}", "{g: y}") == {"g": {"use": "y"}}


def test_a_bare_name_keeps_the_options_of_the_same_component():
    assert over("{g: {use: x, width: 3}}", "{g: x}") == {"g": {"use": "x", "width": 3}}


def test_another_budget_replaces_the_first():
    assert over("{budget: {steps: 5}}", "{budget: {epochs: 1}}") == {"budget": {"epochs": 1}}


def test_pseudo_labels_replace_a_loss_and_the_reverse():
    loss, labels = "{use: x, weight: 2}", "{pseudo_labels_from: m, weight: 3}"
    assert over(f"{{u: {loss}}}", f"{{u: {labels}}}") == {"u": {"pseudo_labels_from": "m", "weight": 3}}
    assert over(f"{{u: {labels}}}", f"{{u: {loss}}}") == {"u": {"use": "x", "weight": 2}}


def test_labels_of_another_method_keep_the_settings():
    over_them = over("{u: {pseudo_labels_from: m, weight: 3}}", "{u: {pseudo_labels_from: n}}")
    assert over_them == {"u": {"pseudo_labels_from": "n", "weight": 3}}


def test_a_bare_name_of_what_is_refined_is_a_method():
    assert over("{refines: {method: m, folds: 3}}", "{refines: n}") == {"refines": {"method": "n", "folds": 3}}
    assert over("{refines: m}", "{refines: {folds: 3}}") == {"refines": {"method": "m", "folds": 3}}


def test_nulls_inside_what_is_new_stay():
    assert over("{a: 1}", "{g: {use: x, width: null}}") == {"a": 1, "g": {"use": "x", "width": None}}


names = st.sampled_from(["a", "b", "use", "budget", "pseudo_labels_from", "refines"])
leaves = st.integers(0, 3) | st.sampled_from(["x", "y"]) | st.lists(st.integers(0, 3), max_size=2)
mappings = st.recursive(
    st.dictionaries(names, leaves, max_size=3), lambda inner: st.dictionaries(names, inner | leaves, max_size=3)
)


@given(mappings)
def test_laying_nothing_or_itself_over_changes_nothing(base):
    assert over(repr(base), "{}") == base
    assert over(repr(base), repr(base)) == base


@given(mappings, mappings)
def test_laying_over_twice_is_laying_over_once(base, patch):
    once = over(repr(base), repr(patch))
    assert over(repr(once), repr(patch)) == once
