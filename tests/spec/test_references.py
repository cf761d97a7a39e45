from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.errors import SpecError
from segbench.spec.node import Place
from segbench.spec.references import Reference, check_exists, in_order


def references(**graph):
    """Name of the referring one to the names it refers to; the line is the position in the graph."""
    lines = enumerate(graph.items(), start=1)
    return {
        name: [Reference(to, Place("bench.yaml", Path(), line).entry(name)) for to in tos]
        for line, (name, tos) in lines
    }


def test_names_come_after_those_they_refer_to():
    assert in_order(references(a="b", b="c", c="")) == ["c", "b", "a"]


def test_a_circle_is_named_with_every_place():
    with pytest.raises(SpecError) as caught:
        in_order(references(a="b", b="c", c="a", d="a"))
    first, *others = str(caught.value).splitlines()
    message = "this goes round in a circle: "
    place, _, circle = first.partition(message)
    names = circle.split(" -> ")
    assert names[0] == names[-1]
    assert sorted(names[1:]) == ["a", "b", "c"]
    assert sorted([place, *(line.strip() for line in others)])[0].startswith("bench.yaml:1: a: ")
    assert len(others) == 2


def test_a_name_that_refers_to_itself_is_a_circle():
    with pytest.raises(SpecError, match=r"^bench.yaml:1: a: this goes round in a circle: a -> a$"):
        in_order(references(a="a"))


def test_a_dangling_reference_is_an_error_with_the_nearest_name():
    reference = Reference("unte", Place("bench.yaml", Path(), 3, "methods.b.extends"))
    with pytest.raises(SpecError) as caught:
        check_exists(reference, "method", ["unet", "fpn"])
    assert str(caught.value) == (
        "bench.yaml:3: methods.b.extends: there is no method 'unte'; there is unet, fpn. Did you mean 'unet'?"
    )


@given(
    st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=9))
)
def test_an_order_respects_every_reference_or_there_is_a_circle(edges):
    names = {str(end) for edge in edges for end in edge}
    graph = references(**{name: [str(to) for start, to in edges if str(start) == name] for name in sorted(names)})
    try:
        order = in_order(graph)
    except SpecError as error:
        steps = str(error).splitlines()[0].rpartition(": ")[2].split(" -> ")
        assert all((int(a), int(b)) in edges for a, b in pairwise(steps))
    else:
        assert all(order.index(str(to)) < order.index(str(start)) for start, to in edges)
