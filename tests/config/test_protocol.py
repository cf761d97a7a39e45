from __future__ import annotations

import sys

import pytest
from pydantic import ValidationError

from segbench.config.protocol import Budget, Features, SurfaceDistances, TrainingProtocol
from segbench.config.resize import Resize
from segbench.errors import SpecError
from segbench.registry.extras import install_command

from .conftest import METHODS, START

BUDGET = Budget(steps=1)


@pytest.mark.parametrize(
    "given", [{}, {"epochs": 1, "steps": 2}, {"epochs": 1, "seconds": 2}, {"like": "a", "epochs": 3, "in": "seconds"}]
)
def test_a_budget_is_exactly_one_of_four(given):
    with pytest.raises(ValidationError, match="give exactly one of epochs, steps, seconds, like"):
        Budget(**given)


@pytest.mark.parametrize("given", [{"like": "a"}, {"like": "a", "in": "seconds"}])
def test_a_budget_is_like_another_in_seconds(given):
    budget = Budget(**given)
    assert budget == Budget(like="a")
    assert Budget.model_validate_json(budget.model_dump_json()) == budget


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"like": "a", "in": "steps"}, r"for as many steps give their number, such as \{steps: 100\}, or leave the"),
        ({"like": "a", "in": "epochs"}, r"for as many epochs give their number"),
        ({"like": "a", "in": "hours"}, r"write \{like: METHOD, in: seconds\}; 'hours' is not a unit for it"),
        ({"steps": 3, "in": "seconds"}, r"`in` is used only together with like: \{like: METHOD, in: seconds\}"),
    ],
)
def test_a_budget_is_like_another_in_nothing_else(given, message):
    with pytest.raises(ValidationError, match=message):
        Budget(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 8, "processes": 3}, "batch_size 8 cannot be divided into equal shares for processes: 3; set"),
        ({"processes": 2, "compile": True}, "compile: true works in one process only"),
        ({"processes": 0}, "greater than or equal to 1"),
    ],
)
def test_processes_that_cannot_share_a_batch_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        TrainingProtocol(budget=BUDGET, **given)


def test_one_process_leaves_no_trace():
    assert "processes" not in TrainingProtocol(budget=BUDGET).model_dump()
    assert TrainingProtocol(budget=BUDGET, processes=2).model_dump()["processes"] == 2


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
def test_a_protocol_survives_being_stored(schedule):
    protocol = TrainingProtocol(
        budget=BUDGET, crop=(3, 4), schedule=schedule, optimizer={"use": "adam", "betas": (0.5, 0.9)}
    )
    assert TrainingProtocol.model_validate_json(protocol.model_dump_json()) == protocol


# The features stand on line 7.
TEXT = START.replace("seeds:", "  features: FEATURES\nseeds:") + METHODS
METHODS_ONLY = START + METHODS
OVERRIDE = "more: {extends: net, protocol: {features: {use: resnet18, weights: more.pth}}}"


@pytest.fixture
def weights(workshop):
    path = workshop.path.parent / "w.safetensors"
    path.touch()
    return path


def test_features_are_statistics_of_pixels_by_default(workshop):
    assert workshop.load().methods["net"].protocol.features == Features(use="pixel_statistics")


def test_weights_are_relative_to_the_file_that_names_them(workshop, weights):
    protocol = (
        workshop.load(TEXT.replace("FEATURES", "{use: resnet18, weights: ./w.safetensors}")).methods["net"].protocol
    )
    assert protocol.features == Features(use="resnet18", weights=str(weights.resolve()))


def test_weights_of_the_command_line_are_relative_to_the_working_folder(workshop, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "w.pth").touch()
    monkeypatch.chdir(tmp_path / "here")
    found = workshop.load(sets=["protocol.features={use: resnet18, weights: w.pth}"]).methods["net"].protocol.features
    assert found.weights == str((tmp_path / "here" / "w.pth").resolve())


def test_a_method_may_have_features_of_its_own(workshop, tmp_path):
    (tmp_path / "more.pth").touch()
    more = workshop.load(f"{START}{METHODS}  {OVERRIDE}\n").methods["more"]
    assert more.protocol.features.weights == str((tmp_path / "more.pth").resolve())
    assert more.overrides == ("features.use", "features.weights")


def test_surface_distances_need_monai(workshop, monkeypatch):
    text = TEXT.replace("features: FEATURES", "surface_distances: {tolerance: 3}")
    monkeypatch.setitem(sys.modules, "monai", None)  # as if it were not installed
    with pytest.raises(SpecError) as refusal:
        workshop.load(text)
    assert str(refusal.value).endswith(
        "bench.yaml:7: protocol.surface_distances: needs the library monai, not installed here: "
        + install_command("medical")
    )
    assert workshop.load(METHODS_ONLY).methods["net"].protocol.surface_distances is None


def test_surface_distances_are_read_where_monai_is_there(workshop):
    pytest.importorskip("monai")
    text = TEXT.replace("features: FEATURES", "surface_distances: {tolerance: 3.5}")
    assert workshop.load(text).methods["net"].protocol.surface_distances == SurfaceDistances(tolerance=3.5)


def test_another_way_to_resize_takes_the_place_of_the_benchmarks(workshop):
    text = "net: {generator: net, losses: [entropy], protocol: {resize: {short_side: 9}}}"
    found = workshop.methods(text, sets=["protocol.resize.factor=0.5", "protocol.score_at=resized"]).methods["net"]
    assert found.protocol.resize == Resize(short_side=9)
    assert found.protocol.score_at == "resized"
    assert found.overrides == ("resize.factor", "resize.short_side")


def test_images_that_are_not_resized_have_no_other_resolution_to_score_at(workshop):
    text = "net: {generator: net, losses: [entropy], protocol: {score_at: resized}}"
    assert workshop.methods_refusal(text) == (
        "bench.yaml:9: methods.net.protocol.score_at: resized is the resolution of resized images; add resize:, or "
        "remove it"
    )


@pytest.mark.parametrize("given", ["evaluate: val, validations: 3", "evaluate: test, validations: 0", "validations: 0"])
def test_the_best_is_selected_only_on_another_split_than_is_reported(workshop, given):
    message = workshop.methods_refusal(
        f"net: {{generator: net, losses: [entropy], protocol: {{select: best, {given}}}}}"
    )
    assert message == (
        "bench.yaml:9: methods.net.protocol: select: best needs validations of at least 1 on val, and evaluate: test"
    )


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("{use: resnet18, weights: gone.pth}", "protocol.features.weights: there is no file gone.pth"),
        ("resnet18", "protocol.features: resnet18 needs its weights file: {use: resnet18, weights: PATH}"),
        ("{weights: x.pth}", "protocol.features: pixel_statistics has no weights"),
        ("3", "protocol.features: must be a mapping with keys of use, weights, not the number 3"),
    ],
)
def test_features_are_reported_where_they_are_wrong(workshop, features, message):
    assert workshop.refusal(TEXT.replace("FEATURES", features)) == f"bench.yaml:7: {message}"
