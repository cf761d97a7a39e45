from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config.protocol import TrainingProtocol
from segbench.config.validation import Reference, check_exists, check_name, sort_by_reference, validate
from segbench.config.yaml import Place, read_text
from segbench.errors import SpecError

HERE = Place("bench.yaml", Path(), 1)


@pytest.mark.parametrize("name", ["unet", "unet+critic", "deeplabv3plus-r18", "lr0.1", "3_layers", "unet++"])
def test_names_may_hold_what_names_of_methods_do(name):
    check_name(name, HERE)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "-x", "a\n", "é", "m~frozen"])
def test_names_that_cannot_be_a_folder_or_are_derived_are_refused(name):
    with pytest.raises(SpecError, match="cannot be a name: use letters, digits"):
        check_name(name, HERE)


def references(**graph):
    """Name of the referring one to the names it refers to; the line is the position in the graph."""
    lines = enumerate(graph.items(), start=1)
    return {
        name: [Reference(to, Place("bench.yaml", Path(), line).entry(name)) for to in tos]
        for line, (name, tos) in lines
    }


def test_names_come_after_those_they_refer_to():
    assert sort_by_reference(references(a="b", b="c", c="")) == ["c", "b", "a"]


def test_a_circle_is_named_with_every_place():
    with pytest.raises(SpecError) as caught:
        sort_by_reference(references(a="b", b="c", c="a", d="a"))
    first, *others = str(caught.value).splitlines()
    message = "cyclic reference: "
    place, _, circle = first.partition(message)
    names = circle.split(" -> ")
    assert names[0] == names[-1]
    assert sorted(names[1:]) == ["a", "b", "c"]
    assert sorted([place, *(line.strip() for line in others)])[0].startswith("bench.yaml:1: a: ")
    assert len(others) == 2


def test_a_name_that_refers_to_itself_is_a_circle():
    with pytest.raises(SpecError, match=r"^bench.yaml:1: a: cyclic reference: a -> a$"):
        sort_by_reference(references(a="a"))


def test_a_dangling_reference_is_an_error_with_the_nearest_name():
    reference = Reference("unte", Place("bench.yaml", Path(), 3, "methods.b.extends"))
    with pytest.raises(SpecError) as caught:
        check_exists(reference, "method", ["unet", "fpn"])
    assert str(caught.value) == (
        "bench.yaml:3: methods.b.extends: there is no method 'unte'. Did you mean 'unet'? Available: unet, fpn."
    )


@given(
    st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=9))
)
def test_an_order_respects_every_reference_or_there_is_a_circle(edges):
    names = {str(end) for edge in edges for end in edge}
    graph = references(**{name: [str(to) for start, to in edges if str(start) == name] for name in sorted(names)})
    try:
        order = sort_by_reference(graph)
    except SpecError as error:
        steps = str(error).splitlines()[0].rpartition(": ")[2].split(" -> ")
        assert all((int(a), int(b)) in edges for a, b in pairwise(steps))
    else:
        assert all(order.index(str(to)) < order.index(str(start)) for start, to in edges)


def read(text):
    return read_text(text, Place("bench.yaml", Path(), 1, "protocol"))


def refusal(text):
    with pytest.raises(SpecError) as caught:
        validate(TrainingProtocol, read(text))
    return str(caught.value)


def test_a_right_protocol_is_returned():
    protocol = validate(
        TrainingProtocol, read("budget: {epochs: 3}\ncrop: [32, 48]\noptimizer: {use: adam, betas: [0, 0.9]}")
    )
    assert protocol.budget.epochs == 3
    assert protocol.crop == (32, 48)
    assert protocol.optimizer.betas == (0, 0.9)


def test_null_stands_for_the_default():
    protocol = validate(
        TrainingProtocol, read("budget: {epochs: 3, steps: null}\ncrop: null\naugment: null\nbatch_size:")
    )
    assert protocol == TrainingProtocol(budget={"epochs": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "budgt: {steps: 1}",
            "1: protocol.budgt: unknown key 'budgt'. Did you mean 'budget'? Available: budget, batch_size, ",
        ),
        (
            "\nkeep: {modle: none}",
            "2: protocol.keep.modle: unknown key 'modle'. Did you mean 'model'? Available: model, samples.",
        ),
        ("window: {size: [1, 2]}", "1: protocol.window.stride: is missing"),
        ("\nbatch_size: 8.0", "2: protocol.batch_size: must be a valid integer, not the number 8.0"),
        ("batch_size: true", "1: protocol.batch_size: must be a valid integer, not true"),
        ("batch_size: '8'", "1: protocol.batch_size: must be a valid integer, not the text '8'"),
        ("batch_size: 0", "1: protocol.batch_size: must be greater than 0, not the number 0"),
        ("augment:\n  rotate90: no", "2: protocol.augment.rotate90: must be true or false, not the text 'no'"),
        (
            "precision: fp8",
            "1: protocol.precision: unknown value 'fp8'. Available: fp32, bf16, fp16.",
        ),
        (
            "budget: {steps: 1}\ncrop: [8, 6]\naugment: {rotate90: true}",
            "1: protocol: augment.rotate90 turns crops by a quarter, and [8, 6] (height, width) is not square; set "
            "crop to [6, 6], or use rotate",
        ),
        ("crop: 3", "1: protocol.crop: must be a list, not the number 3"),
        ("crop: [3]", "1: protocol.crop.1: is missing"),
        ("crop: [3, 4, 5]", "1: protocol.crop: must have 2 items, not 3"),
        ("crop:\n- 3\n- x", "3: protocol.crop.1: must be a valid integer, not the text 'x'"),
        (
            "schedule: [poly]",
            "1: protocol.schedule: must be a mapping with keys of use, power, warmup_steps, restarts, not a list",
        ),
        (
            "schedule: ploy",
            "1: protocol.schedule.use: unknown value 'ploy'. Did you mean 'poly'? Available: poly, cosine, constant, "
            "one_cycle.",
        ),
        ("optimizer:\n  use: sgd\n  betas: [0.1, 0.2]", "1: protocol.optimizer: sgd has no betas"),
        (
            "optimizer: {ust: sgd}",
            "1: protocol.optimizer.ust: unknown key 'ust'. Did you mean 'use'? Available: use, lr",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(text, message):
    assert f"bench.yaml:{message}" in refusal(text)


def test_every_mistake_is_reported_in_the_order_of_lines():
    lines = refusal("optimizer: {lr: x}\nfoo: 1\nbudget: {steps: 1}\ncrop: 1").splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "4"]


def test_a_budget_is_needed():
    assert refusal("batch_size: 3") == "bench.yaml:1: protocol.budget: is missing"


def test_a_protocol_is_a_mapping():
    assert "bench.yaml:1: protocol: must be a mapping with keys of budget, " in refusal("[1]")
