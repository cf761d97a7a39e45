from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load
from torch import nn

from segbench.engine.model.network import Segmenter
from segbench.engine.prediction.export import FACTS, export_model
from segbench.engine.prediction.model import LabelModel
from segbench.engine.prediction.runtimes import open_onnxruntime, to_onnx
from segbench.engine.prediction.tracing import trace
from segbench.engine.recorded import load_segmenter
from segbench.errors import RecordError, SegbenchError

CPU = torch.device("cpu")


class Branching(nn.Module):
    """A network whose second layer does what its input says."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.choice = Choice()

    def forward(self, images):
        return self.choice(self.first(images))


class Choice(nn.Module):
    """Gives its input back, or its negative if the mean is below 0."""

    def forward(self, logits):
        return logits if logits.mean() > 0 else -logits


class Padded(nn.Module):
    """A network for multiples of 8, with a skip at each size that pools give."""

    size_multiple = 8

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images):
        assert images.shape[2] % 8 == images.shape[3] % 8 == 0
        low = nn.functional.interpolate(nn.functional.max_pool2d(self.layer(images), 8), scale_factor=8.0)
        return self.layer(images) + low


def random_images(number, height, width):
    return torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8, generator=torch.manual_seed(0))


def test_a_program_gives_the_labels_of_the_network_for_any_number_and_size_of_images(trained_cell):
    content, parity = export_model(trained_cell, ".pt", None, None)
    facts = {FACTS: ""}
    program = torch.export.load(io.BytesIO(content), extra_files=facts).module()
    recorded = load_segmenter(trained_cell, CPU)
    for images in (random_images(1, 32, 64), random_images(3, 41, 50)):
        with torch.no_grad():
            torch.testing.assert_close(program(images), recorded.network(images / 127.5 - 1).argmax(dim=1))
    assert parity.equal == 1
    told = json.loads(facts[FACTS])
    assert (told["key"], json.loads(told["classes"])) == (recorded.key, list(recorded.dataset.classes))


@pytest.mark.parametrize("size", [(32, 40), (37, 43)])
def test_a_network_that_pads_is_traced_for_sizes_that_need_it_and_those_that_do_not(trained_cell, size):
    recorded = replace(load_segmenter(trained_cell, CPU), network=Segmenter(Padded(), 3).eval())
    model = LabelModel(recorded)
    program = trace(model, random_images(1, 30, 30)[0], fixed=False).module()
    images = random_images(1, *size)
    torch.testing.assert_close(program(images), model(images))


def test_windows_and_views_are_traced_for_one_size(trained_cell):
    recorded = load_segmenter(trained_cell, CPU)
    protocol = recorded.protocol.model_validate(
        {"budget": {"steps": 1}, "window": {"size": [16, 16], "stride": [10, 10]}, "tta": {"flip": True}}
    )
    model = LabelModel(replace(recorded, protocol=protocol))
    images = random_images(2, 30, 40)
    program = trace(model, images[0], fixed=True).module()
    torch.testing.assert_close(program(images), model(images))


def test_weights_have_the_names_of_the_plugins_network(trained_cell):
    content, parity = export_model(trained_cell, ".safetensors", None, None)
    recorded = load_segmenter(trained_cell, CPU)
    recorded.network.network.load_state_dict(load(content))
    assert parity is None


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_looks_at_its_data_is_refused_with_the_layer_that_does(trained_cell):
    recorded = replace(load_segmenter(trained_cell, CPU), network=Segmenter(Branching(), 3).eval())
    with pytest.raises(RecordError, match=r"cannot be traced in layer 'network\.network\.choice': .*; try it for imag"):
        trace(LabelModel(recorded), random_images(1, 16, 16)[0], fixed=False)


def test_an_onnx_file_gives_the_labels_of_the_network_for_any_number_and_size_of_images(trained_cell):
    for library in ("onnx", "onnxscript"):
        pytest.importorskip(library)
    runtime = pytest.importorskip("onnxruntime")
    content, parity = export_model(trained_cell, ".onnx", None, None)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    model = LabelModel(load_segmenter(trained_cell, CPU))
    for images in (random_images(1, 32, 64), random_images(3, 41, 50)):
        [labels] = session.run(None, {"images": images.numpy()})
        assert (labels == model(images).numpy()).mean() > 0.999
    assert parity.equal > 0.999
    told = session.get_modelmeta().custom_metadata_map
    assert (told["key"], json.loads(told["classes"])) == (model.key, list(model.classes))


def test_a_network_that_pads_is_written_as_onnx_for_any_size(trained_cell):
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    recorded = replace(load_segmenter(trained_cell, CPU), network=Segmenter(Padded(), 3).eval())
    model = LabelModel(recorded)
    run = open_onnxruntime(to_onnx(trace(model, random_images(1, 30, 30)[0], fixed=False), {}), 1)
    for size in ((32, 40), (37, 43)):
        images = random_images(1, *size)
        assert (run(images.numpy()) == model(images).numpy()).mean() > 0.999


def test_without_what_onnx_needs_the_command_that_installs_it_is_told(trained_cell, monkeypatch):
    monkeypatch.setattr("segbench.registry.extras.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(SegbenchError, match=r"^onnxscript: not installed here; pip install .*\[onnx\]"):
        export_model(trained_cell, ".onnx", None, None)
