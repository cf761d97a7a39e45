from __future__ import annotations

import numpy as np
import pytest

from segbench.errors import StatisticsError
from segbench.report.ranking.comparable import (
    check_same_truth,
    explain_refusal,
    find_definition_obstacles,
    find_obstacles,
)
from segbench.report.ranking.rows import NO_STATISTICS, Row
from segbench.report.ranking.sorting import sort_into_rows
from segbench.store.counts import Counts
from segbench.store.record import Evaluated, PerClass

CPU = {"device": "cpu", "device_name": "AMD EPYC 9554", "threads": 8, "torch": "2.15.0"}


def row(*records):
    (found,) = sort_into_rows(records)
    return Row(found.method, found.method, found.records, found.conditions, found.notes, NO_STATISTICS)


def fields(one, other):
    return [obstacle.field for obstacle in find_obstacles(row(one), row(other))]


def test_a_method_and_its_twin_under_one_protocol_may_be_compared(trained, adversarial):
    assert find_obstacles(row(trained(seed=0), trained(seed=1)), row(adversarial())) == []


@pytest.mark.parametrize(
    ("choices", "field", "value"),
    [
        ({"benchmark": "other"}, "benchmark", "other"),
        ({"dataset": "cityscapes"}, "dataset", "cityscapes"),
        ({"fingerprint": "0" * 32}, "data fingerprint", "000000000000"),
        ({"subset": "labels 0.125"}, "share of the labels", "12.5 % of the labels"),
        ({"split": "val"}, "split", "val"),
        ({"protocol": {"precision": "bf16"}}, "precision", "bf16"),
        ({"protocol": {"budget": {"epochs": 100}}}, "protocol.budget.epochs", "100.0"),
        ({"fields": {"evaluated": Evaluated(split="test", images=101)}}, "number of images", "101"),
        ({"fields": {"per_class": PerClass(iou=[0.5, 0.5])}}, "number of classes", "2"),
        ({"fields": {"definitions": {"miou": "miou/union@2"}}}, "the definition of miou", "miou/union@2"),
    ],
)
def test_a_field_that_differs_is_named_with_both_values(trained, adversarial, choices, field, value):
    one, other = row(trained()), row(adversarial(**choices))
    found = {obstacle.field: obstacle for obstacle in find_obstacles(one, other)}
    assert field in found
    assert found[field].other == value
    assert found[field].one != value
    message = explain_refusal(one, other, [found[field]])
    assert message.startswith(f"'unet' and 'unet+critic' cannot be compared because they differ in {field}: ")
    assert f"{value} (unet+critic); {found[field].remedy}" in message


def test_classes_of_other_names_or_in_another_order_are_refused(trained, adversarial):
    def classes(*names):
        return {"fields": {"evaluated": Evaluated(split="test", images=233, classes=list(names))}}

    one = trained(**classes("sky", "road", "pole"))
    assert fields(one, adversarial(**classes("sky", "pole", "road"))) == ["classes"]
    assert fields(one, adversarial(**classes("sky", "road", "pole"))) == []


def test_what_one_of_them_does_not_tell_is_left_out_of_account(trained, adversarial):
    named = {"evaluated": Evaluated(split="test", images=233, classes=["sky", "road", "pole"])}
    assert fields(trained(fields=named), adversarial(inference=[])) == []


@pytest.mark.parametrize(
    "choices",
    [{"environment": CPU}, {"environment": {**CPU, "torch": "2.16"}}, {"protocol": {"compile": True}}],
    ids=str,
)
def test_another_device_another_torch_and_compilation_are_no_obstacle(trained, adversarial, choices):
    assert fields(trained(), adversarial(**choices)) == []


def test_a_key_that_a_method_overrides_may_differ(trained, adversarial):
    changed = {"protocol": {"budget": {"epochs": 100}}}
    assert fields(trained(), adversarial(**changed, overrides=("budget",))) == []


def test_seeds_of_one_method_with_two_definitions_are_refused(trained, adversarial):
    later = {"definitions": {"miou": "miou/union@1", "ece": "ece/top-label-15@2"}}
    sooner = {"definitions": {"miou": "miou/union@1", "ece": "ece/top-label-15@1"}}
    one = row(trained(seed=0, fields=later), trained(seed=1, fields=sooner))
    other = row(adversarial(fields=sooner))
    assert find_obstacles(one, other) == []
    (found,) = find_definition_obstacles(one, other, "ece")
    assert (found.one, found.other) == ("ece/top-label-15@2 and ece/top-label-15@1", "ece/top-label-15@1")


def test_scores_at_two_resolutions_are_refused_with_what_to_do(trained, adversarial):
    resized = {"definitions": {"miou": "miou/union@1, labels resized by factor 0.5"}}
    one, other = row(trained(fields={"definitions": {"miou": "miou/union@1"}})), row(adversarial(fields=resized))
    assert explain_refusal(one, other, find_obstacles(one, other)) == (
        "'unet' and 'unet+critic' cannot be compared because they differ in the definition of miou: miou/union@1 "
        "(unet) and miou/union@1, labels resized by factor 0.5 (unet+critic); score both at one resolution, such as "
        "`score_at: native`"
    )


def test_all_that_differs_is_told_at_once(trained, adversarial):
    one, other = row(trained()), row(adversarial(protocol={"precision": "bf16"}, overrides=("precision",), split="val"))
    message = explain_refusal(one, other, find_obstacles(one, other))
    assert "split: test (unet) and val (unet+critic); precision: fp32 (unet) and bf16 (unet+critic)" in message
    assert message.endswith("score both on one split, and run both under the same conditions")


def counts(*confusions):
    return Counts(tuple(f"{i}" for i in range(len(confusions))), "test", np.array(confusions, dtype=np.int64))


def test_predictions_may_differ_where_the_truth_is_the_same():
    check_same_truth({"a": {0: counts([[3, 1], [0, 2]])}, "b": {0: counts([[1, 3], [2, 0]])}})


def test_another_truth_is_refused_with_the_image():
    one, other = counts([[1, 0], [0, 1]], [[3, 1], [0, 2]]), counts([[1, 0], [0, 1]], [[3, 0], [1, 2]])
    with pytest.raises(StatisticsError, match=r"a, seed 0 and b, seed 4 were scored with different labels \(image '1'"):
        check_same_truth({"a": {0: one}, "b": {4: other}})
