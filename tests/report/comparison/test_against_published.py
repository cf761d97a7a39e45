from __future__ import annotations

import json

import pytest

from segbench.report.comparison.against_published import compare_with_published, lay_out_published, published_to_json
from segbench.report.formats.markdown import to_markdown
from segbench.report.formats.terminal import to_terminal
from segbench.store.record import Evaluated

CAMVID = (
    "{source: A 2020, url: 'https://example.org/a', dataset: data/camvid, split: test, classes: 3, size: [360, 480]"
)
PLAIN = f"a: {CAMVID}, trained_on: train, pretrained: none, metric: miou/union, band: 10, values: "
UNET = "{U-Net: {generator: [smp/unet], value: 55}}}"
GAIN = (
    "{U-Net: {generator: [smp/unet], value: 50}, Critic: {adversarial: [gan/patchgan, gan/hinge], value: 52}}, "
    "gains: [{of: Critic, over: U-Net}]}"
)
SEEDS = range(3)


@pytest.fixture
def compared(tmp_path, results):
    """Write records and a file of published values, and compare them."""

    def compare(text, *records, **choices):
        file = tmp_path / "published.yaml"
        file.write_text(text)
        return compare_with_published([results(*records)], file, **choices)

    return compare


def of_three_classes(record, split="test"):
    evaluated = Evaluated(split=split, images=233, classes=["sky", "road", "pole"])
    return record.model_copy(update={"evaluated": evaluated})


@pytest.mark.parametrize(
    ("miou", "standing"), [(0.46, "inside"), (0.65, "inside"), (0.44, "outside"), (0.66, "outside")]
)
def test_a_value_is_inside_the_band_or_outside(compared, trained, miou, standing):
    (found,) = compared(PLAIN + UNET, of_three_classes(trained(miou=miou))).findings
    assert (found.standing, found.why) == (standing, ())


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("split: test", "split: val", "split: val, here test"),
        ("classes: 3", "classes: 11", "classes: 11, here 3"),
        ("[360, 480]", "[720, 960]", "size: 720×960, here 360×480"),
        (", size: [360, 480]", "", "size: not stated, here 360×480"),
        ("pretrained: none", "pretrained: ImageNet", "pretraining: ImageNet, here none"),
        ("trained_on: train", "trained_on: train and val", "trained on: train and val, here train"),
        ("miou/union", "IoU of cars", "metric: IoU of cars, here miou/union"),
        ("value: 55", "value: 55, labels: 0.125", "labels: 12.5 %, here 100 %"),
        ("data/camvid", "data/cityscapes", "dataset: data/cityscapes, here data/camvid"),
    ],
)
def test_under_other_conditions_a_value_is_not_comparable_and_it_is_said_why(compared, trained, old, new, why):
    (found,) = compared((PLAIN + UNET).replace(old, new, 1), of_three_classes(trained())).findings
    assert (found.standing, found.why) == ("not comparable", (why,))


@pytest.mark.parametrize(
    ("weights", "published"),
    [
        ("smp-hub/resnet18.imagenet", "ImageNet"),
        ("torchvision/resnet50.IMAGENET1K_V2", "ImageNet"),
        ("timm/tf_efficientnet_lite0.in1k", "ImageNet"),
        ("timm/vit.augreg_in21k_ft_in1k", "timm/vit.augreg_in21k_ft_in1k"),
    ],
)
def test_pretraining_is_told_from_the_weights_that_were_read(compared, trained, weights, published):
    record = of_three_classes(trained(fields={"provenance": {"weights": weights}}))
    (found,) = compared((PLAIN + UNET).replace("pretrained: none", f"pretrained: {published}"), record).findings
    assert found.why == ()


def test_resized_images_are_of_another_size_and_resized_labels_another_metric(compared, trained):
    half = of_three_classes(trained(protocol={"resize": {"factor": 0.5}}))
    (found,) = compared(PLAIN + UNET, half).findings
    assert found.why == ("size: 360×480, here 180×240",)
    definitions = {"miou": "miou/union@1, labels resized by factor 0.5"}
    (found,) = compared(PLAIN + UNET, half.model_copy(update={"definitions": definitions})).findings
    assert found.why[0] == "metric: miou/union, here miou/union, labels resized by factor 0.5"


def test_a_supervised_value_is_not_of_a_method_with_a_critic_nor_of_another_network(compared, trained, adversarial):
    records = trained("fpn", generator="smp/fpn"), adversarial()
    found = compared(PLAIN + UNET, *records)
    assert found.findings == []
    assert found.unmatched == [("a", "U-Net")]


def pair(counted, trained, adversarial, ours, theirs, **choices):
    """Records with their counts of a U-Net with a critic and of its twin."""
    images = (-0.02, -0.01, 0.0, 0.01, 0.02)
    for make, share in ((adversarial, ours), (trained, theirs)):
        for seed in SEEDS:
            record = make(seed=seed, **choices)
            record, counts = counted(record, [share + 0.001 * seed + image for image in images])
            yield record, counts


@pytest.mark.parametrize(
    ("ours", "theirs", "order", "standing"),
    [
        (0.81, 0.80, "the same", "inside"),
        (0.85, 0.80, "the same", "outside"),
        (0.80, 0.82, "the opposite", "outside"),
    ],
)
def test_a_gain_is_that_over_the_twin(compared, counted, trained, adversarial, ours, theirs, order, standing):
    text = (PLAIN + GAIN).replace("classes: 3", "classes: 2").replace("pretrained: none", "pretrained: ImageNet")
    records = [
        (record.model_copy(update={"evaluated": record.evaluated.model_copy(update={"classes": ["a", "b"]})}), counts)
        for record, counts in pair(counted, trained, adversarial, ours, theirs)
    ]
    (ranking,) = compared(text, *records).rankings
    (found,) = ranking.gains
    assert (found.methods, found.rows) == (("Critic", "U-Net"), ("unet+critic", "unet"))
    # of two classes of equally many pixels, of which a share s is right, the mIoU is s / (2 - s)
    assert found.measured == pytest.approx(100 * (ours / (2 - ours) - theirs / (2 - theirs)), abs=0.1)
    assert found.published == 2
    assert (found.order, found.standing) == (order, standing)
    assert found.recipe == ("network: not stated, here smp/unet", "pretraining: ImageNet, here none")


def test_a_gain_on_another_dataset_is_not_comparable(compared, trained, adversarial):
    text = (PLAIN + GAIN).replace("data/camvid", "Stanford Background")
    (ranking,) = compared(text, trained(), adversarial()).rankings
    (found,) = ranking.gains
    assert (found.standing, found.why) == ("not comparable", ("dataset: Stanford Background, here data/camvid",))
    assert found.recipe == ()


def test_an_order_of_two_networks_is_compared_where_no_twin_is_meant(compared, trained):
    values = "{A: {generator: [smp/unet], value: 60}, B: {generator: [smp/fpn], value: 50}}, gains: [{of: A, over: B}]}"
    records = of_three_classes(trained(miou=0.62)), of_three_classes(trained("fpn", generator="smp/fpn", miou=0.5))
    (ranking,) = compared(PLAIN + values, *records).rankings
    (found,) = ranking.gains
    assert (found.rows, found.standing, found.order) == (("unet", "fpn"), "inside", "undecided")
    assert found.measured == pytest.approx(12)
    assert found.interval is None  # these records have no counts


def test_placebos_and_doses_are_no_published_methods(compared, adversarial):
    recipe = {"placebo_of": "unet+critic"}
    (ranking,) = compared(PLAIN + GAIN, adversarial(), adversarial("unet+critic~frozen", recipe=recipe)).rankings
    assert [found.rows for found in ranking.values] == [("unet+critic",)]


def test_text_and_markdown_show_both_values_and_the_source(compared, trained):
    document = lay_out_published(compared(PLAIN + UNET, of_three_classes(trained(miou=0.5))))
    text = to_terminal(document)
    assert "U-Net (a)  55.00 ± 10  unet  50.00  inside    -" in text
    assert "a: A 2020, https://example.org/a" in text
    assert "Published gains" not in text
    assert "| U-Net (a) | 55.00 ± 10 | unet | 50.00 | inside | - |" in to_markdown(document)


def test_methods_that_cannot_be_compared_for_one_reason_share_a_line(compared, trained):
    records = [of_three_classes(trained(name, miou=miou)) for name, miou in (("unet", 0.5), ("unet-long", 0.6))]
    other = to_terminal(lay_out_published(compared((PLAIN + UNET).replace("[360, 480]", "[720, 960]"), *records)))
    assert "unet-long, unet     -  not comparable  size: 720×960, here 360×480" in other
    same = to_terminal(lay_out_published(compared(PLAIN + UNET, *records)))
    assert [line.split()[5:7] for line in same.splitlines() if line.startswith("U-Net (a)")] == [
        ["unet-long", "60.00"],
        ["unet", "50.00"],
    ]


def test_json_has_the_figures_in_points(compared, trained):
    data = json.loads(published_to_json(compared(PLAIN + UNET, of_three_classes(trained(miou=0.5)))))
    (ranking,) = data["rankings"]
    (value,) = ranking["values"]
    assert data["schema"] == 1
    assert (value["published"], value["here"], value["value"], value["measured"]) == (["U-Net"], ["unet"], 55, 50)
    assert (value["standing"], value["why"], ranking["gains"]) == ("inside", [], [])


def test_only_one_benchmark_or_dataset_may_be_asked_for(compared, trained):
    records = trained(), trained(dataset="other")
    assert len(compared(PLAIN + UNET, *records).rankings) == 2
    assert [one.data.dataset for one in compared(PLAIN + UNET, *records, dataset="other").rankings] == ["other"]
