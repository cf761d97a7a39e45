from __future__ import annotations

import re
from pathlib import Path

import pytest

from segbench.errors import SpecError
from segbench.registry import load_registry
from segbench.report.comparison.published import read_published

TABLE = """\
a-paper:
  source: A 2020
  url: https://example.org/a
  dataset: data/camvid
  split: test
  classes: 11
  metric: miou/union
  band: 10
  values:
    ENet: {generator: [realtime/enet], value: 52}
    SegNet: {generator: [classic/segnet], value: 50.5, labels: 0.5}
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "published.yaml"
        path.write_text(text)
        return read_published(path)

    return read


def refusal(read, text):
    with pytest.raises(SpecError) as caught:
        read(text)
    return str(caught.value).rpartition("published.yaml:")[2]


def test_the_values_that_ship_name_components_that_there_are():
    registry = load_registry()
    for table in read_published():
        if table.conditions.dataset.startswith("data/"):
            registry.find("dataset", table.conditions.dataset)
        for value in table.values.values():
            for name in value.generator:
                registry.find("generator", name)
            for name in value.adversarial:
                kinds = ("discriminator", "loss")
                assert any(name in {offer.full_name for offer in registry.offers(kind)} for kind in kinds), name


def test_the_file_that_the_documentation_shows_can_be_read(read):
    page = Path(__file__).parents[3].joinpath("docs/measuring.md").read_text(encoding="utf-8")
    (table,) = read(re.search("```text\n(my-paper:.*?)```", page, re.DOTALL)[1])
    assert table.size_of(table.gains[0]) == 2


def test_a_gain_is_what_one_value_of_a_table_is_above_another(read):
    (table,) = read(TABLE.replace(", labels: 0.5", "") + "  gains: [{of: ENet, over: SegNet}]\n")
    assert table.size_of(table.gains[0]) == 1.5
    assert table.gains[0].band == 3


def test_what_is_left_out_was_not_stated(read):
    (table,) = read(TABLE)
    assert (table.conditions.size, table.conditions.pretrained, table.conditions.trained_on) == (None, None, None)
    assert table.values["ENet"].labels == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "https:",
            "ftp:",
            "3: a-paper.url: 'ftp://example.org/a' is not the address of a page; it must start with https",
        ),
        ("  band: 10\n", "", "1: a-paper.band: is missing"),
        ("classes: 11", "classes: 11.5", "6: a-paper.classes: must be a valid integer, not the number 11.5"),
        ("split:", "spilt:", "5: a-paper.spilt: unknown key 'spilt'. Did you mean 'split'?"),
        ("value: 52", "value: 520", "10: a-paper.values.ENet.value: must be less than or equal to 100"),
        ("generator: [realtime/enet]", "generator: enet", "10: a-paper.values.ENet.generator: must be a list"),
    ],
)
def test_a_mistake_is_told_with_its_line(read, old, new, message):
    assert refusal(read, TABLE.replace(old, new, 1)).startswith(message)


def test_a_gain_names_values_of_its_table_with_equal_labels(read):
    assert "there is no value 'Enet'. Did you mean 'ENet'?" in refusal(
        read, f"{TABLE}  gains: [{{of: Enet, over: ENet}}]"
    )
    assert "different shares of the labels" in refusal(read, f"{TABLE}  gains: [{{of: ENet, over: SegNet}}]")


def test_a_file_without_a_table_or_a_value_is_refused(read):
    assert "the file is empty; a file of published values is a mapping" in refusal(read, "")
    assert "there is no value" in refusal(read, TABLE.partition("  values")[0])
