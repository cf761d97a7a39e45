from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segbench.engine.ranks import Ranks
from segbench.engine.training.capture import prepare_forward, why_not_captured
from segbench.engine.training.setup import Unlabelled
from segbench.store.record import CAPTURED

from .short import assert_equal, entropy, trained, weights

ON_GPU = pytest.mark.parametrize("device", [pytest.param("cuda:0", marks=pytest.mark.gpu)], indirect=True)
SETTINGS = {"capture": "auto", "optimizer": {"use": "sgd", "lr": 0.1}}


def test_nothing_is_said_of_a_capture_that_was_not_asked_for(training, recorder, tmp_path):
    _, outcome = trained(training, recorder, tmp_path / "checkpoint")
    assert outcome.capture is None


def test_on_a_cpu_a_capture_is_refused_with_the_reason_and_changes_nothing(training, recorder, tmp_path):
    asked, outcome = trained(training, recorder, tmp_path / "asked", capture="auto")
    plain, _ = trained(training, recorder, tmp_path / "plain")
    assert outcome.capture == "the device is cpu, and CUDA graphs are of GPUs"
    assert_equal(weights(asked.network), weights(plain.network))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"compile": True}, "compile: true"),
        ({"accumulate": 2}, "accumulate: 2, so each image passes twice"),
        ({}, None),
    ],
)
def test_what_a_graph_cannot_do_is_named(training, settings, reason):
    assert why_not_captured(replace(training(**settings), device=torch.device("cuda"))) == reason


def test_processes_and_unlabelled_images_are_not_captured(training):
    made = replace(training(), device=torch.device("cuda"))
    assert "processes" in why_not_captured(replace(made, ranks=Ranks(0, 2)))
    assert "unlabelled" in why_not_captured(replace(made, unlabelled=Unlabelled(made.batches, entropy)))


@pytest.fixture
def on_gpu(training, monkeypatch):
    """The maker of a training that believes to be on a GPU; what it is given stands in for torch's capture."""

    def make(capture):
        monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
        return replace(training(**SETTINGS), device=torch.device("cuda"))

    return make


def test_a_capture_is_given_a_module_in_training_mode_and_a_batch_and_leaves_running_statistics(on_gpu):
    seen = {}

    def run_as_torch_does(module, inputs, *, allow_unused_input):
        seen.update(training=module.training, shapes=[tuple(one.shape) for one in inputs], unused=allow_unused_input)
        for _ in range(3):
            module(*inputs)
        return module

    made = on_gpu(run_as_torch_does)
    made.network.network.append(torch.nn.BatchNorm2d(made.network.channels))
    before = weights(made.network)
    forward, how = prepare_forward(made, 0)
    assert how == CAPTURED
    (images,) = made.mapping.inputs(made.batches.at(0), made.seed, 0)
    assert seen == {"training": True, "shapes": [tuple(images.shape)], "unused": True}
    assert_equal(weights(made.network), before)
    outputs = []
    for network in (forward, made.network):
        torch.manual_seed(0)  # it drops out
        outputs.append(network(images))
    torch.testing.assert_close(*outputs)


def test_a_network_that_cannot_be_captured_trains_as_it_is_and_says_why(on_gpu):
    def refuse(module, inputs, **_):
        module(*inputs)
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")

    made = on_gpu(refuse)
    forward, how = prepare_forward(made, 0)
    assert forward is made.network
    assert how == "capturing failed: CUDA error: operation not permitted when stream is capturing"


@ON_GPU
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_captured_training_equals_an_eager_one(training, recorder, tmp_path, precision):
    settings = {"precision": precision, "deterministic": True}
    captured, outcome = trained(training, recorder, tmp_path / "captured", **SETTINGS, **settings)
    eager, _ = trained(training, recorder, tmp_path / "eager", **{**SETTINGS, "capture": "off"}, **settings)
    assert outcome.capture == CAPTURED
    for name, tensor in weights(eager.network).items():
        torch.testing.assert_close(weights(captured.network)[name], tensor)


@ON_GPU
def test_a_captured_adversarial_training_equals_an_eager_one(training, recorder, tmp_path):
    captured, outcome = trained(training, recorder, tmp_path / "captured", **SETTINGS, adversary={})
    eager, _ = trained(training, recorder, tmp_path / "eager", **{**SETTINGS, "capture": "off"}, adversary={})
    assert outcome.capture == CAPTURED
    for name, tensor in weights(eager.network).items():
        torch.testing.assert_close(weights(captured.network)[name], tensor)
