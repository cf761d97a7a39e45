from __future__ import annotations

import pytest

TEXT = ("table", "markdown", "latex")


@pytest.mark.parametrize("format", TEXT)
def test_what_is_left_over_a_placebo_is_explained(critics, format, whole_text):
    text = " ".join(whole_text(critics, format).split()).replace("\\textasciitilde{}", "~").replace("\\~", "~")
    text = text.replace("$-$", "-")
    assert "METHOD - METHOD~KIND is the part of the gain that the placebo does not have" in text
    assert "No interval is computed" not in text


def test_what_does_not_occur_is_not_defined(folder, whole_text):
    text = whole_text(folder)
    absent = (
        "Difference",
        "Health",
        "Generated",
        "Refinement",
        "auxiliary",
        "Interval:",
        "Labels:",
        "Tuning",
        "lacebo",
        "Twin",
    )
    assert not [word for word in absent if word in text]
    assert not [word for word in ("boundary", "ECE", "Quality", "tier", "joules", "+ argmax") if word in text]


@pytest.mark.parametrize("format", TEXT)
def test_every_score_that_is_shown_has_its_definition(measured, format, whole_text):
    names = ("miou/union@1", "boundary_iou/union@1", "boundary_f1/per-image@1", "ece/top-label-15@1", "nll@1")
    text = " ".join(whole_text(measured, format).split()).replace("\\", "")
    for name in names:
        assert f"({name}): " in text
    assert "hd95" not in text


def test_scores_at_the_resized_resolution_are_told_apart(trained, results, whole_text):
    resized = {"definitions": {"miou": "miou/union@1, labels resized by factor 0.5"}}
    text = whole_text(results(trained("unet", fields=resized), trained("fpn")))
    assert "mIoU (miou/union@1, labels resized by factor 0.5): against labels that were resized as the images" in text
    assert "another version" not in text


def test_a_definition_of_another_version_is_named(trained, results, whole_text):
    text = whole_text(results(trained("unet", fields={"definitions": {"miou": "miou/union@9"}})))
    assert "mIoU (miou/union@9): a definition of another version of segbench." in text
    assert "(miou/union@1)" not in text
