from __future__ import annotations

from pathlib import Path

import pytest

from segbench.errors import SpecError
from segbench.spec.node import Place
from segbench.spec.protocol import Protocol
from segbench.spec.reader import read_text
from segbench.spec.validate import validated


def read(text):
    return read_text(text, Place("bench.yaml", Path(), 1, "protocol"))


def refusal(text):
    with pytest.raises(SpecError) as caught:
        validated(Protocol, read(text))
    return str(caught.value)


def test_a_right_protocol_is_returned():
    protocol = validated(Protocol, read("budget: {epochs: 3}\ncrop: [32, 48]\noptimizer: {use: adam, betas: [0, 0.9]}"))
    assert protocol.budget.epochs == 3
    assert protocol.crop == (32, 48)
    assert protocol.optimizer.betas == (0, 0.9)


def test_null_stands_for_the_default():
    protocol = validated(Protocol, read("budget: {epochs: 3, steps: null}\ncrop: null\naugment: null\nbatch_size:"))
    assert protocol == Protocol(budget={"epochs": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budgt: {steps: 1}", "1: protocol.budgt: unknown key 'budgt'; allowed here: budget, batch_size, "),
        (
            "\nkeep: {modle: none}",
            "2: protocol.keep.modle: unknown key 'modle'; allowed here: model, samples. Did you mean",
        ),
        ("window: {size: [1, 2]}", "1: protocol.window.stride: is missing"),
        ("\nbatch_size: 8.0", "2: protocol.batch_size: must be a valid integer, not the number 8.0"),
        ("batch_size: true", "1: protocol.batch_size: must be a valid integer, not true"),
        ("batch_size: '8'", "1: protocol.batch_size: must be a valid integer, not the text '8'"),
        ("batch_size: 0", "1: protocol.batch_size: must be greater than 0, not the number 0"),
        ("augment:\n  flip: no", "2: protocol.augment.flip: must be true or false, not the text 'no'"),
        ("precision: fp8", "1: protocol.precision: must be 'fp32', 'bf16' or 'fp16', not the text 'fp8'"),
        ("crop: 3", "1: protocol.crop: must be a list, not the number 3"),
        ("crop: [3]", "1: protocol.crop.1: is missing"),
        ("crop: [3, 4, 5]", "1: protocol.crop: must have 2 items, not 3"),
        ("crop:\n- 3\n- x", "3: protocol.crop.1: must be a valid integer, not the text 'x'"),
        (
            "schedule: [poly]",
            "1: protocol.schedule: must be a mapping with keys of use, power, warmup_steps, not a list",
        ),
        ("schedule: ploy", "1: protocol.schedule.use: must be 'poly', 'cosine' or 'constant', not the text 'ploy'"),
        ("optimizer:\n  use: sgd\n  betas: [0.1, 0.2]", "1: protocol.optimizer: sgd has no betas"),
        ("optimizer: {ust: sgd}", "1: protocol.optimizer.ust: unknown key 'ust'; allowed here: use, lr"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, message):
    assert f"bench.yaml:{message}" in refusal(text)


def test_every_mistake_is_told_in_the_order_of_lines():
    lines = refusal("optimizer: {lr: x}\nfoo: 1\nbudget: {steps: 1}\ncrop: 1").splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "4"]


def test_a_budget_is_needed():
    assert refusal("batch_size: 3") == "bench.yaml:1: protocol.budget: is missing"


def test_a_protocol_is_a_mapping():
    assert "bench.yaml:1: protocol: must be a mapping with keys of budget, " in refusal("[1]")
